// Tabs (https://www.w3.org/WAI/ARIA/apg/patterns/tabs/).

/**
 * names: each is the end of the tab's id after "tab-", and of its panel's id after "panel-".
 * onOpen (): called when the user has opened a tab.
 *
 * Returns {select, selected}: select (name) opens a tab, and ignores unknown names; selected () returns a name.
 */
function createTabs(names, onOpen) {
  const tabs = names.map((name) => document.getElementById(`tab-${name}`));

  let current = names[0];

  function select(name) {
    if (!names.includes(name)) return;
    current = name;
    for (const [i, tab] of tabs.entries()) {
      const isSelected = names[i] === name;
      tab.setAttribute("aria-selected", isSelected);
      tab.tabIndex = isSelected ? 0 : -1;
      document.getElementById(`panel-${names[i]}`).hidden = !isSelected;
    }
  }

  function open(i) {
    select(names[i]);
    tabs[i].focus();
    onOpen();
  }

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
  select(current);
  return { select, selected: () => current };
}
