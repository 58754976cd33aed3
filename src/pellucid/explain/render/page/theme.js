// Runs before anything is drawn. The page is light or dark as the system asks, until the reader presses the button. On
// paper it is light.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  let readersTheme = null;
  let isPrinting = false;

  function apply() {
    root.dataset.theme = isPrinting ? "light" : readersTheme ?? (system.matches ? "dark" : "light");
    const button = document.getElementById("theme");
    if (button) {
      button.hidden = false;
      button.textContent = root.dataset.theme === "dark" ? "Light" : "Dark";
      button.setAttribute("aria-label", `Show the page in ${root.dataset.theme === "dark" ? "light" : "dark"} colours`);
    }
    // Canvases and tinted elements listen for this event themselves, so nothing that has left the page is drawn again.
    for (const painted of document.querySelectorAll("[data-painted]")) painted.dispatchEvent(new Event("theme"));
  }

  apply();
  system.addEventListener("change", apply);
  for (const [name, value] of [["beforeprint", true], ["afterprint", false]]) {
    addEventListener(name, () => {
      isPrinting = value;
      apply();
    });
  }
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", () => {
      readersTheme = root.dataset.theme === "dark" ? "light" : "dark";
      apply();
    });
  });
})();
