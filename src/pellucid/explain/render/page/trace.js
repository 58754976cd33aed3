// The walk of one text: a section for each stage.

/** A numbered section: its title, the shape of what there is after it, what happened, and what there is to see. */
function section(id, title, shape, sentence, ...content) {
  const heading = el("h2", { id: `${id}-title`, tabindex: -1 }, title);
  const badge = shape ? [el("span", { class: "shape" }, shape)] : [];
  const head = el("div", { class: "title" }, heading, ...badge);
  return el("section", { id, "aria-labelledby": `${id}-title` }, head, el("p", { class: "sentence" }, sentence), ...content);
}

/** The way, as links to the sections; label says from where to where. */
function way(sections, label) {
  const links = sections.map((part) => {
    const heading = part.querySelector("h2");
    // A link to a part of this page would lead out of a frame that has no address of its own.
    const go = (event) => {
      event.preventDefault();
      part.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
      heading.focus({ preventScroll: true });
    };
    return el("li", {}, el("a", { href: `#${part.id}`, click: go }, heading.textContent));
  });
  return el("nav", { "aria-label": label }, el("ol", { class: "way" }, ...links));
}

/** The text as the tokenizer is given it. */
function given(side) {
  const lines = [];
  if (side.prompt) lines.push(["The model's prompt, put before it", side.prompt]);
  lines.push(["The text", side.text === "" ? "(empty)" : side.text]);
  if (side.normalized) lines.push(["What the tokenizer made of it first", side.normalized]);
  return el("dl", { class: "given" }, ...lines.flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]));
}

async function traceView(data, heading) {
  const sentence = (name) => data.stages.find((stage) => stage.name === name)?.sentence ?? "";
  const n = data.tokens.length;
  const each = `[${grouped(data.count)} × ${grouped(data.hidden)}]`;
  const pieces = data.tokens.map((token) => token.piece);
  const names = namesOf(data.tokens);
  const followers = [];
  const follow = (place) => followers.forEach((choose) => choose(place));
  const [shares, vector] = await Promise.all([data.shares && unpack(data.shares), unpack(data.vector)]);

  const tokenStrip = strip(data, { label: "Tokens", say: aboutToken, chosen: follow });
  const ids = el("ol", { class: "ids" }, ...data.tokens.map((token) =>
    el("li", { class: token.kind }, el("span", {}, shown(token.piece)), el("b", {}, `${token.id}`))));
  const idsBox = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Ids" }, ids);
  const sections = [
    section("text", "Text", "", sentence("text"), given(data)),
    section("tokens", "Tokens", `[${grouped(data.count)}]`, sentence("tokens"), tokenStrip.element),
  ];
  if (n) {
    const embedding = await unpack(data.embedding);
    const lookups = heatmap({
      label: "Looked-up vectors: a row for each token",
      rows: pieces,
      columns: null,
      width: data.hidden,
      cell: { width: [2, 24], height: 20 },
      scale: "diverging",
      decimals: 2,
      say: (i, j, value) => `${names[i]}[${j}] = ${value.toFixed(embedding.decimals)}`,
    });
    lookups.show(embedding.values);
    followers.push((place) => lookups.choose(place, lookups.column));
    sections.push(
      section("ids", "Ids", `[${grouped(data.count)}]`, "From here on a token is a number. The model never sees a letter.", idsBox),
      section("token-vectors", "Token vectors", each, sentence("embedding"), lookups.element),
      await contextSection(data, each, followers, follow),
    );
  }
  const own = shares && n ? bars("What share of the vector each token is", "share", data.tokens, shares.values, digits(largestOf(shares.values), shares.decimals)) : null;
  if (own) followers.push(own.choose);
  const why = data.why_no_shares ? `No token has a share of its own: ${data.why_no_shares}.` : "There is no token to have a share.";
  const sharing = "How much of the vector each token is. The shares sum to 1.";
  sections.push(
    section("pooling", "Pooling", `[${grouped(data.pooled)}]`, sentence("pooling"),
      el("h3", {}, "Shares of the tokens"), el("p", { class: own ? "hint" : "note" }, own ? sharing : why), ...(own ? [own.element] : [])),
    vectorSection(data, vector, sentence),
  );
  const facts = `${data.model} · ${grouped(data.count)} tokens · ${grouped(vector.values.length)} numbers`;
  const head = el("header", {}, el("p", { class: "kicker" }, "The walk of a text"),
    el(heading, { class: "headline quoted" }, data.text.trim() === "" ? "(empty)" : data.text), el("p", { class: "facts" }, facts));
  return [head, way(sections, "The way from text to vector"), ...sections];
}

async function contextSection(data, each, followers, follow) {
  const parts = [el("h3", {}, "Attention"), el("p", { class: "hint" }, "Each row is a token, and shows how its look is shared out among the tokens above.")];
  if (data.attention) {
    const maps = await Promise.all(data.attention.maps.map(unpack));
    const panel = attentionPanel(data.attention, maps, data.tokens, data.layers);
    followers.push(panel.chooseRow);
    parts.push(panel.element);
  } else {
    parts.push(el("p", { class: "note" }, data.left_out || "There is none."));
  }
  const drift = driftLines(await unpack(data.drift), data.tokens, follow);
  followers.push((place) => drift.choose(place, undefined, { quiet: true }));
  const meaning = "How far each token has moved from its looked-up vector: 1 − cosine. 0 is not at all, 1 is a right angle.";
  parts.push(el("h3", {}, "Drift"), el("p", { class: "hint" }, meaning), drift.element);
  const sentence = data.stages.find((stage) => stage.name === "layer 1").sentence;
  const again = `${sentence} ${data.layers} layers do so one after the other.`;
  const last = data.stages.find((stage) => stage.name === "final norm");
  return section("context", "Context", each, last ? `${again} ${last.sentence}` : again, ...parts);
}

function vectorSection(data, vector, sentence) {
  const size = vector.values.length;
  const width = Math.min(size, matchMedia("(max-width: 40rem)").matches ? 24 : 48);
  const map = heatmap({
    label: "The vector, in rows from left to right",
    rows: null,
    columns: null,
    width,
    cell: { width: [6, 30], height: 20 },
    scale: "diverging",
    decimals: 3,
    say: (i, j, value) => `vector[${i * width + j}] = ${value.toFixed(vector.decimals)}`,
  });
  const cells = new Float32Array(Math.ceil(size / width) * width).fill(NaN);
  cells.set(vector.values);
  map.show(cells);
  const after = data.stages.slice(data.stages.findIndex((stage) => stage.name === "pooling") + 1);
  const text = () => el("p", { class: "all" }, Array.from(vector.values, (value) => value.toFixed(vector.decimals)).join(", "));
  return section("vector", "Vector", `[${grouped(size)}]`, after.map((stage) => stage.sentence).join(" "),
    map.element, later(`All ${grouped(size)} numbers`, text).element);
}
