// Small helpers for all other scripts. No script of this page reads text as HTML.

/** Create an HTML element. Attributes that are functions become listeners; children that are strings become text. */
function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Create an SVG element, in the same way. */
function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Unpack an array that `packing.py` has written. Returns {shape, decimals, values}, with the values row by row. */
async function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed.data), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const size = planes.length / packed.planes;
  const values = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    let zigzag = 0;
    for (let plane = packed.planes - 1; plane >= 0; plane--) zigzag = zigzag * 256 + planes[plane * size + i];
    values[i] = (zigzag % 2 ? -(zigzag + 1) / 2 : zigzag / 2) / 10 ** packed.decimals;
  }
  return { shape: packed.shape, decimals: packed.decimals, values };
}

/** A number with a comma after each group of three digits. */
const grouped = (number) => number.toLocaleString("en");

/** A number and its noun: plural(1, "token") is "1 token", plural(2000, "token") is "2,000 tokens". */
const plural = (number, noun) => `${grouped(number)} ${noun}${number === 1 ? "" : "s"}`;

/** A number with its sign, also if it is positive. */
const signed = (value, decimals) => `${value < 0 ? "" : "+"}${value.toFixed(decimals)}`;

/** A token's piece, with visible signs for an empty piece and for line breaks. */
const visiblePiece = (piece) => (piece === "" ? "␣" : piece.replaceAll("\n", "⏎"));

/** A text for a line of other words. If it is written from right to left, it stays so and does not turn the line round. */
const isolated = (text) => (/\p{Script=Hebrew}|\p{Script=Arabic}|\p{Script=Syriac}|\p{Script=Thaana}|\p{Script=Nko}/u.test(text) ? `\u2068${text}\u2069` : text);

/** How many decimals show three digits of the largest number: at least 3, at most as many as the numbers have. */
const decimalsFor = (max, available) => clamp(2 - Math.floor(Math.log10(max || 1)), 3, available);

/** A value that may be given as a function without arguments. */
const valueOf = (value) => (typeof value === "function" ? value() : value);

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** The largest absolute value. */
const maxAbs = (values) => values.reduce((max, value) => (Math.abs(value) > max ? Math.abs(value) : max), 0);

/** A details element. make creates its content when the reader opens it; refresh creates the content again. */
function lazyDetails(summary, make) {
  const content = el("div");
  const element = el("details", {}, el("summary", {}, summary), content);
  const refresh = () => content.replaceChildren(...(element.open ? [make()] : []));
  element.addEventListener("toggle", refresh);
  return { element, refresh };
}

/** A table of texts in a box with its own scroll bars. The first cell of each row is the row's header. */
function tableOf(caption, headers, rows) {
  const head = el("tr", {}, ...headers.map((text) => el("th", { scope: "col" }, text)));
  const body = rows.map(([name, ...cells]) =>
    el("tr", {}, el("th", { scope: "row" }, name), ...cells.map((cell) => el("td", {}, cell))),
  );
  const table = el("table", {}, el("caption", { class: "visually-hidden" }, caption), el("thead", {}, head));
  table.append(el("tbody", {}, ...body));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, table);
}
