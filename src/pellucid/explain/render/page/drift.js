// How far each token moves: a line for each, from its looked-up vector through the layers.

/** drift: {shape: [layers, n], values}; chosen (token) => nothing, when the reader chooses a line. */
function driftLines(drift, tokens, chosen) {
  const [layers, n] = drift.shape;
  const most = Math.max(0.25, Math.ceil(4 * drift.values.reduce((a, b) => Math.max(a, b), 0)) / 4);
  const value = (layer, token) => (layer ? drift.values[(layer - 1) * n + token] : 0);
  const names = namesOf(tokens);
  const readout = el("output", { class: "readout" });
  const role = { role: "application", "aria-roledescription": "line chart" };
  const name = "How far each token is from its looked-up vector after each layer; arrow keys left and right for the layer, up and down for the token";
  const box = el("div", { class: "lines", tabindex: 0, ...role, "aria-label": name });
  const margin = { left: 40, right: 14, top: 12, bottom: 34 };
  let [layer, token] = [layers, 0];
  let wide = 0;
  const tall = 300;

  const x = (step) => margin.left + (step / layers) * (wide - margin.left - margin.right);
  const y = (height) => tall - margin.bottom - (height / most) * (tall - margin.top - margin.bottom);
  const points = (which) => Array.from({ length: layers + 1 }, (_, step) => `${x(step)},${y(value(step, which))}`).join(" ");
  const line = (which, look) => svg("polyline", { class: look, points: points(which) });

  function draw() {
    wide = Math.max(240, box.clientWidth);
    const picture = svg("svg", { viewBox: `0 0 ${wide} ${tall}`, width: wide, height: tall, "aria-hidden": "true" });
    for (let height = 0; height <= most + 1e-9; height += 0.25) {
      picture.append(svg("line", { class: "rule", x1: margin.left, x2: wide - margin.right, y1: y(height), y2: y(height) }));
      picture.append(svg("text", { x: margin.left - 8, y: y(height) + 4, "text-anchor": "end" }, height.toFixed(2)));
    }
    const every = Math.ceil((layers * 26) / (wide - margin.left - margin.right));
    for (let step = 0; step <= layers; step += step ? every : 1) {
      const anchor = step ? (step === layers ? "end" : "middle") : "start";
      const text = step ? `${step}` : "looked up";
      if (step === 0 || x(step) > 100) picture.append(svg("text", { x: x(step), y: tall - 12, "text-anchor": anchor }, text));
    }
    tokens.forEach((_, which) => which !== token && picture.append(line(which, n > 40 ? "faint thin" : "faint")));
    picture.append(line(token, "chosen"));
    for (let step = 0; step <= layers; step++) {
      const look = step === layer ? "dot on" : "dot";
      picture.append(svg("circle", { class: look, cx: x(step), cy: y(value(step, token)), r: step === layer ? 6 : 3 }));
    }
    box.replaceChildren(picture);
    const after = layer ? `after layer ${layer}: ${value(layer, token).toFixed(drift.decimals)}` : "as looked up: 0";
    readout.textContent = `${names[token]} · ${after}`;
  }

  function choose(newToken, newLayer = layer, { quiet = false } = {}) {
    [token, layer] = [clamp(newToken, 0, n - 1), clamp(newLayer, 0, layers)];
    draw();
    if (!quiet) chosen?.(token);
  }

  function pointed(event) {
    const area = box.getBoundingClientRect();
    const step = clamp(Math.round(((event.clientX - area.left - margin.left) / (wide - margin.left - margin.right)) * layers), 1, layers);
    const far = (which) => Math.abs(y(value(step, which)) - (event.clientY - area.top));
    const nearest = tokens.reduce((best, _, which) => (far(which) < far(best) ? which : best), 0);
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
  box.addEventListener("pointermove", pointed);
  box.addEventListener("pointerdown", pointed);
  new ResizeObserver(() => box.clientWidth !== wide && draw()).observe(box);
  draw();

  const heads = ["token", ...Array.from({ length: layers }, (_, step) => `layer ${step + 1}`)];
  const rows = () => tokens.map((_, which) =>
    [names[which], ...heads.slice(1).map((_, step) => value(step + 1, which).toFixed(drift.decimals))]);
  const table = later("The numbers as a table", () => tableOf("Drift of each token after each layer", heads, rows()));
  const hint = el("p", { class: "hint" }, "Point at a line, tap it, or use the arrow keys: up and down for the token, left and right for the layer.");
  return { element: el("div", { class: "drift" }, el("div", { class: "line" }, readout), box, hint, table.element), choose };
}
