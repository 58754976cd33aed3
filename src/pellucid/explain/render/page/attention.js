// Who looks at whom: a map for each layer and head, and small pictures of all heads to choose among.

/** maps: of each kept layer {shape: [1 + heads or 1, n, n], decimals, values}; attention: what contents.py says of them. */
function attentionPanel(attention, maps, tokens, layers) {
  const n = tokens.length;
  const pieces = tokens.map((token) => token.piece);
  const names = namesOf(tokens);
  let layer = maps.length - 1;
  let head = 0;

  const map = heatmap({
    label: "Attention: rows look at columns",
    rows: pieces,
    columns: pieces,
    width: n,
    cell: { width: [13, 44] },
    scale: "sequential",
    decimals: maps[0].decimals,
    say: (i, j, value) => `${names[i]} → ${names[j]}: ${value.toFixed(maps[layer].decimals)}`,
  });

  // The mean of the heads comes first, then the heads.
  const numbers = (which) => maps[layer].values.subarray(which * n * n, (which + 1) * n * n);

  const heads = Array.from({ length: 1 + attention.heads }, (_, which) => {
    const canvas = el("canvas", { class: n > 60 ? "smooth" : "", "aria-hidden": "true" });
    const input = el("input", { type: "radio", name: "head", checked: which === head });
    input.addEventListener("change", () => ((head = which), show()));
    return { which, canvas, element: el("label", { class: "head" }, input, canvas, el("span", {}, which === 0 ? "mean" : `${which}`)) };
  });
  const name = el("output", { for: "layer" });
  const slider = el("input", { type: "range", id: "layer", min: 0, max: maps.length - 1, value: layer, disabled: maps.length === 1 });
  slider.addEventListener("input", () => ((layer = Number(slider.value)), show()));

  function show() {
    name.textContent = `${attention.layers[layer]} of ${layers}`;
    slider.setAttribute("aria-valuetext", `layer ${name.textContent}`);
    for (const { which, canvas } of heads) paint(canvas, numbers(which), n, "sequential", strongest(numbers(which)));
    map.show(numbers(head));
  }

  show();
  map.chooseLargest();
  const legendText = attention.heads ? `Head, of ${attention.heads}` : "Head";
  const controls = el("div", { class: "controls" },
    el("div", { class: "layer" }, el("label", { for: "layer" }, "Layer ", name), slider),
    el("fieldset", { class: "heads" }, el("legend", {}, legendText), ...heads.map(({ element }) => element)));
  const notes = attention.note ? [el("p", { class: "note" }, attention.note)] : [];
  onTheme(controls, show);
  return { element: el("div", {}, ...notes, controls, map.element), chooseRow: (row) => map.choose(row, map.column) };
}
