// Many texts: which lie together, and how alike each is to each.

const LABELLED = 50;
const CLOSEST = 12;

async function mapView(data, heading) {
  const n = data.texts.length;
  const [plane, alike] = await Promise.all([unpack(data.plane), data.similarity && unpack(data.similarity)]);
  const names = [...new Set(data.labels)];
  const groups = data.labels.map((label) => names.indexOf(label));
  const short = (i) => `${i + 1} “${data.texts[i].length > 60 ? `${data.texts[i].slice(0, 60)}…` : data.texts[i]}”`;
  const light = (texts, except) => [chart, list].forEach((part) => part !== except && part.light(texts));

  const chart = planeChart({
    palette: data.palette,
    places: plane.values,
    groups,
    say: (texts) => texts.map(short).join(" × ") + (texts.length === 1 && names.length > 1 ? ` · ${data.labels[texts[0]]}` : ""),
    chosen: (i) => light([i], chart),
  });
  const list = textList(data, names, groups, (i) => chart.choose(i));
  const sections = [section("plane", "In the plane", `[${grouped(n)} × 2]`, [data.sentence, data.colours].join(" "), chart.element)];
  if (alike && n > 1) sections.push(alikeSection(data, alike, groups, short, light));
  const cut = data.cut.length === 1 ? "1 text is" : `${grouped(data.cut.length)} texts are`;
  const note = data.cut.length ? [el("p", { class: "note" }, `${cut} longer than the ${grouped(data.max_tokens)} tokens that the model reads. What comes after them had no part in the vectors.`)] : [];
  const sentence = names.length > 1 ? "Group after group; the numbers are those of the pictures." : "The numbers are those of the pictures.";
  sections.push(section("texts", "The texts", `[${grouped(n)}]`, sentence, ...note, list.element));
  const head = el("header", {}, el("p", { class: "kicker" }, "Which texts lie together"),
    el(heading, { class: "headline" }, `${grouped(n)} ${n === 1 ? "text" : "texts"}`), el("p", { class: "facts" }, data.model));
  return [head, way(sections, "What there is to see"), ...sections];
}

function alikeSection(data, alike, groups, short, light) {
  const n = groups.length;
  const labelled = n <= LABELLED;
  const numbers = data.texts.map((_, i) => `${i + 1}`);
  const map = heatmap({
    label: "Cosines: a row and a column for each text",
    rows: labelled ? data.texts.map((text, i) => `${i + 1}  ${text.slice(0, 80)}`) : null,
    columns: labelled ? numbers : null,
    width: n,
    cell: { width: [labelled ? 20 : 2, 52] },
    scale: "sequential",
    most: 1,
    decimals: 2,
    say: (i, j, value) => `${short(i)} × ${short(j)}: ${value.toFixed(alike.decimals)}`,
    chosen: (i, j) => light(i === j ? [i] : [i, j]),
  });
  map.element.classList.add("of-texts");
  map.element.querySelectorAll(".rows span").forEach((row, i) => {
    row.style.borderColor = data.palette[groups[i] % data.palette.length];
  });
  map.show(alike.values);
  const pairs = groups.flatMap((_, i) => Array.from({ length: n - i - 1 }, (_, k) => [i, i + k + 1]));
  const cosine = ([i, j]) => alike.values[i * n + j];
  const closest = pairs.sort((a, b) => cosine(b) - cosine(a)).slice(0, CLOSEST);
  map.choose(...closest[0], { scroll: false });
  const items = closest.map(([i, j]) => el("li", {}, el("button", { type: "button", click: () => map.choose(i, j) },
    el("span", { class: "pair" }, `${short(i)} × ${short(j)}`), el("b", {}, cosine([i, j]).toFixed(alike.decimals)))));
  return section("alike", "How alike each is to each", `[${grouped(n)} × ${grouped(n)}]`, "The cosine of each pair of vectors. 1 is the same direction, 0 has nothing in common.",
    map.element, el("h3", {}, "The most alike"), el("ol", { class: "pairs" }, ...items));
}

/** The texts under the names of their groups: they are in that order already. */
function textList(data, names, groups, chosen) {
  const buttons = data.texts.map((text, i) => {
    const words = text.trim() === "" ? "(empty)" : text;
    const cut = data.cut.includes(i) ? [el("i", {}, "cut")] : [];
    return el("button", { type: "button", click: () => chosen(i) }, el("span", {}, `${i + 1}`), el("span", { class: "words" }, words), ...cut);
  });
  const parts = names.map((name, group) => {
    const items = buttons.filter((_, i) => groups[i] === group).map((button) => el("li", {}, button));
    const key = svg("svg", { viewBox: "-1.5 -1.5 3 3", "aria-hidden": "true" }, markOf(data.palette, group, 0, 0, 1));
    const head = names.length > 1 ? [el("h3", {}, key, name, el("span", {}, grouped(items.length)))] : [];
    return el("div", { class: "group" }, ...head, el("ul", {}, ...items));
  });
  let lit = [];
  return {
    element: el("div", { class: "texts" }, ...parts),
    light(texts) {
      for (const i of lit) buttons[i].classList.remove("on");
      for (const i of texts) buttons[i].classList.add("on");
      lit = texts;
    },
  };
}
