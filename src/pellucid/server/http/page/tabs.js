// Tabs (https://www.w3.org/WAI/ARIA/apg/patterns/tabs/). The page's address keeps which tab is open, but never a text.

/** names: each is the end of the tab's address after "#", of its id after "tab-", and of its panel's id after "panel-". */
function createTabs(names) {
  const tabs = names.map((name) => document.getElementById(`tab-${name}`));

  function select(name) {
    for (const [i, tab] of tabs.entries()) {
      const isSelected = names[i] === name;
      tab.setAttribute("aria-selected", isSelected);
      tab.tabIndex = isSelected ? 0 : -1;
      document.getElementById(`panel-${names[i]}`).hidden = !isSelected;
    }
  }

  function open(i) {
    select(names[i]);
    history.replaceState(null, "", `#${names[i]}`);
    tabs[i].focus();
  }

  const selectFromAddress = () => names.includes(location.hash.slice(1)) && select(location.hash.slice(1));
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => open(i));
    tab.addEventListener("keydown", (event) => {
      const last = tabs.length - 1;
      const targets = { ArrowLeft: i ? i - 1 : last, ArrowRight: i === last ? 0 : i + 1, Home: 0, End: last };
      if (!(event.key in targets) || event.altKey) return;
      event.preventDefault();
      open(targets[event.key]);
    });
  });
  addEventListener("hashchange", selectFromAddress);
  select(names[0]);
  selectFromAddress();
}
