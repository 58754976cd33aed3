// The view of many texts: a plane that shows which are similar, and the similarity of each pair.

const MAX_LABELLED = 50;
const MAX_CLOSEST = 12;

async function mapView(data, heading) {
  const n = data.texts.length;
  const [plane, similarity] = await Promise.all([unpack(data.plane), data.similarity && unpack(data.similarity)]);
  const labels = [...new Set(data.labels)];
  const groups = data.labels.map((label) => labels.indexOf(label));
  const shortText = (i) => `${i + 1} “${data.texts[i].length > 60 ? `${data.texts[i].slice(0, 60)}…` : data.texts[i]}”`;
  const highlight = (texts, except) => [chart, list].forEach((part) => part !== except && part.highlight(texts));

  const chart = planeChart({
    palette: data.palette,
    positions: plane.values,
    groups,
    describe: (texts) => texts.map(shortText).join(" × ") + (texts.length === 1 && labels.length > 1 ? ` · ${data.labels[texts[0]]}` : ""),
    onChoose: (i) => highlight([i], chart),
  });
  const list = textList(data, labels, groups, (i) => chart.choose(i));
  const sections = [section("plane", "The texts in the plane", `[${grouped(n)} × 2]`, [data.sentence, data.colours].join(" "), chart.element)];
  if (similarity && n > 1) sections.push(similaritySection(data, similarity, groups, shortText, highlight));
  const cut = data.cut.length === 1 ? "1 text is" : `${grouped(data.cut.length)} texts are`;
  const note = data.cut.length ? [el("p", { class: "note" }, `${cut} longer than the ${grouped(data.max_tokens)} tokens that the model reads. The rest has no effect on the vectors.`)] : [];
  const numbering = `The numbers are the same as in the ${sections.length > 1 ? "charts" : "chart"} above.`;
  const sentence = labels.length > 1 ? `Sorted by group. ${numbering}` : numbering;
  sections.push(section("texts", "The texts", `[${grouped(n)}]`, sentence, ...note, list.element));
  const head = el("header", {}, el("p", { class: "kicker" }, "Which texts are similar"),
    el(heading, { class: "headline" }, `${grouped(n)} ${n === 1 ? "text" : "texts"}`), el("p", { class: "facts" }, data.model));
  return [head, tableOfContents(sections, "Contents"), ...sections];
}

function similaritySection(data, similarity, groups, shortText, highlight) {
  const n = groups.length;
  const isLabelled = n <= MAX_LABELLED;
  const numbers = data.texts.map((_, i) => `${i + 1}`);
  const map = heatmap({
    label: "Cosines: one row and one column for each text",
    rows: isLabelled ? data.texts.map((text, i) => `${i + 1}  ${text.slice(0, 80)}`) : null,
    columns: isLabelled ? numbers : null,
    width: n,
    cell: { width: [isLabelled ? 20 : 2, 52] },
    scale: "sequential",
    max: 1,
    decimals: 2,
    describe: (i, j, value) => `${shortText(i)} × ${shortText(j)}: ${value.toFixed(similarity.decimals)}`,
    onChoose: (i, j) => highlight(i === j ? [i] : [i, j]),
  });
  map.element.classList.add("text-rows");
  map.element.querySelectorAll(".rows span").forEach((row, i) => {
    row.style.borderColor = data.palette[groups[i] % data.palette.length];
  });
  map.show(similarity.values);
  const pairs = groups.flatMap((_, i) => Array.from({ length: n - i - 1 }, (_, k) => [i, i + k + 1]));
  const cosine = ([i, j]) => similarity.values[i * n + j];
  const closest = pairs.sort((a, b) => cosine(b) - cosine(a)).slice(0, MAX_CLOSEST);
  map.choose(...closest[0], { scroll: false });
  const items = closest.map(([i, j]) => el("li", {}, el("button", { type: "button", click: () => map.choose(i, j) },
    el("span", { class: "pair" }, `${shortText(i)} × ${shortText(j)}`), el("b", {}, cosine([i, j]).toFixed(similarity.decimals)))));
  return section("similarity", "The similarity of each pair", `[${grouped(n)} × ${grouped(n)}]`, "The cosine of each pair of vectors. 1 means the same direction, 0 means nothing in common.",
    map.element, el("h3", {}, "The most similar pairs"), el("ol", { class: "pairs" }, ...items));
}

/** The texts under the labels of their groups. The data has them in this order already. */
function textList(data, labels, groups, onChoose) {
  const buttons = data.texts.map((text, i) => {
    const cut = data.cut.includes(i) ? [el("i", {}, "cut")] : [];
    return el("button", { type: "button", click: () => onChoose(i) }, el("span", {}, `${i + 1}`), el("span", { class: "words" }, quoted(text)), ...cut);
  });
  const parts = labels.map((label, group) => {
    const items = buttons.filter((_, i) => groups[i] === group).map((button) => el("li", {}, button));
    const dot = svg("svg", { viewBox: "-1.5 -1.5 3 3", "aria-hidden": "true" }, groupDot(data.palette, group, 0, 0, 1));
    const head = labels.length > 1 ? [el("h3", {}, dot, label, el("span", {}, grouped(items.length)))] : [];
    return el("div", { class: "group" }, ...head, el("ul", {}, ...items));
  });
  let highlighted = [];
  return {
    element: el("div", { class: "texts" }, ...parts),
    highlight(texts) {
      for (const i of highlighted) buttons[i].classList.remove("on");
      for (const i of texts) buttons[i].classList.add("on");
      highlighted = texts;
    },
  };
}
