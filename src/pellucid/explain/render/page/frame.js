// The frame: the tokens that are in every text, such as [CLS] and [SEP]. It can be folded into one row and one column.

/**
 * A matrix of pairs of tokens, with each side's frame folded into its last row or column.
 *
 * pairs: {shape: [n, m], values}; wordsOf: for each side, the word of each token, or null for a token of the frame.
 * Returns {rows, columns, values}. rows[i] lists the tokens in row i; columns does the same.
 */
function foldFrame(pairs, wordsOf) {
  const [rows, columns] = wordsOf.map((words) => {
    const tokens = words.map((_, index) => index);
    const frame = tokens.filter((index) => words[index] === null);
    return [...tokens.filter((index) => words[index] !== null).map((index) => [index]), ...(frame.length ? [frame] : [])];
  });
  const values = new Float32Array(rows.length * columns.length);
  rows.forEach((first, i) => columns.forEach((second, j) => {
    for (const a of first) for (const b of second) values[i * columns.length + j] += pairs.values[a * pairs.shape[1] + b];
  }));
  return { rows, columns, values };
}

/** The same matrix with a row and a column for each token. */
function unfoldedFrame(pairs) {
  const [rows, columns] = pairs.shape.map((length) => Array.from({ length }, (_, index) => [index]));
  return { rows, columns, values: pairs.values };
}

/**
 * The heat map of all pairs of tokens, and a button that folds the frame and opens it again.
 *
 * data: what contents.py says about a comparison; onChoose: called with the first token of the chosen row and column.
 * Returns {element, choose}; choose takes a token of each text.
 */
function pairsMap(data, pairs, onChoose) {
  const wordsOf = data.sides.map((side) => side.word_of);
  const names = data.sides.map((side) => tokenNames(side.tokens));
  const frames = wordsOf.map((words) => words.filter((word) => word === null).length);
  const decimals = decimalsFor(maxAbs(pairs.values), pairs.decimals);
  // Next to the whole frame, the words would look pale. So they alone decide which number gets the strongest colour.
  const ofWords = pairs.values.filter((_, k) => wordsOf[0][Math.floor(k / pairs.shape[1])] !== null && wordsOf[1][k % pairs.shape[1]] !== null);
  let chosen = [0, 0];
  let isFolded = frames.some((count) => count > 0);
  let matrix, map;

  const button = el("button", { type: "button", class: "small", click: () => ((isFolded = !isFolded), draw()) });
  const explanation = el("span", { class: "hint" });
  const holder = el("div", {});
  const frameName = (tokens, s) => (tokens.length > 1 || wordsOf[s][tokens[0]] === null && isFolded ? "frame" : names[s][tokens[0]]);
  const find = (lists, token) => lists.findIndex((tokens) => tokens.includes(token));

  function draw() {
    matrix = isFolded ? foldFrame(pairs, wordsOf) : unfoldedFrame(pairs);
    const [rows, columns] = [matrix.rows.map((tokens) => frameName(tokens, 0)), matrix.columns.map((tokens) => frameName(tokens, 1))];
    map = heatmap({
      label: "How much each pair adds: rows are tokens of the first text, columns are tokens of the second",
      rows: matrix.rows.map((tokens, i) => (rows[i] === "frame" ? "frame" : data.sides[0].tokens[tokens[0]].piece)),
      columns: matrix.columns.map((tokens, j) => (columns[j] === "frame" ? "frame" : data.sides[1].tokens[tokens[0]].piece)),
      width: columns.length,
      cell: { width: [14, 52] },
      scale: "diverging",
      max: strongestNumber(ofWords) || undefined,
      decimals,
      describe: (i, j, value) => `${rows[i]} × ${columns[j]}: ${signed(value, decimals)}`,
      onChoose: (i, j) => onChoose(...(chosen = [matrix.rows[i][0], matrix.columns[j][0]])),
      picture: {
        name: "pairs-of-tokens",
        lines: [data.sides.map((side) => `“${shortened(side.text, 60)}”`).join(" and "), `cosine ${data.cosine.toFixed(4)}, as a sum over pairs of tokens · ${data.model}`],
      },
    });
    holder.replaceChildren(map.element);
    map.show(matrix.values, chosen.map((token, s) => find(s ? matrix.columns : matrix.rows, token)));
    button.textContent = isFolded ? "Open the frame" : "Fold the frame";
    button.setAttribute("aria-expanded", !isFolded);
    explanation.textContent = `The frame is what the model adds to every text: ${frames.map((count, s) => `${plural(count, "token")} in the ${s ? "second" : "first"} text`).join(", ")}.`;
  }

  draw();
  const control = frames.some((count) => count > 0) ? [el("p", { class: "frame-control" }, button, explanation)] : [];
  return {
    element: el("div", {}, holder, ...control),
    choose: (i, j) => map.choose(find(matrix.rows, i), find(matrix.columns, j)),
    get chosen() { return chosen; },
  };
}
