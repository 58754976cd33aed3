// The view of many texts: a plane that shows which are similar, and the similarity of each pair.

const MAX_LABELLED = 50;
const MAX_CLOSEST = 12;

async function mapView(data, heading) {
  const n = data.texts.length;
  const [plane, cut, similarity] = await Promise.all([unpack(data.plane), unpack(data.cut), data.similarity && unpack(data.similarity)]);
  const groups = data.labels.flatMap((_, group) => Array(data.counts[group]).fill(group));
  const shortText = (i) => `${i + 1} “${isolated(data.texts[i].length > 60 ? `${data.texts[i].slice(0, 60)}…` : data.texts[i])}”`;
  const highlight = (texts, except) => [chart, list].forEach((part) => part !== except && part.highlight(texts));

  const legend = planeLegend({ palette: data.palette, labels: data.labels, counts: data.counts, onChange: () => chart.drawSoon() });
  const labelOf = (i) => (data.labels.length > 1 ? data.labels[groups[i]] : "");
  const chart = planeChart({
    palette: data.palette,
    positions: plane.values,
    groups,
    legend,
    describe: (texts) => texts.map(shortText).join(" × ") + (texts.length === 1 && labelOf(texts[0]) ? ` · ${isolated(labelOf(texts[0]))}` : ""),
    tip: (i) => [el("p", { dir: "auto" }, el("b", {}, `${i + 1}`), " ", quoted(data.texts[i])), ...(labelOf(i) ? [el("small", {}, groupIcon(data.palette, groups[i]), labelOf(i))] : [])],
    onChoose: (i) => highlight([i], chart),
  });
  const list = textList(data, (i) => cut.values[i] > 0, (i) => chart.choose(i));
  const sections = [section("plane", "The texts in the plane", `[${grouped(n)} × 2]`, [data.sentence, data.colours].join(" "), planeParts(data, groups, chart, legend))];
  if (similarity && n > 1) sections.push(similaritySection(data, similarity, groups, shortText, highlight));
  sections.push(textsSection(data, cut, list, sections.length > 1 ? "charts" : "chart"));
  const head = el("header", {}, el("p", { class: "kicker" }, "Which texts are similar"),
    el(heading, { class: "headline" }, plural(n, "text")), el("p", { class: "facts" }, data.model));
  return [head, tableOfContents(sections, "Contents"), ...sections];
}

/** The plane with its legend beside it, and the controls below. */
function planeParts(data, groups, chart, legend) {
  const n = groups.length;
  const hint = el("p", { class: "hint" }, n
    ? "Hover over a text or tap it. Drag to move; to zoom, click the plane and turn the wheel, or pinch. Keys: arrows, plus, minus, zero."
    : "There are no texts.");
  const foot = el("div", { class: "foot" }, hint, chart.controls, downloadButtons(() => `map-of-${n}-texts`, () => planePicture(data, groups, chart.view, legend)));
  const hasLegend = data.labels.length > 1;
  return el("div", { class: "plane-view" }, el("div", { class: "line" }, chart.readout),
    el("div", { class: hasLegend ? "plane-columns" : "" }, chart.element, ...(hasLegend ? [legend.element] : [])), foot);
}

function textsSection(data, cut, list, charts) {
  const cutCount = cut.values.reduce((sum, isCut) => sum + isCut, 0);
  const notes = [];
  if (cutCount) notes.push(`${cutCount === 1 ? "1 text is" : `${grouped(cutCount)} texts are`} longer than the ${grouped(data.max_tokens)} tokens that the model reads. The rest has no effect on the vectors.`);
  if (data.texts.some((text) => text.length > data.max_characters)) notes.push(`The page shows the first ${grouped(data.max_characters)} characters of each text.`);
  const numbering = `The numbers are the same as in the ${charts} above.`;
  const sentence = data.labels.length > 1 ? `Sorted by group. ${numbering}` : numbering;
  return section("texts", "The texts", `[${grouped(data.texts.length)}]`, sentence, ...notes.map((note) => el("p", { class: "note" }, note)), list.element);
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
    picture: { name: `similarity-of-${n}-texts`, lines: [`The similarity of ${grouped(n)} texts`, `The cosine of each pair · ${data.model}`] },
  });
  map.element.classList.add("text-rows");
  map.element.querySelectorAll(".rows span").forEach((row, i) => {
    row.style.borderColor = colorOf(data.palette, groups[i]);
  });
  map.show(similarity.values);
  const cosine = ([i, j]) => similarity.values[i * n + j];
  const pairs = groups.flatMap((_, i) => Array.from({ length: n - i - 1 }, (_, k) => [i, i + k + 1]));
  const closest = pairs.sort((a, b) => cosine(b) - cosine(a)).slice(0, MAX_CLOSEST);
  map.choose(...closest[0], { scroll: false });
  const items = closest.map(([i, j]) => el("li", {}, el("button", { type: "button", click: () => map.choose(i, j) },
    el("span", { class: "pair" }, `${shortText(i)} × ${shortText(j)}`), el("b", {}, cosine([i, j]).toFixed(similarity.decimals)))));
  return section("similarity", "The similarity of each pair", `[${grouped(n)} × ${grouped(n)}]`, "The cosine of each pair of vectors. 1 means the same direction, 0 means nothing in common.",
    map.element, el("h3", {}, "The most similar pairs"), el("ol", { class: "pairs" }, ...items));
}
