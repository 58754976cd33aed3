// The view of a score of sparse vectors: the terms that a query and a document share, and the tokens that raised them.

async function sparseView(data, heading) {
  const adds = await Promise.all(data.sides.map((side) => unpack(side.adds)));
  const sections = [matchesSection(data), termTokensSection(data, adds), termsSection(data)];
  return [scoreHeader(data, heading), tableOfContents(sections, "Contents"), ...sections];
}

const asTokens = (pieces) => pieces.map((piece) => ({ piece, kind: "text" }));

function matchesSection(data) {
  const sentence = "The score is a sum: each term that both texts have adds the product of its two weights. Nothing is left out.";
  const products = data.matches.map((match) => match.product);
  const content = products.length ? bars("What each term adds to the score", "adds", asTokens(data.matches.map(({ piece }) => piece)), products, decimalsFor(maxAbs(products), 6), "term").element
    : el("p", { class: "note" }, "The texts have no term in common.");
  const rest = data.more ? [el("p", { class: "note" }, `… and ${plural(data.more, "more term")}, which add ${data.rest.toFixed(4)}.`)] : [];
  return section("matches", "Terms in common", `[${grouped(data.matches.length + data.more)}]`, sentence, content, ...rest);
}

/** The tokens of both texts. The colour of each is what its terms add to the score. */
function termTokensSection(data, adds) {
  const max = Math.max(...adds.map(({ values }) => maxAbs(values)));
  const decimals = decimalsFor(max, 6);
  const strips = data.sides.map((side, s) => tokenStrip(side, {
    label: `Tokens of ${lowerFirst(PAIR_TITLES[s])}`,
    describe: (token, index) => {
      const raised = data.matches.filter((match) => match.raised_by[s] === index).map(({ piece, product }) => `${isolated(visiblePiece(piece))} ${signed(product, decimals)}`);
      const terms = raised.length ? `raises ${raised.slice(0, 4).join(", ")}${raised.length > 4 ? ", …" : ""}` : "raises no term in common";
      return `${signed(adds[s].values[index], decimals)} · ${terms} · ${describeToken(token, index)}`;
    },
  }));
  const draw = () => strips.forEach(({ element, chips }, s) => {
    element.classList.add("tinted");
    tint(chips, adds[s].values, max);
  });
  redrawOnTheme(strips[0].element, draw);
  draw();
  strips.forEach(({ choose }, s) => data.sides[s].tokens.length && choose(strongestIndex(adds[s].values)));
  const sentence = "Each term was raised by one token: the one that gives it the highest score. The colour of a token shows what its terms add to the score of the two texts.";
  const shape = data.sides.map((side) => grouped(side.count)).join(" + ");
  return section("tokens", "Tokens", `[${shape}]`, sentence, ...strips.flatMap(({ element }, s) => [el("h3", {}, PAIR_TITLES[s]), element]));
}

/** The heaviest terms of each text, in common or not. */
function termsSection(data) {
  const columns = data.sides.map((side, s) => {
    const weights = side.terms.map(([, weight]) => weight);
    const label = `The heaviest terms of ${lowerFirst(PAIR_TITLES[s])}`;
    const content = weights.length ? bars(label, "weight", asTokens(side.terms.map(([piece]) => piece)), weights, decimalsFor(maxAbs(weights), 6), "term").element
      : el("p", { class: "note" }, "It has no terms.");
    const more = side.term_count - weights.length;
    return el("div", {}, el("h3", {}, PAIR_TITLES[s]), content, ...(more ? [el("p", { class: "note" }, `… and ${plural(more, "lighter term")}.`)] : []));
  });
  const sentence = "What each text is about, for the model: its heaviest terms, whether the other text has them or not.";
  return section("terms", "All terms", "", sentence, el("div", { class: "side-by-side" }, ...columns));
}
