// The view of one text: a section for each stage on the way to its vector.

/** A section: its title, the shape of the result, a sentence about what happened, and the content. */
function section(id, title, shape, sentence, ...content) {
  const heading = el("h2", { id: `${id}-title`, tabindex: -1 }, title);
  const badge = shape ? [el("span", { class: "shape" }, shape)] : [];
  const head = el("div", { class: "title" }, heading, ...badge);
  return el("section", { id, "aria-labelledby": `${id}-title` }, head, el("p", { class: "sentence" }, sentence), ...content);
}

/** A table of contents: a link to each section. */
function tableOfContents(sections, label) {
  const links = sections.map((part) => {
    const heading = part.querySelector("h2");
    // In a frame without an address of its own, following the link would leave the frame. So the script scrolls instead.
    const scrollToPart = (event) => {
      event.preventDefault();
      part.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
      heading.focus({ preventScroll: true });
    };
    return el("li", {}, el("a", { href: `#${part.id}`, click: scrollToPart }, heading.textContent));
  });
  return el("nav", { "aria-label": label }, el("ol", { class: "toc" }, ...links));
}

/** The prompt and the text as the tokenizer receives them, and how it normalizes them. */
function tokenizerInput(side) {
  const lines = [];
  if (side.prompt) lines.push(["The model's prompt, which is put before the text", side.prompt]);
  lines.push(["The text", side.text === "" ? "(empty)" : side.text]);
  if (side.normalized) lines.push(["Normalized by the tokenizer", side.normalized]);
  return el("dl", { class: "tokenizer-input" }, ...lines.flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]));
}

/** The text, or "(empty)" if there is nothing to see in it. */
const quoted = (text) => (text.trim() === "" ? "(empty)" : text);

async function traceView(data, heading) {
  const sentence = (name) => data.stages.find((stage) => stage.name === name)?.sentence ?? "";
  const n = data.tokens.length;
  const shape = `[${grouped(data.count)} × ${grouped(data.hidden)}]`;
  const pieces = data.tokens.map((token) => token.piece);
  const names = tokenNames(data.tokens);
  // A token that is chosen in the strip or in the drift chart is chosen in all other parts too.
  const followers = [];
  const chooseEverywhere = (index) => followers.forEach((choose) => choose(index));
  const [shares, vector] = await Promise.all([data.shares && unpack(data.shares), unpack(data.vector)]);

  const strip = tokenStrip(data, { label: "Tokens", describe: describeToken, onChoose: chooseEverywhere });
  const ids = el("ol", { class: "ids" }, ...data.tokens.map((token) =>
    el("li", { class: token.kind }, el("span", {}, visiblePiece(token.piece)), el("b", {}, `${token.id}`))));
  const idsBox = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Ids" }, ids);
  const sections = [
    section("text", "Text", "", sentence("text"), tokenizerInput(data)),
    section("tokens", "Tokens", `[${grouped(data.count)}]`, sentence("tokens"), strip.element),
  ];
  if (n) {
    const embedding = await unpack(data.embedding);
    const lookups = heatmap({
      label: "Looked-up vectors: one row for each token",
      rows: pieces,
      columns: null,
      width: data.hidden,
      cell: { width: [2, 24], height: 20 },
      scale: "diverging",
      decimals: 2,
      describe: (i, j, value) => `${names[i]}[${j}] = ${value.toFixed(embedding.decimals)}`,
    });
    lookups.show(embedding.values);
    followers.push((index) => lookups.choose(index, lookups.column));
    sections.push(
      section("ids", "Ids", `[${grouped(data.count)}]`, "From here on, a token is a number. The model never sees a letter.", idsBox),
      section("token-vectors", "Token vectors", shape, sentence("embedding"), lookups.element),
      await contextSection(data, shape, followers, chooseEverywhere),
    );
  }
  const shareBars = shares && n ? bars("Each token's share of the vector", "share", data.tokens, shares.values, decimalsFor(maxAbs(shares.values), shares.decimals)) : null;
  if (shareBars) followers.push(shareBars.choose);
  const reason = data.why_no_shares ? `The vector cannot be divided among the tokens: ${data.why_no_shares}.` : "The text has no tokens.";
  const meaning = "How much of the vector comes from each token. The shares sum to 1.";
  sections.push(
    section("pooling", "Pooling", `[${grouped(data.pooled)}]`, sentence("pooling"),
      el("h3", {}, "Shares of the tokens"), el("p", { class: shareBars ? "hint" : "note" }, shareBars ? meaning : reason), ...(shareBars ? [shareBars.element] : [])),
    vectorSection(data, vector),
  );
  const facts = `${data.model} · ${plural(data.count, "token")} · ${plural(vector.values.length, "number")}`;
  const head = el("header", {}, el("p", { class: "kicker" }, "How a text becomes its vector"),
    el(heading, { class: "headline quoted" }, quoted(data.text)), el("p", { class: "facts" }, facts));
  return [head, tableOfContents(sections, "From text to vector"), ...sections];
}

async function contextSection(data, shape, followers, chooseEverywhere) {
  if (!data.layers) return section("context", "Context", shape, "There are no layers, so there is no attention to show, and no token moves.");
  const parts = [el("h3", {}, "Attention"), el("p", { class: "hint" }, "Each row belongs to one token, and shows how it divides its attention among the tokens named above the map.")];
  if (data.attention) {
    const maps = await Promise.all(data.attention.maps.map(unpack));
    const panel = attentionPanel(data.attention, maps, data.tokens, data.layers, data.text);
    followers.push(panel.chooseRow);
    parts.push(panel.element);
  } else {
    parts.push(el("p", { class: "note" }, data.left_out || "There is no attention to show."));
  }
  const drift = driftChart(await unpack(data.drift), data.tokens, chooseEverywhere);
  followers.push((index) => drift.choose(index, undefined, { quiet: true }));
  const meaning = "How far each token has moved from its looked-up vector, measured as 1 − cosine. 0 is not at all, 1 is a right angle.";
  parts.push(el("h3", {}, "Drift"), el("p", { class: "hint" }, meaning), drift.element);
  const finalNorm = data.stages.find((stage) => stage.name === "final norm");
  return section("context", "Context", shape, finalNorm ? `${data.context} ${finalNorm.sentence}` : data.context, ...parts);
}

function vectorSection(data, vector) {
  const size = vector.values.length;
  const width = Math.min(size, matchMedia("(max-width: 40rem)").matches ? 24 : 48);
  const map = heatmap({
    label: "The numbers of the vector, row by row",
    rows: null,
    columns: null,
    width,
    cell: { width: [6, 30], height: 20 },
    scale: "diverging",
    decimals: 3,
    describe: (i, j, value) => `vector[${i * width + j}] = ${value.toFixed(vector.decimals)}`,
  });
  const cells = new Float32Array(Math.ceil(size / width) * width).fill(NaN);
  cells.set(vector.values);
  map.show(cells);
  const stages = data.stages.slice(data.stages.findIndex((stage) => stage.name === "pooling") + 1);
  const numbers = () => el("p", { class: "all-numbers" }, Array.from(vector.values, (value) => value.toFixed(vector.decimals)).join(", "));
  return section("vector", "Vector", `[${grouped(size)}]`, stages.map((stage) => stage.sentence).join(" "),
    map.element, lazyDetails(`Show all ${grouped(size)} numbers`, numbers).element);
}
