// The small tools of all parts. Nothing here or elsewhere reads text as HTML.

/** An element with attributes (functions are listeners) and children (strings become text). */
function el(tag, attributes = {}, ...children) {
  return built(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return built(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function built(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** The numbers of an array that `packing.py` wrote, row after row: {shape, decimals, values}. */
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

const grouped = (number) => number.toLocaleString("en");

const signed = (value, decimals) => `${value < 0 ? "" : "+"}${value.toFixed(decimals)}`;

/** A token's piece, with what cannot be seen made visible. */
const shown = (piece) => (piece === "" ? "␣" : piece.replaceAll("\n", "⏎"));

/** How many decimals leave three digits of the largest number. */
const digits = (most, stored) => clamp(2 - Math.floor(Math.log10(most || 1)), 3, stored);

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

const largestOf = (values) => values.reduce((most, value) => (Math.abs(value) > most ? Math.abs(value) : most), 0);

/** A details element whose content is made when it is opened, and made anew by refresh. */
function later(summary, make) {
  const content = el("div");
  const element = el("details", {}, el("summary", {}, summary), content);
  const refresh = () => content.replaceChildren(...(element.open ? [make()] : []));
  element.addEventListener("toggle", refresh);
  return { element, refresh };
}

/** A table of texts in a box that scrolls by itself; the first of each row is its head. */
function tableOf(caption, heads, rows) {
  const head = el("tr", {}, ...heads.map((text) => el("th", { scope: "col" }, text)));
  const body = rows.map(([name, ...cells]) =>
    el("tr", {}, el("th", { scope: "row" }, name), ...cells.map((cell) => el("td", {}, cell))),
  );
  const table = el("table", {}, el("caption", { class: "unseen" }, caption), el("thead", {}, head));
  table.append(el("tbody", {}, ...body));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, table);
}
