// The legend of the plane: a button for each group. Hovering makes the others pale; a click hides the group, or shows it.

const MAX_LEGEND_ENTRIES = 200;

/** onChange: called when something has changed that the plane shows. */
function planeLegend({ palette, labels, counts, onChange }) {
  const hidden = new Set();
  let emphasised = null;
  const emphasise = (group) => {
    if (group === emphasised) return;
    emphasised = group;
    onChange();
  };
  const buttons = labels.slice(0, MAX_LEGEND_ENTRIES).map((label, group) => {
    const dot = svg("svg", { viewBox: "-1.5 -1.5 3 3", "aria-hidden": "true" }, groupDot(palette, group, 0, 0, 1));
    const button = el("button", { type: "button", "aria-pressed": "true", title: label, click: () => toggle(group) },
      dot, el("bdi", {}, label || "(no label)"), el("span", {}, grouped(counts[group])));
    for (const event of ["pointerenter", "focus"]) button.addEventListener(event, () => emphasise(hidden.has(group) ? null : group));
    for (const event of ["pointerleave", "blur"]) button.addEventListener(event, () => emphasise(null));
    return button;
  });
  const showAll = el("button", { type: "button", class: "small", hidden: true, click: () => (hidden.clear(), update()) }, "Show all groups");

  function toggle(group) {
    if (!hidden.delete(group)) hidden.add(group);
    emphasised = null;
    update();
  }

  function update() {
    buttons.forEach((button, group) => button.setAttribute("aria-pressed", !hidden.has(group)));
    showAll.hidden = hidden.size === 0;
    onChange();
  }

  const rest = labels.length - buttons.length;
  const note = rest > 0 ? [el("p", { class: "note" }, `${plural(rest, "more label")} ${rest === 1 ? "is" : "are"} not listed here.`)] : [];
  return {
    element: el("div", { class: "plane-legend", role: "group", "aria-label": "The groups. Press one to hide it, or to show it again." },
      el("ul", {}, ...buttons.map((button) => el("li", {}, button))), ...note, showAll),
    isHidden: (group) => hidden.has(group),
    get emphasised() { return emphasised; },
  };
}
