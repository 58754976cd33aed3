// A map of numbers: hover, tap or the arrow keys choose a cell, and a line above says what it is.

const MOST_IN_TABLE = 4096;

/**
 * options:
 *   label      what the map shows, for those who do not see it
 *   rows, columns   labels, or null for none
 *   width      how many cells a row has
 *   cell       {width: [least, most], height: [least, most]} in pixels; without height, cells are square
 *   scale      "sequential" or "diverging"
 *   most       the number of the strongest colour; without it, what strongest() finds
 *   decimals   of the legend and the table
 *   say        (row, column, value) => what the line says
 *   chosen     (row, column) => nothing, when the reader chooses a cell
 */
function heatmap(options) {
  const { rows, columns, width, scale } = options;
  let values = new Float32Array(0);
  let at = [0, 0];
  let size = [0, 0];

  const readout = el("output", { class: "readout" });
  const key = legend(scale);
  const canvas = el("canvas", { "aria-hidden": "true" });
  const cursor = el("div", { class: "cursor", "aria-hidden": "true" });
  const labels = (kind, texts) =>
    el("div", { class: kind, "aria-hidden": "true" }, ...(texts ?? []).map((text) => el("span", {}, shown(text))));
  const [rowLabels, columnLabels] = [labels("rows", rows), labels("columns", columns)];
  const cells = el("div", { class: "cells" }, canvas, cursor);
  const grid = el("div", { class: "grid" }, el("div", { class: "corner" }), columnLabels, rowLabels, cells);
  const role = { role: "application", "aria-roledescription": "heat map", "aria-label": options.label };
  const box = el("div", { class: "box", tabindex: 0, ...role }, grid);
  const hint = el("p", { class: "hint" }, "Point at a cell, tap it, or choose the map and use the arrow keys.");
  const element = el("div", { class: "map" }, el("div", { class: "line" }, readout, key.element), box, hint);
  const height = () => Math.max(1, Math.ceil(values.length / width));

  const inTable = rows && columns && rows.length * width <= MOST_IN_TABLE;
  const details = inTable ? later("The numbers as a table", table) : null;
  if (details) element.append(details.element);

  function table() {
    const numbers = rows.map((row, i) =>
      [shown(row), ...Array.from(values.subarray(i * width, (i + 1) * width), (v) => v.toFixed(options.decimals))]);
    return tableOf(options.label, ["", ...columns.map(shown)], numbers);
  }

  function draw() {
    const most = options.most ?? strongest(values);
    paint(canvas, values, width, scale, most);
    key.show(most, options.decimals, !options.most && most < largestOf(values), values.some((value) => value < 0));
    lay();
  }

  function lay() {
    const room = box.clientWidth - (rows ? rowLabels.offsetWidth : 0);
    const least = options.cell.width[0];
    const across = clamp(Math.floor((10 * room) / width) / 10, least, options.cell.width[1]);
    size = [across, options.cell.height ?? across];
    cells.style.width = `${size[0] * width}px`;
    cells.style.height = `${size[1] * height()}px`;
    grid.style.setProperty("--across", `${size[0]}px`);
    grid.style.setProperty("--down", `${size[1]}px`);
    place();
  }

  function place() {
    const [i, j] = at;
    cursor.style.width = `${size[0]}px`;
    cursor.style.height = `${size[1]}px`;
    cursor.style.transform = `translate(${j * size[0]}px, ${i * size[1]}px)`;
    for (const [list, chosen] of [[rowLabels, i], [columnLabels, j]]) {
      list.querySelector(".on")?.classList.remove("on");
      list.children[chosen]?.classList.add("on");
    }
  }

  function choose(i, j, { scroll = true } = {}) {
    if (!values.length) return;
    i = clamp(i, 0, height() - 1);
    j = clamp(j, 0, Math.min(width, values.length - i * width) - 1);
    if (Number.isNaN(values[i * width + j])) return;
    at = [i, j];
    readout.textContent = options.say(i, j, values[i * width + j]);
    place();
    if (scroll) reveal();
    options.chosen?.(i, j);
  }

  /** Scroll the box, and only the box, until the chosen cell can be seen beside the labels. */
  function reveal() {
    const seen = [box.clientWidth - rowLabels.offsetWidth, box.clientHeight - columnLabels.offsetHeight];
    const start = [at[1] * size[0], at[0] * size[1]];
    box.scrollLeft = clamp(box.scrollLeft, start[0] + size[0] - seen[0], start[0]);
    box.scrollTop = clamp(box.scrollTop, start[1] + size[1] - seen[1], start[1]);
  }

  function pointed(event) {
    const area = cells.getBoundingClientRect();
    const [i, j] = [Math.floor((event.clientY - area.top) / size[1]), Math.floor((event.clientX - area.left) / size[0])];
    if (i !== at[0] || j !== at[1]) choose(i, j, { scroll: false });
  }

  box.addEventListener("keydown", (event) => {
    const [i, j] = at;
    const page = event.ctrlKey || event.metaKey;
    const moves = {
      ArrowUp: [i - 1, j], ArrowDown: [i + 1, j], ArrowLeft: [i, j - 1], ArrowRight: [i, j + 1],
      Home: [page ? 0 : i, 0], End: [page ? height() - 1 : i, width - 1],
    };
    if (!(event.key in moves) || event.altKey) return;
    event.preventDefault();
    choose(...moves[event.key]);
  });
  cells.addEventListener("pointermove", pointed);
  cells.addEventListener("pointerdown", pointed);
  onTheme(element, draw);
  new ResizeObserver(lay).observe(box);

  return {
    element,
    choose,
    get row() { return at[0]; },
    get column() { return at[1]; },
    /** Show other numbers; the chosen cell stays where it is. */
    show(numbers) {
      values = numbers;
      draw();
      choose(...at, { scroll: false });
      details?.refresh();
    },
    /** Choose the largest number. */
    chooseLargest() {
      const largest = values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
      choose(Math.floor(largest / width), largest % width);
    },
  };
}
