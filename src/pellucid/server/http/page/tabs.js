// One tab at a time; the address remembers which, and never a text (https://www.w3.org/WAI/ARIA/apg/patterns/tabs/).

/** names: of the tabs, as after "#" in the address and after "tab-" and "panel-" in the page. */
function tabsOf(names) {
  const tabs = names.map((name) => document.getElementById(`tab-${name}`));

  function choose(name) {
    for (const [i, tab] of tabs.entries()) {
      const on = names[i] === name;
      tab.setAttribute("aria-selected", on);
      tab.tabIndex = on ? 0 : -1;
      document.getElementById(`panel-${names[i]}`).hidden = !on;
    }
  }

  function take(i) {
    choose(names[i]);
    history.replaceState(null, "", `#${names[i]}`);
    tabs[i].focus();
  }

  const asked = () => names.includes(location.hash.slice(1)) && choose(location.hash.slice(1));
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => take(i));
    tab.addEventListener("keydown", (event) => {
      const last = tabs.length - 1;
      const moves = { ArrowLeft: i ? i - 1 : last, ArrowRight: i === last ? 0 : i + 1, Home: 0, End: last };
      if (!(event.key in moves) || event.altKey) return;
      event.preventDefault();
      take(moves[event.key]);
    });
  });
  addEventListener("hashchange", asked);
  choose(names[0]);
  asked();
}
