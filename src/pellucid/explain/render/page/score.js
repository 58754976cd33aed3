// The view of a score: what a cross-encoder's score changes without each part of a query and a document.

const PAIR_TITLES = ["The query", "The document"];

async function scoreView(data, heading) {
  const changesOf = (kind) => Promise.all(data.sides.map((side) => side[`${kind}_changes`] && unpack(side[`${kind}_changes`])));
  const [tokens, words, sentences] = await Promise.all(["token", "word", "sentence"].map(changesOf));
  const sections = [wordsSection(data, words), ...sentencesSection(data, sentences), ...strongestSection(data, words), pairTokensSection(data, tokens)];
  sections.push(await pairAttentionSection(data));
  const logit = data.activation === "identity" ? "" : ` · the ${data.activation} of the logit ${signed(data.logit, 3)}`;
  return [scoreHeader(data, heading, logit), tableOfContents(sections, "Contents"), ...sections];
}

/** The largest change of both texts, and how many decimals show it. */
function scaleOf(changes) {
  const max = Math.max(...changes.map((side) => (side ? maxAbs(side.values) : 0)));
  return { max, decimals: decimalsFor(max, 6) };
}

function wordsSection(data, changes) {
  const { max, decimals } = scaleOf(changes);
  const describe = (side) => (word, index) => {
    const name = isolated(word);
    if (!changes[side]) return name;
    const change = changes[side].values[index];
    return `${name}: ${signed(change, decimals)} · without it, the logit is ${signed(data.logit - change, 3)}`;
  };
  const parts = data.sides.flatMap((side, s) => [
    el("h3", {}, PAIR_TITLES[s]),
    ...(side.prompt ? [el("p", { class: "hint" }, "After the prompt ", el("b", {}, el("bdi", {}, side.prompt)))] : []),
    passage(side, changes[s], { label: `Words of ${lowerFirst(PAIR_TITLES[s])}`, max, describe: describe(s) }).element,
  ]);
  const sentence = "The colour of each word shows what the model's number changes because of it: the logit of the pair, minus the logit of the same pair without the word. Each number is exact. They do not add up to the score, because without one word the others mean something else.";
  return section("words", "Words", "", sentence, ...(max ? [changeLegend(max, decimals)] : []), ...parts);
}

/** The sentences of each text that has several. */
function sentencesSection(data, changes) {
  const { max, decimals } = scaleOf(changes);
  const parts = data.sides.flatMap((side, s) => {
    if (!changes[s] || side.sentences.length < 2) return [];
    const characters = [...side.text];
    const items = side.sentences.map(([start, end], index) => {
      const text = el("span", { class: "word", dir: "auto" }, characters.slice(start, end).join(""));
      return { text, element: el("li", {}, el("b", {}, signed(changes[s].values[index], decimals)), text) };
    });
    const list = el("ol", { class: "sentences" }, ...items.map(({ element }) => element));
    const draw = () => tint(items.map(({ text }) => text), changes[s].values, max);
    redrawOnTheme(list, draw);
    draw();
    return [el("h3", {}, PAIR_TITLES[s]), list];
  });
  if (!parts.length) return [];
  return [section("sentences", "Sentences", "", "What the logit changes because of each sentence: the pair was read again without it.", ...parts)];
}

function strongestSection(data, changes) {
  const { decimals } = scaleOf(changes);
  if (!data.sides.some((side) => side.strongest.length)) return [];
  const columns = data.sides.map((side, s) => {
    const words = side.strongest.map(([piece]) => ({ piece, kind: "text" }));
    const values = side.strongest.map(([, change]) => change);
    const content = words.length ? bars(`The strongest words of ${lowerFirst(PAIR_TITLES[s])}`, "change", words, values, decimals, "word").element
      : el("p", { class: "note" }, "No word of it changes the score.");
    return el("div", {}, el("h3", {}, PAIR_TITLES[s]), content);
  });
  const sentence = "The words that change the logit most, up or down. A word that occurs several times is listed once, where it counts most.";
  return [section("strongest", "The strongest words", "", sentence, el("div", { class: "side-by-side" }, ...columns))];
}

function pairTokensSection(data, changes) {
  const { max, decimals } = scaleOf(changes);
  const strips = data.sides.map((side, s) => tokenStrip(side, {
    label: `Tokens of ${lowerFirst(PAIR_TITLES[s])}`,
    describe: (token, index) => `${changes[s] ? `${signed(changes[s].values[index], decimals)} · ` : ""}${describeToken(token, index)}`,
  }));
  const draw = () => strips.forEach(({ element, chips }, s) => {
    if (!changes[s]) return;
    element.classList.add("tinted");
    tint(chips, changes[s].values, max);
  });
  redrawOnTheme(strips[0].element, draw);
  draw();
  const sentence = "What the model read, between the special tokens that it adds, and what the logit changes because of each token.";
  const shape = data.sides.map((side) => grouped(side.count)).join(" + ");
  return section("tokens", "Tokens", `[${shape}]`, sentence, ...strips.flatMap(({ element }, s) => [el("h3", {}, PAIR_TITLES[s]), element]));
}

async function pairAttentionSection(data) {
  const sentence = "How much the tokens of one text look at those of the other, as the mean over the heads. It shows what was read, not what counted: a token may be looked at and change nothing.";
  if (!data.attention) return section("attention", "Attention between the texts", "", sentence, el("p", { class: "note" }, "There is no attention to show."));
  const maps = await Promise.all([data.attention.query, data.attention.document].map(unpack));
  const panel = pairAttention(data, maps);
  return section("attention", "Attention between the texts", `[${maps[0].shape.slice(1).map(grouped).join(" × ")}]`, sentence, panel);
}

/** Two heat maps, one for each direction, of which one is shown; and the slider that chooses a layer. */
function pairAttention(data, maps) {
  const names = data.sides.map((side) => tokenNames(side.tokens));
  const pieces = data.sides.map((side) => side.tokens.map((token) => token.piece));
  const layers = maps[0].shape[0];
  const directions = ["The query looks at the document", "The document looks at the query"];
  let direction = 0;
  let layer = 0;
  const layerName = () => (layer ? `layer ${layer} of ${data.attention.layers}` : `mean of ${plural(data.attention.layers, "layer")}`);

  const heatmaps = maps.map((map, d) => heatmap({
    label: `${directions[d]}: each row shows how much its token looks at the token of each column`,
    rows: pieces[d],
    columns: pieces[1 - d],
    width: pieces[1 - d].length,
    cell: { width: [13, 44] },
    scale: "sequential",
    decimals: map.decimals,
    describe: (i, j, value) => `${names[d][i]} → ${names[1 - d][j]}: ${value.toFixed(map.decimals)}`,
    picture: {
      name: () => `attention-${d ? "document-query" : "query-document"}-${layer ? `layer-${layer}` : "mean"}`,
      lines: () => [data.sides.map((side) => `“${shortened(side.text, 60)}”`).join(" and "), `${directions[d]}: attention, ${layerName()}, mean of the heads · ${data.model}`],
    },
  }));
  const output = el("output", { for: "layer" });
  const slider = el("input", { type: "range", id: "layer", min: 0, max: layers - 1, value: 0, disabled: layers === 1 });
  slider.addEventListener("input", () => ((layer = Number(slider.value)), show()));
  const choices = directions.map((name, d) => {
    const input = el("input", { type: "radio", name: "direction", checked: d === direction });
    input.addEventListener("change", () => ((direction = d), show()));
    return el("label", { class: "choice" }, input, name);
  });

  function show() {
    output.textContent = layerName();
    slider.setAttribute("aria-valuetext", layerName());
    heatmaps.forEach((map, d) => (map.element.hidden = d !== direction));
    const size = maps[direction].shape[1] * maps[direction].shape[2];
    heatmaps[direction].show(maps[direction].values.subarray(layer * size, (layer + 1) * size));
  }

  for (direction of [1, 0]) {
    show();
    heatmaps[direction].chooseLargest();
  }
  const controls = el("div", { class: "controls" },
    el("fieldset", { class: "choices" }, el("legend", { class: "visually-hidden" }, "Direction"), ...choices),
    el("div", { class: "layer" }, el("label", { for: "layer" }, "Attention: ", output), slider));
  return el("div", {}, controls, ...heatmaps.map(({ element }) => element));
}
