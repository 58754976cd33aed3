// Two texts, and why they are close: the cosine as a sum over pairs of tokens.

async function comparisonView(data, heading) {
  const [shares, pairs] = await Promise.all([
    Promise.all(data.sides.map((side) => unpack(side.shares))),
    data.pairs && unpack(data.pairs),
  ]);
  const names = ["the first text", "the second text"];
  const shareDigits = digits(Math.max(...shares.map(({ values }) => largestOf(values))), 6);
  const said = pairs ? "adds" : "without it, the cosine falls by";
  const sayShare = (which) => (token, place) =>
    `${said} ${signed(shares[which].values[place], shareDigits)} · ${aboutToken(token, place)}`;
  let pairMap = null;
  const strips = data.sides.map((side, which) =>
    strip(side, {
      label: `Tokens of ${names[which]}`,
      say: sayShare(which),
      chosen: (place) => pairMap?.choose(which ? pairMap.row : place, which ? place : pairMap.column),
    }));
  const tint = () => tintAll(strips, shares);
  onTheme(strips[0].element, tint);
  tint();

  const sections = [
    ...data.sides.map((side, which) =>
      section(`text-${which + 1}`, which ? "The second text" : "The first text", `[${grouped(side.count)}]`,
        `Each token, tinted by what it ${pairs ? "adds to the cosine" : "is worth to the cosine"}.`,
        ...(side.prompt || side.normalized ? [given(side)] : []), strips[which].element)),
  ];
  if (pairs?.values.length) {
    const total = `${data.cosine.toFixed(4)} is the sum of ${grouped(data.count)} numbers, one for each pair of a token of the first text and a token of the second. Nothing is approximated.`;
    pairMap = pairsMap(data, pairs);
    const shape = data.sides.map((side) => grouped(side.count)).join(" × ");
    sections.push(section("pairs", "Pairs of tokens", `[${shape}]`, total, pairMap.element, topPairs(data, pairMap)));
    pairMap.chooseLargest();
  }
  const sentence = pairs
    ? "The rows and the columns of the map, added up: what each token has to do with the cosine."
    : `No pair has a share of its own: ${data.why_no_pairs}. So each token was left out in turn, and here is by how much the cosine fell. These numbers do not sum to it.`;
  const columns = data.sides.map((side, which) =>
    el("div", {}, el("h3", {}, which ? "The second text" : "The first text"),
      side.tokens.length ? bars(`Shares of ${names[which]}`, pairs ? "adds" : "falls by", side.tokens, shares[which].values, shareDigits).element
        : el("p", { class: "note" }, "It has no tokens.")));
  sections.push(section("shares", pairs ? "Shares of the tokens" : "What each token is worth", "", sentence, el("div", { class: "two" }, ...columns)));
  return [comparisonHead(data, heading), way(sections, "What there is to see"), ...sections];
}

function comparisonHead(data, heading) {
  const quotes = data.sides.map((side) => el("blockquote", {}, side.text.trim() === "" ? "(empty)" : side.text));
  const needle = el("i");
  needle.style.left = `${clamp(50 + 50 * data.cosine, 0, 100)}%`;
  const scale = el("div", { class: "cosine-scale", "aria-hidden": "true" }, el("span", {}, "−1 opposite"), el("span", {}, "0"), el("span", {}, "1 the same"), needle);
  return el("header", {}, el("p", { class: "kicker" }, "Why two texts are close"),
    el("div", { class: "quotes" }, ...quotes),
    el(heading, { class: "headline cosine" }, el("span", {}, "cosine "), data.cosine.toFixed(4)),
    scale, el("p", { class: "facts" }, data.model));
}

function pairsMap(data, pairs) {
  const [first, second] = data.sides.map((side) => side.tokens.map((token) => token.piece));
  const [rowNames, columnNames] = data.sides.map((side) => namesOf(side.tokens));
  const decimals = digits(largestOf(pairs.values), pairs.decimals);
  const map = heatmap({
    label: "What each pair adds: rows are the first text's tokens, columns the second's",
    rows: first,
    columns: second,
    width: second.length,
    cell: { width: [14, 52] },
    scale: "diverging",
    decimals,
    say: (i, j, value) => `${rowNames[i]} × ${columnNames[j]}: ${signed(value, decimals)}`,
  });
  map.show(pairs.values);
  return map;
}

/** The pairs that add most; choosing one shows it in the map. */
function topPairs(data, map) {
  const [rowNames, columnNames] = data.sides.map((side) => namesOf(side.tokens));
  const decimals = data.top.length ? digits(data.top[0][4], 6) : 0;
  const items = data.top.map(([i, j, first, second, share]) => {
    const text = [el("span", { class: "pair" }, `${rowNames[i] ?? shown(first)} × ${columnNames[j] ?? shown(second)}`), el("b", {}, signed(share, decimals))];
    // A pair of tokens that the page leaves out has no place in the map.
    const inMap = i < data.sides[0].tokens.length && j < data.sides[1].tokens.length;
    return el("li", {}, inMap ? el("button", { type: "button", click: () => map.choose(i, j) }, ...text) : el("p", {}, ...text));
  });
  return el("div", {}, el("h3", {}, "The pairs that add most"), el("ol", { class: "pairs" }, ...items));
}

/** The strips' chips, in the colours of what they add. */
function tintAll(strips, shares) {
  const colors = colorsOf("diverging");
  const most = Math.max(...shares.map(({ values }) => largestOf(values))) || 1;
  strips.forEach(({ element, chips }, which) => {
    element.classList.add("tinted");
    chips.forEach((chip, place) => {
      const part = shares[which].values[place] / most;
      const [r, g, b] = colors[part < 0 ? 40 : 215];
      chip.style.backgroundColor = `rgb(${r} ${g} ${b} / ${(0.5 * Math.abs(part)).toFixed(3)})`;
    });
  });
}
