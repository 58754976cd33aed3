// The token strip: pieces side by side, those that go on with a word joined to the one before.

const KINDS = { special: "added by the model", unknown: "not in the vocabulary", text: "" };

/** What there is to say about a token. */
function aboutToken(token, place) {
  const length = [...token.source].length;
  const whole = length === token.end - token.start ? token.source : `${token.source}…`;
  const from = length ? `from “${whole}”, characters ${token.start} to ${token.end}` : "";
  const goesOn = token.continues ? "goes on with the word before" : "";
  return [`token ${place}: ${shown(token.piece)}`, `id ${token.id}`, from, goesOn, KINDS[token.kind]]
    .filter(Boolean)
    .join(" · ");
}

/** The tokens' names: their pieces, and where a piece comes more than once, its places. */
function namesOf(tokens) {
  const times = new Map();
  for (const { piece } of tokens) times.set(piece, (times.get(piece) ?? 0) + 1);
  return tokens.map(({ piece }, place) => (times.get(piece) > 1 ? `${shown(piece)} (${place})` : shown(piece)));
}

const marksOf = (token) => `chip ${token.kind}${token.continues ? " continues" : ""}`;

/**
 * The strip of one text, side = {tokens, count, cut, cut_count, cut_first}.
 * options: label; say (token, place) => line; chosen (place) => nothing; under (token) => a second line in the chip.
 */
function strip(side, options) {
  const readout = el("output", { class: "readout" });
  const chips = side.tokens.map((token, place) => {
    const under = options.under ? [el("small", {}, options.under(token))] : [];
    const chip = el("span", { class: marksOf(token), role: "option", tabindex: place ? -1 : 0, "aria-selected": false },
      shown(token.piece), ...under);
    chip.addEventListener("pointerenter", () => tell(place));
    chip.addEventListener("focus", () => choose(place));
    return chip;
  });
  const list = el("div", { class: "chips", role: "listbox", "aria-label": options.label, "aria-orientation": "horizontal" },
    ...chips);
  let at = 0;

  function tell(place) {
    readout.textContent = options.say(side.tokens[place], place);
  }

  function choose(place, { quiet = false } = {}) {
    chips[at].tabIndex = -1;
    chips[at].setAttribute("aria-selected", "false");
    at = place;
    chips[at].tabIndex = 0;
    chips[at].setAttribute("aria-selected", "true");
    tell(at);
    if (!quiet) options.chosen?.(at);
  }

  list.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: at - 1, ArrowUp: at - 1, ArrowRight: at + 1, ArrowDown: at + 1, Home: 0, End: chips.length - 1 };
    if (!(event.key in moves) || event.altKey) return;
    event.preventDefault();
    chips[clamp(moves[event.key], 0, chips.length - 1)].focus();
  });
  list.addEventListener("click", (event) => event.target.closest(".chip")?.focus());
  list.addEventListener("pointerleave", () => chips.length && tell(at));

  const element = el("div", { class: "strip" });
  if (chips.length) element.append(readout);
  if (side.cut_first) element.append(cutOff(side));
  element.append(chips.length ? list : el("p", { class: "none" }, "There are none."));
  if (side.count > chips.length) {
    const hidden = grouped(side.count - chips.length);
    element.append(el("p", { class: "note" }, `The model read ${hidden} more, which this page leaves out here and below.`));
  }
  if (side.cut_count && !side.cut_first) element.append(cutOff(side));
  element.append(marks(side));
  if (chips.length) choose(0, { quiet: true });
  return { element, choose, chips };
}

/** What the model did not read. */
function cutOff(side) {
  const more = side.cut_count - side.cut.length;
  const chips = side.cut.map((token) => el("span", { class: marksOf(token) }, shown(token.piece)));
  const rest = more ? [el("span", { class: "more" }, `… and ${grouped(more)} more`)] : [];
  const counted = `Cut off, never read by the model: ${grouped(side.cut_count)} tokens`;
  return el("div", { class: "cut" }, el("p", { class: "note" }, counted), el("div", { class: "chips" }, ...chips, ...rest));
}

/** What the looks of the chips mean, for those that occur. */
function marks(side) {
  const seen = (has) => side.tokens.some(has);
  const all = [
    ["chip special", "added by the model", seen((token) => token.kind === "special")],
    ["chip text continues", "goes on with the word before", seen((token) => token.continues)],
    ["chip unknown", "not in the vocabulary", seen((token) => token.kind === "unknown")],
  ];
  const items = all.filter(([, , occurs]) => occurs)
    .map(([look, meaning]) => el("li", {}, el("span", { class: look, "aria-hidden": "true" }, "abc"), meaning));
  return el("ul", { class: "marks" }, ...items);
}
