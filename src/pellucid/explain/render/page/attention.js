// The attention maps: one for each layer and head, and a thumbnail of each head to choose it by.

/**
 * maps: for each layer that the page has, {shape: [1 + heads or 1, n, n], decimals, values}.
 * attention: what contents.py says about them.
 * layers: the number of the model's layers.
 * text: the text, for the title of a picture.
 */
function attentionPanel(attention, maps, tokens, layers, text) {
  const n = tokens.length;
  const pieces = tokens.map((token) => token.piece);
  const names = tokenNames(tokens);
  let layer = maps.length - 1;
  let head = 0;

  const map = heatmap({
    label: "Attention: each row shows how much its token looks at the token of each column",
    rows: pieces,
    columns: pieces,
    width: n,
    cell: { width: [13, 44] },
    scale: "sequential",
    decimals: maps[0].decimals,
    describe: (i, j, value) => `${names[i]} → ${names[j]}: ${value.toFixed(maps[layer].decimals)}`,
    picture: {
      name: () => `attention-layer-${attention.layers[layer]}-${head ? `head-${head}` : "mean"}`,
      lines: () => [`“${text}”`, `Attention in layer ${attention.layers[layer]} of ${layers}, ${head ? `head ${head}` : "mean of the heads"}: each row divides 1 among the columns`],
    },
  });

  // The mean of the heads comes first, then each head.
  const numbersOf = (index) => maps[layer].values.subarray(index * n * n, (index + 1) * n * n);

  const heads = Array.from({ length: 1 + attention.heads }, (_, index) => {
    const canvas = el("canvas", { class: n > 60 ? "smooth" : "", "aria-hidden": "true" });
    const input = el("input", { type: "radio", name: "head", checked: index === head });
    input.addEventListener("change", () => ((head = index), show()));
    const label = index === 0 ? "mean" : `${index}`;
    return { index, canvas, element: el("label", { class: "head" }, input, canvas, el("span", {}, label)) };
  });
  const name = el("output", { for: "layer" });
  const slider = el("input", { type: "range", id: "layer", min: 0, max: maps.length - 1, value: layer, disabled: maps.length === 1 });
  slider.addEventListener("input", () => ((layer = Number(slider.value)), show()));

  function show() {
    name.textContent = `${attention.layers[layer]} of ${layers}`;
    slider.setAttribute("aria-valuetext", `layer ${name.textContent}`);
    for (const { index, canvas } of heads) {
      const numbers = numbersOf(index);
      paint(canvas, numbers, n, "sequential", strongestNumber(numbers));
    }
    map.show(numbersOf(head));
  }

  show();
  map.chooseLargest();
  const legendText = attention.heads ? `Head, of ${attention.heads}` : "Head";
  const controls = el("div", { class: "controls" },
    el("div", { class: "layer" }, el("label", { for: "layer" }, "Layer ", name), slider),
    el("fieldset", { class: "heads" }, el("legend", {}, legendText), ...heads.map(({ element }) => element)));
  const notes = attention.note ? [el("p", { class: "note" }, attention.note)] : [];
  redrawOnTheme(controls, show);
  return { element: el("div", {}, ...notes, controls, map.element), chooseRow: (row) => map.choose(row, map.column) };
}
