// The view of two texts: why they are close. Their cosine is a sum over pairs of tokens.

async function comparisonView(data, heading) {
  const [shares, pairs] = await Promise.all([
    Promise.all(data.sides.map((side) => unpack(side.shares))),
    data.pairs && unpack(data.pairs),
  ]);
  const titles = ["The first text", "The second text"];
  const shareDecimals = decimalsFor(Math.max(...shares.map(({ values }) => maxAbs(values))), 6);
  const words = pairs ? "adds" : "without it, the cosine falls by";
  const describeShare = (s) => (token, index) =>
    `${words} ${signed(shares[s].values[index], shareDecimals)} · ${describeToken(token, index)}`;
  let pairMap = null;
  const strips = data.sides.map((side, s) =>
    tokenStrip(side, {
      label: `Tokens of ${lowerFirst(titles[s])}`,
      describe: describeShare(s),
      onChoose: (index) => pairMap?.choose(s ? pairMap.row : index, s ? index : pairMap.column),
    }));
  const tint = () => tintChips(strips, shares);
  redrawOnTheme(strips[0].element, tint);
  tint();

  const tintMeaning = pairs ? "how much it adds to the cosine" : "how much the cosine falls without it";
  const sections = data.sides.map((side, s) =>
    section(`text-${s + 1}`, titles[s], `[${grouped(side.count)}]`, `The colour of each token shows ${tintMeaning}.`,
      ...(side.prompt || side.normalized ? [tokenizerInput(side)] : []), strips[s].element));
  if (pairs?.values.length) {
    const sentence = `The cosine, ${data.cosine.toFixed(4)}, is the sum of ${grouped(data.count)} numbers, one for each pair of a token of the first text and a token of the second. Nothing is approximated.`;
    pairMap = pairHeatmap(data, pairs);
    const shape = data.sides.map((side) => grouped(side.count)).join(" × ");
    sections.push(section("pairs", "Pairs of tokens", `[${shape}]`, sentence, pairMap.element, topPairs(data, pairMap)));
    pairMap.chooseLargest();
  }
  const sentence = pairs
    ? "How much each token adds to the cosine: the sums of the map's rows and columns."
    : `The cosine cannot be divided among pairs of tokens: ${data.why_no_pairs}. Instead, each token was left out in turn. The numbers show how much the cosine fell; they do not sum to it.`;
  const columns = data.sides.map((side, s) =>
    el("div", {}, el("h3", {}, titles[s]),
      side.tokens.length ? bars(`Shares of ${lowerFirst(titles[s])}`, pairs ? "adds" : "falls by", side.tokens, shares[s].values, shareDecimals).element
        : el("p", { class: "note" }, "This text has no tokens.")));
  sections.push(section("shares", pairs ? "Shares of the tokens" : "The effect of each token", "", sentence, el("div", { class: "side-by-side" }, ...columns)));
  return [comparisonHeader(data, heading), tableOfContents(sections, "Contents"), ...sections];
}

const lowerFirst = (text) => text[0].toLowerCase() + text.slice(1);

function comparisonHeader(data, heading) {
  const quotes = data.sides.map((side) => el("blockquote", {}, quoted(side.text)));
  const needle = el("i");
  needle.style.left = `${clamp(50 + 50 * data.cosine, 0, 100)}%`;
  const scale = el("div", { class: "cosine-scale", "aria-hidden": "true" }, el("span", {}, "−1 opposite"), el("span", {}, "0"), el("span", {}, "1 the same"), needle);
  return el("header", {}, el("p", { class: "kicker" }, "Why two texts are close"),
    el("div", { class: "quotes" }, ...quotes),
    el(heading, { class: "headline cosine" }, el("span", {}, "cosine "), data.cosine.toFixed(4)),
    scale, el("p", { class: "facts" }, data.model));
}

function pairHeatmap(data, pairs) {
  const [first, second] = data.sides.map((side) => side.tokens.map((token) => token.piece));
  const [rowNames, columnNames] = data.sides.map((side) => tokenNames(side.tokens));
  const decimals = decimalsFor(maxAbs(pairs.values), pairs.decimals);
  const map = heatmap({
    label: "How much each pair adds: rows are tokens of the first text, columns are tokens of the second",
    rows: first,
    columns: second,
    width: second.length,
    cell: { width: [14, 52] },
    scale: "diverging",
    decimals,
    describe: (i, j, value) => `${rowNames[i]} × ${columnNames[j]}: ${signed(value, decimals)}`,
  });
  map.show(pairs.values);
  return map;
}

/** The pairs that add most. A click on a pair chooses it in the map. */
function topPairs(data, map) {
  const [rowNames, columnNames] = data.sides.map((side) => tokenNames(side.tokens));
  const decimals = data.top.length ? decimalsFor(data.top[0][4], 6) : 0;
  const items = data.top.map(([i, j, first, second, share]) => {
    const pair = `${rowNames[i] ?? visiblePiece(first)} × ${columnNames[j] ?? visiblePiece(second)}`;
    const text = [el("span", { class: "pair" }, pair), el("b", {}, signed(share, decimals))];
    // The map does not have the tokens that the page leaves out.
    const isInMap = i < data.sides[0].tokens.length && j < data.sides[1].tokens.length;
    return el("li", {}, isInMap ? el("button", { type: "button", click: () => map.choose(i, j) }, ...text) : el("p", {}, ...text));
  });
  return el("div", {}, el("h3", {}, "The pairs that add most"), el("ol", { class: "pairs" }, ...items));
}

/** Colour the chips of both strips by what their tokens add. */
function tintChips(strips, shares) {
  const colors = scaleColors("diverging");
  const max = Math.max(...shares.map(({ values }) => maxAbs(values))) || 1;
  strips.forEach(({ element, chips }, s) => {
    element.classList.add("tinted");
    chips.forEach((chip, index) => {
      const part = shares[s].values[index] / max;
      const [r, g, b] = colors[part < 0 ? 40 : 215];
      chip.style.backgroundColor = `rgb(${r} ${g} ${b} / ${(0.5 * Math.abs(part)).toFixed(3)})`;
    });
  });
}
