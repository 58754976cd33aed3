// A heat map as a picture to download: its title, its labels, its numbers where they fit, and its legend.

const MAX_DRAWN_CELLS = 10_000;
const MIN_NUMBERED_CELL = 40;
const MAX_LABEL = 28;

/**
 * lines: the title; rows, columns, values, width, scale, max, decimals, marks: as in heatmap.js; ends: the legend's numbers.
 * Returns an SVG element.
 */
function heatmapPicture({ lines, rows, columns, values, width, scale, max, decimals, ends, marks = [] }) {
  const colors = paperColors(scale);
  const height = Math.ceil(values.length / width);
  const cell = clamp(Math.floor(760 / Math.max(width, 1)), 2, 48);
  const [rowLabels, columnLabels] = [rows, columns].map((texts) => (cell < 9 ? [] : (texts ?? []).map((text) => xmlText(shortened(visiblePiece(text), MAX_LABEL)))));
  const room = (labels) => (labels.length ? 16 + 7.4 * Math.max(...labels.map((text) => [...text].length)) : 0);
  const [left, above] = [24 + room(rowLabels), room(columnLabels)];
  const pictureWidth = Math.max(left + cell * width + 24, 520);
  const { picture, top: titleEnd } = paperPicture(pictureWidth, above + cell * height + 72, lines);
  const top = titleEnd + above;
  const fontSize = Math.min(12, cell - 1);
  const labelStyle = { "font-family": "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace", "font-size": fontSize, fill: "#51616a" };
  picture.append(
    svg("g", { ...labelStyle, "text-anchor": "end" }, ...rowLabels.map((text, i) => svg("text", { x: left - 8, y: top + (i + 0.5) * cell + 0.35 * fontSize }, text))),
    svg("g", labelStyle, ...columnLabels.map((text, j) => svg("text", { transform: `translate(${left + (j + 0.5) * cell + 0.35 * fontSize} ${top - 8}) rotate(-90)` }, text))),
    values.length <= MAX_DRAWN_CELLS ? drawnCells() : paintedCells(), drawnMarks(), legend());

  function drawnCells() {
    const group = svg("g", { "font-size": Math.min(11, cell / 4.2), "text-anchor": "middle" });
    values.forEach((value, k) => {
      if (Number.isNaN(value)) return;
      const [x, y] = [left + (k % width) * cell, top + Math.floor(k / width) * cell];
      const color = colors[colorStep(value, scale, max)].map(Math.round);
      group.append(svg("rect", { x, y, width: cell, height: cell, fill: `rgb(${color.join(",")})` }));
      const isDark = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] < 140;
      if (cell >= MIN_NUMBERED_CELL) group.append(svg("text", { x: x + cell / 2, y: y + cell / 2 + 4, fill: isDark ? "#ffffff" : "#17232a" }, value.toFixed(Math.min(decimals, 4))));
    });
    return group;
  }

  /** A frame around the cell that is marked in each row. */
  function drawnMarks() {
    const frames = marks.map((column, row) => svg("rect", { x: left + column * cell + 1, y: top + row * cell + 1, width: cell - 2, height: cell - 2 }));
    return svg("g", { fill: "none", stroke: "#d07a2f", "stroke-width": 2 }, ...frames);
  }

  /** Very many cells, as an image in the picture. */
  function paintedCells() {
    const [pixels, enlarged] = [el("canvas"), el("canvas", { width: cell * width, height: cell * height })];
    paint(pixels, values, width, scale, max, colors);
    const context = enlarged.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(pixels, 0, 0, enlarged.width, enlarged.height);
    return svg("image", { x: left, y: top, width: enlarged.width, height: enlarged.height, href: enlarged.toDataURL() });
  }

  function legend() {
    const y = top + cell * height + 24;
    const stops = Array.from({ length: 16 }, (_, i) => svg("stop", { offset: i / 15, "stop-color": `rgb(${colors[i * 17].map(Math.round).join(",")})` }));
    const text = (x, anchor, content) => svg("text", { x, y: y + 26, "text-anchor": anchor, "font-size": 12, fill: "#51616a" }, content);
    return svg("g", {}, svg("defs", {}, svg("linearGradient", { id: "scale" }, ...stops)),
      svg("rect", { x: left, y, width: 160, height: 10, rx: 5, fill: "url(#scale)" }), text(left, "start", ends[0]), text(left + 160, "end", ends[1]),
      svg("text", { x: pictureWidth - 24, y: y + 26, "text-anchor": "end", "font-size": 12, fill: "#51616a" }, "Pellucid"));
  }

  return picture;
}
