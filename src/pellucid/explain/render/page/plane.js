// Texts in the plane: a mark for each, in the colour and shape of its group.

// From the ninth group on the eight colours come again, as another shape.
const SHAPES = ["M-1 0a1 1 0 1 0 2 0a1 1 0 1 0 -2 0", "M-.9-.9h1.8v1.8h-1.8z", "M0-1.2L1.1.8H-1.1z", "M0-1.3L1.3 0L0 1.3L-1.3 0z"];
const NUMBERED = 60;
const MANY = 300;

function markOf(palette, group, x, y, size) {
  const d = SHAPES[Math.floor(group / palette.length) % SHAPES.length];
  const place = `translate(${x} ${y}) scale(${size})`;
  return svg("path", { d, transform: place, fill: palette[group % palette.length], "vector-effect": "non-scaling-stroke" });
}

/** places: [n, 2] numbers; groups: the number of each one's group; say (texts) => line; chosen (text) => nothing. */
function planeChart({ palette, places, groups, say, chosen }) {
  const n = groups.length;
  const readout = el("output", { class: "readout" });
  const role = { role: "application", "aria-roledescription": "scatter plot" };
  const label = "The texts in the plane; the arrow keys go to the next text in their direction";
  const box = el("div", { class: n > MANY ? "plane many" : "plane", tabindex: 0, ...role, "aria-label": label });
  const range = (axis) => {
    const all = places.filter((_, i) => i % 2 === axis);
    return all.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
  };
  const [[left, right], [bottom, top]] = n ? [range(0), range(1)] : [[0, 0], [0, 0]];
  const margin = 28;
  let [at, lit, wide, marks, points] = [0, [], 0, [], []];

  function draw() {
    wide = Math.max(240, box.clientWidth);
    const room = wide - 2 * margin;
    const tall = clamp((room * (top - bottom)) / (right - left || 1) + 2 * margin, 240, Math.max(300, 0.72 * wide));
    // One scale for both directions, so that a distance is a distance.
    const scale = Math.min(room / (right - left || Infinity), (tall - 2 * margin) / (top - bottom || Infinity));
    const along = (value, low, high) => (Number.isFinite(scale) ? scale : 0) * (value - (low + high) / 2);
    points = groups.map((_, i) => [wide / 2 + along(places[2 * i], left, right), tall / 2 - along(places[2 * i + 1], bottom, top)]);
    marks = points.map(([x, y], i) => markOf(palette, groups[i], x, y, n > 2000 ? 2.5 : n > MANY ? 4 : 6.5));
    const picture = svg("svg", { viewBox: `0 0 ${wide} ${tall}`, width: wide, height: tall, "aria-hidden": "true" });
    // From left to right, so that no group lies over all others.
    picture.append(...marks.map((_, i) => i).sort((i, j) => points[i][0] - points[j][0]).map((i) => marks[i]));
    if (n <= NUMBERED) picture.append(...points.map(([x, y], i) => svg("text", { x: x + 10, y: y - 6 }, `${i + 1}`)));
    box.replaceChildren(picture);
    light(lit);
  }

  function light(texts) {
    for (const i of lit) marks[i].classList.remove("on");
    for (const i of texts) {
      marks[i].classList.add("on");
      marks[i].parentNode.append(marks[i]);
    }
    [lit, at] = [texts, texts[0] ?? at];
    readout.textContent = texts.length ? say(texts) : "";
  }

  function choose(text) {
    light([text]);
    chosen(text);
  }

  const far = (i, x, y) => Math.hypot(points[i][0] - x, points[i][1] - y);

  function pointed(event) {
    const area = box.getBoundingClientRect();
    const [x, y] = [event.clientX - area.left, event.clientY - area.top];
    const nearest = points.reduce((best, _, i) => (far(i, x, y) < far(best, x, y) ? i : best), 0);
    if (n && far(nearest, x, y) < margin && !(lit.length === 1 && lit[0] === nearest)) choose(nearest);
  }

  /** The nearest text in a direction: what lies off the line counts double. */
  function next([right, down]) {
    const costs = points.map(([x, y], i) => {
      const [dx, dy] = [x - points[at][0], y - points[at][1]];
      const ahead = dx * right + dy * down;
      return i !== at && ahead > 0.01 ? ahead + 2 * Math.abs(dx * down + dy * right) : Infinity;
    });
    return costs.reduce((best, cost, i) => (cost < costs[best] ? i : best), at);
  }

  box.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
    if (!(event.key in steps) || event.altKey || !n) return;
    event.preventDefault();
    choose(next(steps[event.key]));
  });
  box.addEventListener("pointermove", pointed);
  box.addEventListener("pointerdown", pointed);
  new ResizeObserver(() => box.clientWidth !== wide && draw()).observe(box);
  draw();
  const hint = el("p", { class: "hint" }, "Point at a text, tap it, or choose the plane and use the arrow keys.");
  return { element: el("div", { class: "in-plane" }, el("div", { class: "line" }, readout), box, hint), light, choose };
}
