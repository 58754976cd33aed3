// How far each token moves: one line for each token, from its looked-up vector through all layers.

/** drift: {shape: [layers, n], values}; onChoose: called with the index of the token that the reader chooses. */
function driftChart(drift, tokens, onChoose) {
  const [layers, n] = drift.shape;
  const max = Math.max(0.25, Math.ceil(4 * drift.values.reduce((a, b) => Math.max(a, b), 0)) / 4);
  const value = (layer, token) => (layer ? drift.values[(layer - 1) * n + token] : 0);
  const names = tokenNames(tokens);
  const readout = el("output", { class: "readout" });
  const role = { role: "application", "aria-roledescription": "line chart" };
  const label = "How far each token has moved from its looked-up vector after each layer. Left and right arrow keys choose the layer, up and down the token.";
  const box = el("div", { class: "lines", tabindex: 0, ...role, "aria-label": label });
  const margin = { left: 40, right: 14, top: 12, bottom: 34 };
  let [layer, token] = [layers, 0];
  let width = 0;
  const height = 300;

  const x = (step) => margin.left + (step / layers) * (width - margin.left - margin.right);
  const y = (distance) => height - margin.bottom - (distance / max) * (height - margin.top - margin.bottom);
  const points = (index) => Array.from({ length: layers + 1 }, (_, step) => `${x(step)},${y(value(step, index))}`).join(" ");
  const line = (index, style) => svg("polyline", { class: style, points: points(index) });

  function draw() {
    width = Math.max(240, box.clientWidth);
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" });
    for (let distance = 0; distance <= max + 1e-9; distance += 0.25) {
      picture.append(svg("line", { class: "rule", x1: margin.left, x2: width - margin.right, y1: y(distance), y2: y(distance) }));
      picture.append(svg("text", { x: margin.left - 8, y: y(distance) + 4, "text-anchor": "end" }, distance.toFixed(2)));
    }
    const interval = Math.ceil((layers * 26) / (width - margin.left - margin.right));
    for (let step = 0; step <= layers; step += step ? interval : 1) {
      const anchor = step ? (step === layers ? "end" : "middle") : "start";
      const text = step ? `${step}` : "looked up";
      if (step === 0 || x(step) > 100) picture.append(svg("text", { x: x(step), y: height - 12, "text-anchor": anchor }, text));
    }
    tokens.forEach((_, index) => index !== token && picture.append(line(index, n > 40 ? "faint thin" : "faint")));
    picture.append(line(token, "chosen"));
    for (let step = 0; step <= layers; step++) {
      const style = step === layer ? "dot on" : "dot";
      picture.append(svg("circle", { class: style, cx: x(step), cy: y(value(step, token)), r: step === layer ? 6 : 3 }));
    }
    box.replaceChildren(picture);
    const after = layer ? `after layer ${layer}: ${value(layer, token).toFixed(drift.decimals)}` : "as looked up: 0";
    readout.textContent = `${names[token]} · ${after}`;
  }

  function choose(newToken, newLayer = layer, { quiet = false } = {}) {
    [token, layer] = [clamp(newToken, 0, n - 1), clamp(newLayer, 0, layers)];
    draw();
    if (!quiet) onChoose?.(token);
  }

  function chooseAtPointer(event) {
    const area = box.getBoundingClientRect();
    const step = clamp(Math.round(((event.clientX - area.left - margin.left) / (width - margin.left - margin.right)) * layers), 1, layers);
    const distance = (index) => Math.abs(y(value(step, index)) - (event.clientY - area.top));
    const nearest = tokens.reduce((best, _, index) => (distance(index) < distance(best) ? index : best), 0);
    if (step !== layer || nearest !== token) choose(nearest, step, { quiet: true });
  }

  box.addEventListener("keydown", (event) => {
    const moves = {
      ArrowUp: [token - 1, layer], ArrowDown: [token + 1, layer], ArrowLeft: [token, layer - 1], ArrowRight: [token, layer + 1],
      Home: [0, layer], End: [n - 1, layer],
    };
    if (!(event.key in moves) || event.altKey) return;
    event.preventDefault();
    choose(...moves[event.key]);
  });
  box.addEventListener("pointermove", chooseAtPointer);
  box.addEventListener("pointerdown", chooseAtPointer);
  new ResizeObserver(() => box.clientWidth !== width && draw()).observe(box);
  draw();

  const headers = ["token", ...Array.from({ length: layers }, (_, step) => `layer ${step + 1}`)];
  const rows = () => tokens.map((_, index) =>
    [names[index], ...headers.slice(1).map((_, step) => value(step + 1, index).toFixed(drift.decimals))]);
  const table = lazyDetails("Show the numbers as a table", () => tableOf("Drift of each token after each layer", headers, rows()));
  const hint = el("p", { class: "hint" }, "Hover over a line, tap it, or use the arrow keys: up and down for the token, left and right for the layer.");
  return { element: el("div", { class: "drift" }, el("div", { class: "line" }, readout), box, hint, table.element), choose };
}
