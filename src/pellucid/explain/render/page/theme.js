// Runs before anything is drawn: the system's choice of light or dark, until the reader makes another.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  let chosen = null;

  function apply() {
    root.dataset.theme = chosen ?? (system.matches ? "dark" : "light");
    const button = document.getElementById("theme");
    if (button) {
      button.hidden = false;
      button.textContent = root.dataset.theme === "dark" ? "Light" : "Dark";
      button.setAttribute("aria-label", `Show the page in ${root.dataset.theme === "dark" ? "light" : "dark"} colours`);
    }
    // What is painted in colours of its own listens itself, so that what is gone from the page is not painted again.
    for (const painted of document.querySelectorAll("[data-painted]")) painted.dispatchEvent(new Event("theme"));
  }

  apply();
  system.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", () => {
      chosen = root.dataset.theme === "dark" ? "light" : "dark";
      apply();
    });
  });
})();
