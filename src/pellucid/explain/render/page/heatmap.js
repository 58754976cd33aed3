// A heat map. The reader chooses a cell by hovering, tapping or the arrow keys, and the line above describes it.

const MAX_TABLE_CELLS = 4096;

/**
 * options:
 *   label      what the map shows, for readers who cannot see it
 *   rows, columns   their labels, or null
 *   width      the number of columns
 *   cell       {width: [min, max], height} in pixels; without height, cells are square
 *   scale      "sequential" or "diverging"
 *   max        the number with the strongest colour; by default strongestNumber() of the values
 *   decimals   how many the legend and the table show
 *   marks      the column to mark in each row; may be missing
 *   describe   (row, column, value) => the text of the line above
 *   onChoose   called with (row, column) when a cell is chosen; may be missing
 *   picture    {name, lines}: the file name and the title of the picture that the reader can download; name and lines
 *              may be functions; without it, there is no picture
 */
function heatmap(options) {
  const { rows, columns, width, scale } = options;
  let values = new Float32Array(0);
  let chosen = [0, 0];
  let size = [0, 0];
  let isPlaced = false;

  const readout = el("output", { class: "readout" });
  const legend = colorLegend(scale);
  const canvas = el("canvas", { "aria-hidden": "true" });
  const cursor = el("div", { class: "cursor", "aria-hidden": "true" });
  const labels = (kind, texts) =>
    el("div", { class: kind, "aria-hidden": "true" }, ...(texts ?? []).map((text) => el("span", {}, visiblePiece(text))));
  const [rowLabels, columnLabels] = [labels("rows", rows), labels("columns", columns)];
  const marks = (options.marks ?? []).map((column, row) => {
    const mark = el("i", { class: "mark", "aria-hidden": "true" });
    mark.style.left = `${(100 * (column + 0.5)) / width}%`;
    mark.style.top = `${(100 * (row + 0.5)) / options.marks.length}%`;
    return mark;
  });
  const cells = el("div", { class: "cells" }, canvas, ...marks, cursor);
  const grid = el("div", { class: "grid" }, el("div", { class: "corner" }), columnLabels, rowLabels, cells);
  const role = { role: "application", "aria-roledescription": "heat map", "aria-label": options.label };
  const box = el("div", { class: "box", tabindex: 0, ...role }, grid);
  const hint = el("p", { class: "hint" }, "Hover over a cell, tap it, or focus the map and use the arrow keys.");
  const foot = el("div", { class: "foot" }, hint);
  const element = el("div", { class: "map" }, el("div", { class: "line" }, readout, legend.element), box, foot);
  const height = () => Math.max(1, Math.ceil(values.length / width));

  const hasTable = rows && columns && rows.length * width <= MAX_TABLE_CELLS;
  const details = hasTable ? lazyDetails("Show the numbers as a table", table) : null;
  if (details) element.append(details.element);
  if (options.picture) foot.append(downloadButtons(() => valueOf(options.picture.name), picture));

  function table() {
    const numbers = rows.map((row, i) =>
      [visiblePiece(row), ...Array.from(values.subarray(i * width, (i + 1) * width), (v) => v.toFixed(options.decimals))]);
    return tableOf(options.label, ["", ...columns.map(visiblePiece)], numbers);
  }

  const strongest = () => options.max ?? strongestNumber(values);
  // Rounding alone must not make a number look as if it were beyond the scale.
  const legendEnds = () => [strongest(), options.decimals, 1.0001 * strongest() < maxAbs(values), values.some((value) => value < 0)];

  function draw() {
    paint(canvas, values, width, scale, strongest());
    legend.show(...legendEnds());
    layOut();
  }

  function picture() {
    const ends = scaleEnds(scale, ...legendEnds());
    return heatmapPicture({ lines: valueOf(options.picture.lines), rows, columns, values, width, scale, max: strongest(), decimals: options.decimals, ends, marks: options.marks });
  }

  /** Fit the cells to the width of the box. */
  function layOut() {
    const room = box.clientWidth - (rows ? rowLabels.offsetWidth : 0);
    const [minWidth, maxWidth] = options.cell.width;
    const cellWidth = clamp(Math.floor((10 * room) / width) / 10, minWidth, maxWidth);
    size = [cellWidth, options.cell.height ?? cellWidth];
    cells.style.width = `${size[0] * width}px`;
    cells.style.height = `${size[1] * height()}px`;
    grid.style.setProperty("--cell-width", `${size[0]}px`);
    grid.style.setProperty("--cell-height", `${size[1]}px`);
    markChosen();
    // Before the map is on the page, it cannot scroll to the cell that was chosen.
    if (!isPlaced && box.clientWidth) {
      isPlaced = true;
      scrollToChosen();
    }
  }

  /** Put the cursor on the chosen cell, and highlight its labels. */
  function markChosen() {
    const [i, j] = chosen;
    cursor.style.width = `${size[0]}px`;
    cursor.style.height = `${size[1]}px`;
    cursor.style.transform = `translate(${j * size[0]}px, ${i * size[1]}px)`;
    for (const [list, index] of [[rowLabels, i], [columnLabels, j]]) {
      list.querySelector(".on")?.classList.remove("on");
      list.children[index]?.classList.add("on");
    }
  }

  function choose(i, j, { scroll = true } = {}) {
    if (!values.length) return;
    i = clamp(i, 0, height() - 1);
    j = clamp(j, 0, Math.min(width, values.length - i * width) - 1);
    if (Number.isNaN(values[i * width + j])) return;
    chosen = [i, j];
    readout.textContent = options.describe(i, j, values[i * width + j]);
    markChosen();
    if (scroll) scrollToChosen();
    options.onChoose?.(i, j);
  }

  /** Scroll the box, and only the box, until the labels do not cover the chosen cell. */
  function scrollToChosen() {
    const visible = [box.clientWidth - rowLabels.offsetWidth, box.clientHeight - columnLabels.offsetHeight];
    const start = [chosen[1] * size[0], chosen[0] * size[1]];
    box.scrollLeft = clamp(box.scrollLeft, start[0] + size[0] - visible[0], start[0]);
    box.scrollTop = clamp(box.scrollTop, start[1] + size[1] - visible[1], start[1]);
  }

  function chooseAtPointer(event) {
    const area = cells.getBoundingClientRect();
    const [i, j] = [Math.floor((event.clientY - area.top) / size[1]), Math.floor((event.clientX - area.left) / size[0])];
    if (i !== chosen[0] || j !== chosen[1]) choose(i, j, { scroll: false });
  }

  box.addEventListener("keydown", (event) => {
    const [i, j] = chosen;
    const wholeMap = event.ctrlKey || event.metaKey;
    const moves = {
      ArrowUp: [i - 1, j], ArrowDown: [i + 1, j], ArrowLeft: [i, j - 1], ArrowRight: [i, j + 1],
      Home: [wholeMap ? 0 : i, 0], End: [wholeMap ? height() - 1 : i, width - 1],
    };
    if (!(event.key in moves) || event.altKey) return;
    event.preventDefault();
    choose(...moves[event.key]);
  });
  cells.addEventListener("pointermove", chooseAtPointer);
  cells.addEventListener("pointerdown", chooseAtPointer);
  redrawOnTheme(element, draw);
  new ResizeObserver(layOut).observe(box);

  return {
    element,
    choose,
    get row() { return chosen[0]; },
    get column() { return chosen[1]; },
    /** Show other numbers, and choose a cell; by default the one that is already chosen. */
    show(numbers, cell = chosen) {
      values = numbers;
      draw();
      choose(...cell, { scroll: false });
      details?.refresh();
    },
    /** Choose the cell with the largest number. */
    chooseLargest() {
      const largest = values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
      choose(Math.floor(largest / width), largest % width);
    },
  };
}
