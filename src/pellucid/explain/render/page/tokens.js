// The token strip: the tokens side by side as chips. A piece that continues a word is joined to the piece before it.

const KIND_NOTES = { special: "added by the model", unknown: "not in the vocabulary", text: "" };
const CONTINUES_NOTE = "continues the word before it";

/** A line about a token: its piece, its id, where it comes from, and its kind. */
function describeToken(token, index) {
  const length = [...token.source].length;
  const source = isolated(length === token.end - token.start ? token.source : `${token.source}…`);
  const from = length ? `from “${source}”, characters ${token.start} to ${token.end}` : "";
  const note = token.continues ? CONTINUES_NOTE : "";
  return [`token ${index}: ${isolated(visiblePiece(token.piece))}`, `id ${token.id}`, from, note, KIND_NOTES[token.kind]]
    .filter(Boolean)
    .join(" · ");
}

/** The tokens' names. A name is the piece; if a piece occurs more than once, its position follows. */
function tokenNames(tokens) {
  const counts = new Map();
  for (const { piece } of tokens) counts.set(piece, (counts.get(piece) ?? 0) + 1);
  return tokens.map(({ piece }, index) => isolated(visiblePiece(piece)) + (counts.get(piece) > 1 ? ` (${index})` : ""));
}

const chipClass = (token) => `chip ${token.kind}${token.continues ? " continues" : ""}`;

/**
 * The strip of one text, side = {tokens, count, cut, cut_count, cut_first}.
 * options: label; describe: (token, index) => the line above the strip; onChoose: called with the index of the chosen
 * token; may be missing.
 */
function tokenStrip(side, options) {
  const readout = el("output", { class: "readout" });
  const chips = side.tokens.map((token, index) => {
    const chip = el("span", { class: chipClass(token), role: "option", tabindex: index ? -1 : 0, "aria-selected": false },
      visiblePiece(token.piece));
    chip.addEventListener("pointerenter", () => describe(index));
    chip.addEventListener("focus", () => choose(index));
    return chip;
  });
  const list = el("div", { class: "chips", role: "listbox", "aria-label": options.label, "aria-orientation": "horizontal" },
    ...chips);
  let chosen = 0;

  function describe(index) {
    readout.textContent = options.describe(side.tokens[index], index);
  }

  function choose(index, { quiet = false } = {}) {
    chips[chosen].tabIndex = -1;
    chips[chosen].setAttribute("aria-selected", "false");
    chosen = index;
    chips[chosen].tabIndex = 0;
    chips[chosen].setAttribute("aria-selected", "true");
    describe(chosen);
    if (!quiet) options.onChoose?.(chosen);
  }

  list.addEventListener("keydown", (event) => {
    const [before, after] = [chosen - 1, chosen + 1];
    const moves = { ArrowLeft: before, ArrowUp: before, ArrowRight: after, ArrowDown: after, Home: 0, End: chips.length - 1 };
    if (!(event.key in moves) || event.altKey) return;
    event.preventDefault();
    chips[clamp(moves[event.key], 0, chips.length - 1)].focus();
  });
  list.addEventListener("click", (event) => event.target.closest(".chip")?.focus());
  list.addEventListener("pointerleave", () => chips.length && describe(chosen));

  const element = el("div", { class: "strip" });
  if (chips.length) element.append(readout);
  if (side.cut_first) element.append(cutTokens(side));
  element.append(chips.length ? list : el("p", {}, "This text has no tokens."));
  if (side.count > chips.length) {
    const hidden = plural(side.count - chips.length, "more token");
    element.append(el("p", { class: "note" }, `The model read ${hidden}, which this page leaves out here and below.`));
  }
  if (side.cut_count && !side.cut_first) element.append(cutTokens(side));
  element.append(chipLegend(side));
  if (chips.length) choose(0, { quiet: true });
  return { element, choose, chips };
}

/** The tokens that the model did not read. */
const cutTokens = (side) => tokensLeftOut(`Cut off: the model did not read ${plural(side.cut_count, "token")}.`, side.cut, side.cut_count);

/** Tokens that do not count. note says why; count is how many there are, of which some are listed. */
function tokensLeftOut(note, tokens, count, style = "cut") {
  const more = count - tokens.length;
  const chips = tokens.map((token) => el("span", { class: chipClass(token) }, visiblePiece(token.piece)));
  const rest = more ? [el("span", { class: "more" }, `… and ${grouped(more)} more`)] : [];
  return el("div", { class: style }, el("p", { class: "note" }, note), el("div", { class: "chips" }, ...chips, ...rest));
}

/** A legend of the chips' styles, for those that occur. */
function chipLegend(side) {
  const entries = [
    ["chip special", KIND_NOTES.special, (token) => token.kind === "special"],
    ["chip text continues", CONTINUES_NOTE, (token) => token.continues],
    ["chip unknown", KIND_NOTES.unknown, (token) => token.kind === "unknown"],
  ];
  const items = entries.filter(([, , matches]) => side.tokens.some(matches))
    .map(([style, meaning]) => el("li", {}, el("span", { class: style, "aria-hidden": "true" }, "abc"), meaning));
  return el("ul", { class: "chip-legend" }, ...items);
}
