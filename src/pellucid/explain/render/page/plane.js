// The plane: a dot for each text, in the colour and shape of its group.

// The palette's eight colours serve again for the ninth and later groups, each time with the next shape.
const SHAPES = ["M-1 0a1 1 0 1 0 2 0a1 1 0 1 0 -2 0", "M-.9-.9h1.8v1.8h-1.8z", "M0-1.2L1.1.8H-1.1z", "M0-1.3L1.3 0L0 1.3L-1.3 0z"];
const MAX_NUMBERED = 60;
const MAX_LARGE_DOTS = 300;

/** The dot of a group, as an SVG path. */
function groupDot(palette, group, x, y, size) {
  const d = SHAPES[Math.floor(group / palette.length) % SHAPES.length];
  const transform = `translate(${x} ${y}) scale(${size})`;
  return svg("path", { d, transform, fill: palette[group % palette.length], "vector-effect": "non-scaling-stroke" });
}

/**
 * positions: [n, 2] numbers; groups: the number of each text's group; describe: (texts) => the line above the plane;
 * onChoose: called with the text that the reader chooses. A text is named by its index.
 */
function planeChart({ palette, positions, groups, describe, onChoose }) {
  const n = groups.length;
  const readout = el("output", { class: "readout" });
  const role = { role: "application", "aria-roledescription": "scatter plot" };
  const label = "The texts in the plane. An arrow key chooses the next text in its direction.";
  const box = el("div", { class: n > MAX_LARGE_DOTS ? "plane many" : "plane", tabindex: 0, ...role, "aria-label": label });
  const range = (axis) => {
    const coordinates = positions.filter((_, i) => i % 2 === axis);
    return coordinates.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
  };
  const [[left, right], [bottom, top]] = n ? [range(0), range(1)] : [[0, 0], [0, 0]];
  const margin = 28;
  let [current, highlighted, width, dots, points] = [0, [], 0, [], []];

  function draw() {
    width = Math.max(240, box.clientWidth);
    const room = width - 2 * margin;
    const height = clamp((room * (top - bottom)) / (right - left || 1) + 2 * margin, 240, Math.max(300, 0.72 * width));
    // Both axes have the same scale, so distances can be compared in all directions.
    const scale = Math.min(room / (right - left || Infinity), (height - 2 * margin) / (top - bottom || Infinity));
    const fromMiddle = (value, low, high) => (Number.isFinite(scale) ? scale : 0) * (value - (low + high) / 2);
    points = groups.map((_, i) => [width / 2 + fromMiddle(positions[2 * i], left, right), height / 2 - fromMiddle(positions[2 * i + 1], bottom, top)]);
    dots = points.map(([x, y], i) => groupDot(palette, groups[i], x, y, n > 2000 ? 2.5 : n > MAX_LARGE_DOTS ? 4 : 6.5));
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" });
    // The dots are drawn from left to right, so that no group covers all others.
    picture.append(...dots.map((_, i) => i).sort((i, j) => points[i][0] - points[j][0]).map((i) => dots[i]));
    if (n <= MAX_NUMBERED) picture.append(...points.map(([x, y], i) => svg("text", { x: x + 10, y: y - 6 }, `${i + 1}`)));
    box.replaceChildren(picture);
    highlight(highlighted);
  }

  function highlight(texts) {
    for (const i of highlighted) dots[i].classList.remove("on");
    for (const i of texts) {
      dots[i].classList.add("on");
      dots[i].parentNode.append(dots[i]);
    }
    [highlighted, current] = [texts, texts[0] ?? current];
    readout.textContent = texts.length ? describe(texts) : "";
  }

  function choose(text) {
    highlight([text]);
    onChoose(text);
  }

  const distance = (i, x, y) => Math.hypot(points[i][0] - x, points[i][1] - y);

  function chooseAtPointer(event) {
    const area = box.getBoundingClientRect();
    const [x, y] = [event.clientX - area.left, event.clientY - area.top];
    const nearest = points.reduce((best, _, i) => (distance(i, x, y) < distance(best, x, y) ? i : best), 0);
    if (n && distance(nearest, x, y) < margin && !(highlighted.length === 1 && highlighted[0] === nearest)) choose(nearest);
  }

  /** The nearest text in a direction. The distance to the side counts double. */
  function nextText([right, down]) {
    const costs = points.map(([x, y], i) => {
      const [dx, dy] = [x - points[current][0], y - points[current][1]];
      const forward = dx * right + dy * down;
      return i !== current && forward > 0.01 ? forward + 2 * Math.abs(dx * down + dy * right) : Infinity;
    });
    return costs.reduce((best, cost, i) => (cost < costs[best] ? i : best), current);
  }

  box.addEventListener("keydown", (event) => {
    const directions = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
    if (!(event.key in directions) || event.altKey || !n) return;
    event.preventDefault();
    choose(nextText(directions[event.key]));
  });
  box.addEventListener("pointermove", chooseAtPointer);
  box.addEventListener("pointerdown", chooseAtPointer);
  new ResizeObserver(() => box.clientWidth !== width && draw()).observe(box);
  draw();
  const hint = el("p", { class: "hint" }, "Hover over a text, tap it, or focus the plane and use the arrow keys.");
  return { element: el("div", { class: "plane-view" }, el("div", { class: "line" }, readout), box, hint), highlight, choose };
}
