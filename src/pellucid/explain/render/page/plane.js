// The plane: a dot for each text, in the colour and shape of its group. The reader can choose a text, zoom and move.

// The palette's eight colours serve again for the ninth and later groups, each time with the next shape.
const SHAPES = ["M-1 0a1 1 0 1 0 2 0a1 1 0 1 0 -2 0", "M-.9-.9h1.8v1.8h-1.8z", "M0-1.2L1.1.8H-1.1z", "M0-1.3L1.3 0L0 1.3L-1.3 0z"];
const MAX_NUMBERED = 60;
const MAX_LARGE_DOTS = 300;
const MARGIN = 28;
const ZOOM_STEP = 1.5;

const shapeOf = (palette, group) => SHAPES[Math.floor(group / palette.length) % SHAPES.length];
const colorOf = (palette, group) => palette[group % palette.length];
const dotSize = (n, zoom) => (n > 2000 ? 2.5 : n > MAX_LARGE_DOTS ? 4 : 6.5) * Math.min(2, zoom ** 0.3);

/** The dot of a group, as an SVG path. */
function groupDot(palette, group, x, y, size) {
  const transform = `translate(${x} ${y}) scale(${size})`;
  return svg("path", { d: shapeOf(palette, group), transform, fill: colorOf(palette, group), "vector-effect": "non-scaling-stroke" });
}

/**
 * positions: [n, 2] numbers; groups: the number of each text's group; legend: the plane's legend, which says what is
 * hidden; describe: (texts) => the line above the plane; tip: (text) => the words next to its dot; onChoose: called with
 * the text that the reader chooses. A text is named by its index.
 */
function planeChart({ palette, positions, groups, legend, describe, tip, onChoose }) {
  const n = groups.length;
  const view = planeView(positions);
  const readout = el("output", { class: "readout" });
  const role = { role: "application", "aria-roledescription": "scatter plot" };
  const label = "The texts in the plane. An arrow key chooses the next text in its direction; plus and minus zoom, zero shows all.";
  const canvas = el("canvas", { "aria-hidden": "true" });
  const overlay = svg("svg", { "aria-hidden": "true" });
  const tooltip = el("div", { class: "tip", "aria-hidden": "true", hidden: true });
  const box = el("div", { class: "plane", tabindex: 0, ...role, "aria-label": label }, canvas, overlay, tooltip);
  // Dots are drawn from left to right, so that no group covers all others.
  const order = Uint32Array.from(groups, (_, i) => i).sort((i, j) => positions[2 * i] - positions[2 * j]);
  let [current, highlighted, size, points, request] = [0, [], [0, 0, MARGIN], { x: [], y: [] }, 0];

  function layOut() {
    const width = Math.max(240, box.clientWidth);
    size = [width, Math.round(view.heightFor(width, MARGIN)), MARGIN];
    box.style.height = `${size[1] + 2}px`;
    draw();
  }

  /** Draw soon. Many changes in a moment are drawn once. */
  const drawSoon = () => (request ||= requestAnimationFrame(draw));

  function draw() {
    cancelAnimationFrame(request);
    request = 0;
    points = view.project(...size);
    paintDots(canvas, { palette, groups, order, points, size, legend, radius: dotSize(n, view.zoom) });
    box.classList.toggle("zoomed", view.zoom > 1);
    drawOverlay();
  }

  /** The numbers of the texts, and a ring around each highlighted one. */
  function drawOverlay() {
    for (const [name, value] of Object.entries({ width: size[0], height: size[1], viewBox: `0 0 ${size[0]} ${size[1]}` })) overlay.setAttribute(name, value);
    const isShown = (i) => !legend.isHidden(groups[i]);
    const numbers = n <= MAX_NUMBERED ? groups.map((_, i) => i).filter(isShown) : [];
    overlay.replaceChildren(
      ...numbers.map((i) => svg("text", { x: points.x[i] + 10, y: points.y[i] - 6 }, `${i + 1}`)),
      ...highlighted.filter(isShown).map((i) => {
        const dot = groupDot(palette, groups[i], points.x[i], points.y[i], dotSize(n, view.zoom) + 1);
        dot.classList.add("on");
        return dot;
      }));
  }

  function highlight(texts) {
    [highlighted, current] = [texts, texts[0] ?? current];
    readout.textContent = texts.length ? describe(texts) : "";
    hideTip();
    drawOverlay();
  }

  function choose(text) {
    highlight([text]);
    showTip(text);
    onChoose(text);
  }

  function showTip(i) {
    tooltip.replaceChildren(...tip(i));
    tooltip.hidden = false;
    const [x, y] = [points.x[i], points.y[i]];
    tooltip.style.left = `${clamp(x - tooltip.offsetWidth / 2, 4, Math.max(4, size[0] - tooltip.offsetWidth - 4))}px`;
    tooltip.style.top = `${y > tooltip.offsetHeight + 20 ? y - tooltip.offsetHeight - 14 : y + 14}px`;
  }

  const hideTip = () => (tooltip.hidden = true);

  /** The nearest text that is shown, and closer than the margin; or -1. */
  function textAt(x, y) {
    let [nearest, least] = [-1, MARGIN ** 2];
    for (let i = 0; i < n; i++) {
      const square = (points.x[i] - x) ** 2 + (points.y[i] - y) ** 2;
      if (square < least && !legend.isHidden(groups[i])) [nearest, least] = [i, square];
    }
    return nearest;
  }

  /** The nearest text in a direction; in any direction if the current text is hidden. Distance to the side counts double. */
  function nextText([right, down]) {
    const isLost = legend.isHidden(groups[current]);
    let [best, least] = [current, Infinity];
    for (let i = 0; i < n; i++) {
      const [dx, dy] = [points.x[i] - points.x[current], points.y[i] - points.y[current]];
      const forward = dx * right + dy * down;
      const cost = isLost ? Math.hypot(dx, dy) : forward + 2 * Math.abs(dx * down + dy * right);
      if (i !== current && (isLost || forward > 0.01) && cost < least && !legend.isHidden(groups[i])) [best, least] = [i, cost];
    }
    return best;
  }

  function zoom(factor, x = size[0] / 2, y = size[1] / 2) {
    view.zoomAt(x - size[0] / 2, y - size[1] / 2, factor, ...size);
    hideTip();
    drawSoon();
  }

  function pan(dx, dy) {
    view.pan(dx, dy, ...size);
    hideTip();
    drawSoon();
  }

  function reset() {
    view.reset();
    hideTip();
    draw();
  }

  /** Move the content until the current text is inside the picture. */
  function bringIntoView() {
    const [x, y] = [points.x[current], points.y[current]];
    if (x >= 0 && x <= size[0] && y >= 0 && y <= size[1]) return;
    view.pan(size[0] / 2 - x, size[1] / 2 - y, ...size);
    draw();
  }

  box.addEventListener("keydown", (event) => {
    const directions = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
    const zooms = { "+": ZOOM_STEP, "=": ZOOM_STEP, "-": 1 / ZOOM_STEP };
    if (event.altKey || event.ctrlKey || event.metaKey || !n) return;
    if (request) draw(); // Keys can be faster than frames, and each goes from where the one before it has led.
    if (event.key in directions) {
      current = nextText(directions[event.key]);
      bringIntoView();
      if (!legend.isHidden(groups[current])) choose(current);
    } else if (event.key in zooms) zoom(zooms[event.key], clamp(points.x[current], 0, size[0]), clamp(points.y[current], 0, size[1]));
    else if (event.key === "0") reset();
    else if (event.key === "Escape") hideTip();
    else return;
    event.preventDefault();
  });
  box.addEventListener("focus", () => n && box.matches(":focus-visible") && !legend.isHidden(groups[current]) && (bringIntoView(), choose(current)));
  box.addEventListener("blur", hideTip);
  // A finger leaves when it is lifted. What it has tapped stays.
  box.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hideTip());
  followPointers(box, {
    onHover(x, y) {
      const text = textAt(x, y);
      if (text < 0) hideTip();
      else if (tooltip.hidden || highlighted.length !== 1 || highlighted[0] !== text) choose(text);
    },
    onDrag: pan,
    onZoom: zoom,
  });
  new ResizeObserver(() => box.clientWidth !== size[0] && layOut()).observe(box);
  redrawOnTheme(box, draw);
  layOut();

  const button = (text, name, act) => el("button", { type: "button", class: "small", "aria-label": name, click: act }, text);
  const controls = el("div", { class: "zoom", role: "group", "aria-label": "Zoom" },
    button("+", "Zoom in", () => zoom(ZOOM_STEP)), button("−", "Zoom out", () => zoom(1 / ZOOM_STEP)), button("Show all", "Show the whole plane", reset));
  return { element: box, readout, controls, highlight, choose, drawSoon, view };
}
