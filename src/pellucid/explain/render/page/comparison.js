// The view of two texts: why they are close. Their cosine is a sum over pairs of tokens.

const TITLES = ["The first text", "The second text"];
const MANY_COLUMNS = 20;

async function comparisonView(data, heading) {
  const [shares, pairs] = await Promise.all([
    Promise.all(data.sides.map((side) => unpack(side.shares))),
    data.pairs && unpack(data.pairs),
  ]);
  const quotes = data.sides.map(markedQuote);
  // A pair that is chosen in one part of the page is highlighted in all others.
  const followers = [(i, j) => [i, j].forEach((token, s) => quotes[s].mark(token))];
  const chooseEverywhere = (i, j) => followers.forEach((follow) => follow(i, j));
  const map = pairs?.values.length ? pairsMap(data, pairs, chooseEverywhere) : null;
  const strips = shareStrips(data, shares, map);
  followers.push((i, j) => [i, j].forEach((token, s) => strips[s].choose(token, { quiet: true })));

  const sections = [];
  if (map) {
    const list = wordPairs(data, map);
    followers.push(list.highlight);
    const sentence = `The cosine, ${data.cosine.toFixed(4)}, is the sum of ${grouped(data.count)} numbers, one for each pair of a token of the first text and a token of the second. Nothing is approximated.`;
    const shape = data.sides.map((side) => grouped(side.count)).join(" × ");
    const layout = data.sides[1].tokens.length > MANY_COLUMNS ? "pairs-view" : "pairs-view beside";
    sections.push(section("pairs", "Pairs", `[${shape}]`, sentence, el("div", { class: layout }, map.element, list.element)));
  }
  const tintMeaning = data.pairs ? "how much it adds to the cosine" : "how much the cosine falls without it";
  sections.push(...data.sides.map((side, s) =>
    section(`text-${s + 1}`, TITLES[s], `[${grouped(side.count)}]`, `The colour of each token shows ${tintMeaning}.`, strips[s].element,
      ...(side.prompt || side.normalized ? [lazyDetails("Show what the tokenizer receives", () => tokenizerInput(side)).element] : []))));
  sections.push(sharesSection(data, shares));
  if (data.word_pairs.length) map.choose(...data.word_pairs[0].slice(3));
  return [comparisonHeader(data, heading, quotes), tableOfContents(sections, "Contents"), ...sections];
}

const lowerFirst = (text) => text[0].toLowerCase() + text.slice(1);

function comparisonHeader(data, heading, quotes) {
  const needle = el("i");
  needle.style.left = `${clamp(50 + 50 * data.cosine, 0, 100)}%`;
  const scale = el("div", { class: "cosine-scale", "aria-hidden": "true" }, el("span", {}, "−1 opposite"), el("span", {}, "0"), el("span", {}, "1 the same"), needle);
  return el("header", {}, el("p", { class: "kicker" }, "Why two texts are close"),
    el("div", { class: "quotes" }, ...quotes.map(({ element }) => element)),
    el(heading, { class: "headline cosine" }, el("span", {}, "cosine "), data.cosine.toFixed(4)),
    scale, el("p", { class: "verdict" }, ...sentenceWithWords(data.sentence)), el("p", { class: "facts" }, data.model));
}

/** The token strips of both texts, coloured by what the tokens add. A chosen token is chosen in the map too. */
function shareStrips(data, shares, map) {
  const decimals = decimalsFor(Math.max(...shares.map(({ values }) => maxAbs(values))), 6);
  const words = data.pairs ? "adds" : "without it, the cosine falls by";
  const strips = data.sides.map((side, s) =>
    tokenStrip(side, {
      label: `Tokens of ${lowerFirst(TITLES[s])}`,
      describe: (token, index) => `${words} ${signed(shares[s].values[index], decimals)} · ${describeToken(token, index)}`,
      onChoose: (index) => map?.choose(s ? map.chosen[0] : index, s ? index : map.chosen[1]),
    }));
  const tint = () => tintChips(strips, shares);
  redrawOnTheme(strips[0].element, tint);
  tint();
  return strips;
}

function sharesSection(data, shares) {
  const decimals = decimalsFor(Math.max(...shares.map(({ values }) => maxAbs(values))), 6);
  const sentence = data.pairs
    ? "How much each token adds to the cosine: the sums of the map's rows and columns."
    : `The cosine cannot be divided among pairs of tokens: ${data.why_no_pairs}. Instead, each token was left out in turn. The numbers show how much the cosine fell; they do not sum to it.`;
  const columns = data.sides.map((side, s) =>
    el("div", {}, el("h3", {}, TITLES[s]),
      side.tokens.length ? bars(`Shares of ${lowerFirst(TITLES[s])}`, data.pairs ? "adds" : "falls by", side.tokens, shares[s].values, decimals).element
        : el("p", { class: "note" }, "This text has no tokens.")));
  return section("shares", data.pairs ? "Shares of the tokens" : "The effect of each token", "", sentence, el("div", { class: "side-by-side" }, ...columns));
}

/** The pairs of words that add most. A click on a pair chooses it in the map. */
function wordPairs(data, map) {
  const decimals = data.word_pairs.length ? decimalsFor(data.word_pairs[0][2], 6) : 0;
  const isWeak = data.cosine < 0.05;
  const buttons = data.word_pairs.map(([first, second, share, i, j]) => {
    const pair = el("span", { class: "pair" }, el("bdi", {}, visiblePiece(first)), " × ", el("bdi", {}, visiblePiece(second)));
    const portion = isWeak ? [] : [el("span", { class: "portion" }, `${Math.round((100 * share) / data.cosine)}%`)];
    const text = [pair, el("b", {}, signed(share, decimals)), ...portion];
    // The map does not have the tokens that the page leaves out.
    const isInMap = i < data.sides[0].tokens.length && j < data.sides[1].tokens.length;
    return isInMap ? el("button", { type: "button", click: () => map.choose(i, j) }, ...text) : el("p", {}, ...text);
  });
  const spellings = data.sides.map((side) => {
    const characters = [...side.text];
    return side.words.map(([start, end]) => characters.slice(start, end).join("").toLowerCase());
  });
  const wordsOf = (...tokens) => tokens.map((token, s) => spellings[s][data.sides[s].word_of[token]]);
  const listed = data.word_pairs.map(([, , , i, j]) => wordsOf(i, j).join("\n"));
  const content = buttons.length
    ? el("ol", { class: "pairs" }, ...buttons.map((button) => el("li", {}, button)))
    : el("p", { class: "note" }, "There are no pairs of words.");
  const hint = isWeak ? "What each adds to the cosine." : "What each adds to the cosine, and what part of the cosine that is. A pair that occurs several times is listed once.";
  return {
    element: el("div", { class: "word-pairs" }, el("h3", {}, "The strongest pairs of words"), el("p", { class: "hint" }, hint), content),
    highlight(i, j) {
      const chosen = wordsOf(i, j);
      const row = chosen.includes(undefined) ? -1 : listed.indexOf(chosen.join("\n"));
      buttons.forEach((button, k) => (k === row ? button.setAttribute("aria-current", "true") : button.removeAttribute("aria-current")));
    },
  };
}

/** Colour the chips of both strips by what their tokens add. */
function tintChips(strips, shares) {
  const max = Math.max(...shares.map(({ values }) => maxAbs(values)));
  strips.forEach(({ element, chips }, s) => {
    element.classList.add("tinted");
    tint(chips, shares[s].values, max);
  });
}
