// The view of an alignment: the token of the document that each token of the query found, and what that adds to MaxSim.

const MANY_FOUND = 36;
const MANY_FINDERS = 3;
const CONTEXT = 24;
const EXPANSION_NOTE = "fills up the query";

async function alignmentView(data, heading) {
  const [parts, adds, similarities] = await Promise.all([data.parts, data.document_parts, data.similarities].map(unpack));
  const sections = [];
  if (data.matches.length) {
    // A pair that is chosen in one part of the page is highlighted in all others.
    const followers = [];
    const choose = (i, j) => followers.forEach((follow) => follow(i, j));
    const map = similarityMap(data, similarities, (i, j) => followers.slice(1).forEach((follow) => follow(i, j)));
    const table = foundTable(data, parts, choose);
    const text = foundPassage(data, parts, adds);
    followers.push(map.choose, table.highlight, text.choose);
    sections.push(foundSection(data, table), documentSection(data, text), mapSection(data, map));
    choose(strongestWord(data, parts), data.matches[strongestWord(data, parts)]);
  } else {
    sections.push(section("tokens", "Tokens", `[${data.sides.map((side) => grouped(side.count)).join(" + ")}]`, "One of the texts has no token with a vector.", ...data.sides.flatMap(skippedTokens)));
  }
  return [scoreHeader(data, heading), tableOfContents(sections, "Contents"), ...sections];
}

const isExpansion = (side, index) => index >= side.tokens.length - side.expansion;

/** The token of the query that adds most, of those that are not special if there are any. */
function strongestWord(data, parts) {
  const tokens = data.sides[0].tokens;
  const rows = tokens.map((_, i) => i).filter((i) => tokens[i].kind !== "special");
  return (rows.length ? rows : [...tokens.keys()]).reduce((best, i) => (parts.values[i] > parts.values[best] ? i : best));
}

/** A line about a token of the document: what it adds, and which tokens of the query found it. */
function describeFound(data, parts, adds, index) {
  const names = tokenNames(data.sides[0].tokens);
  const finders = [...data.matches.keys()].filter((i) => data.matches[i] === index).sort((a, b) => parts.values[b] - parts.values[a]);
  const name = isolated(visiblePiece(data.sides[1].tokens[index].piece));
  if (!finders.length) return `${name}: no token of the query found it`;
  const listed = finders.slice(0, MANY_FINDERS).map((i) => `${names[i]} ${parts.values[i].toFixed(3)}`).join(", ");
  const more = finders.length - MANY_FINDERS;
  return `${name}: ${signed(adds.values[index], 3)} · found by ${listed}${more > 0 ? ` and ${grouped(more)} more` : ""}`;
}

// What each token found

function foundSection(data, table) {
  const [query, document] = data.sides;
  const sentence = "Each token of the query finds the token of the document whose vector is most similar. The score, MaxSim, is the sum of these similarities. Nothing is approximated.";
  const filled = query.expansion ? [el("p", { class: "hint" }, `The model fills up the query with ${plural(query.expansion, "token")}. They have vectors and find tokens too, but stand for no word.`)] : [];
  return section("found", "What each token found", `[${grouped(query.count)} of ${grouped(document.count)}]`, sentence, ...(query.prompt ? [el("p", { class: "hint" }, "After the prompt ", el("b", {}, el("bdi", {}, query.prompt)))] : []), ...filled, table.element, ...skippedTokens(query));
}

/** A row for each token of the query. choose: called with the positions of the two tokens of a row. */
function foundTable(data, parts, choose) {
  const [query, document] = data.sides;
  const decimals = decimalsFor(maxAbs(parts.values), 4);
  const max = maxAbs(parts.values) || 1;
  const rows = query.tokens.map((token, i) => {
    const j = data.matches[i];
    const bar = el("div", { class: parts.values[i] < 0 ? "bar negative" : "bar" });
    bar.style.width = `${(100 * Math.abs(parts.values[i])) / max}%`;
    const found = el("button", { type: "button", class: document.tokens[j].kind, click: () => choose(i, j) }, visiblePiece(document.tokens[j].piece));
    found.addEventListener("focus", () => choose(i, j));
    const note = isExpansion(query, i) ? [" ", el("small", {}, EXPANSION_NOTE)] : [];
    const row = el("tr", {}, el("th", { scope: "row", class: token.kind }, visiblePiece(token.piece), ...note), el("td", { class: "track" }, bar),
      el("td", {}, parts.values[i].toFixed(decimals)), el("td", { class: "found" }, found), el("td", { class: "context", dir: "auto" }, ...context(document, document.tokens[j])));
    // Not "pointerenter": the page may also scroll under a pointer that rests, when the reader uses the keyboard.
    row.addEventListener("pointermove", () => row.classList.contains("on") || choose(i, j));
    return row;
  });
  const more = query.count - query.tokens.length;
  if (more) rows.push(el("tr", {}, el("th", { scope: "row", class: "special" }, `${plural(more, "more token")}`), el("td"), el("td", {}, data.rest.toFixed(decimals)), el("td"), el("td")));
  const headings = [["", "query"], ["visually-hidden", "bar"], ["", "adds"], ["", "found"], ["", "in the document"]];
  const label = "What each token of the query found";
  const table = el("table", { class: "bars alignment" }, el("caption", { class: "visually-hidden" }, label),
    el("thead", {}, el("tr", {}, ...headings.map(([style, text]) => el("th", { scope: "col" }, el("span", { class: style }, text))))), el("tbody", {}, ...rows),
    el("tfoot", {}, el("tr", {}, el("th", { scope: "row" }, "score"), el("td"), el("td", {}, data.score.toFixed(decimals)), el("td"), el("td"))));
  return {
    element: el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, table),
    highlight(i) {
      table.querySelector(".on")?.classList.remove("on");
      rows[i]?.classList.add("on");
    },
  };
}

/** A token of a text with the characters around it. */
function context(side, token) {
  const characters = [...side.prompt, ...side.text];
  if (token.start >= token.end) return [KIND_NOTES[token.kind]];
  const part = (start, end) => characters.slice(Math.max(0, start), end).join("").replaceAll(/\s+/g, " ");
  const [before, after] = [token.start > CONTEXT ? "…" : "", token.end + CONTEXT < characters.length ? "…" : ""];
  return [before + part(token.start - CONTEXT, token.start), el("mark", {}, part(token.start, token.end)), part(token.end, token.end + CONTEXT) + after];
}

/** The tokens that the model read, but that have no vector: each spelling once. */
function skippedTokens(side) {
  if (!side.skipped_count) return [];
  const counts = new Map();
  for (const { piece } of side.skipped) counts.set(piece, (counts.get(piece) ?? 0) + 1);
  const chips = [...counts].map(([piece, count]) => ({ piece: count > 1 ? `${piece} × ${count}` : piece, kind: "text" }));
  return [tokensLeftOut(`Skipped: the model gives no vector to ${plural(side.skipped_count, "token")}.`, chips, chips.length, "cut skipped")];
}

// The document

function documentSection(data, text) {
  const sentence = "The colour of a token shows what it adds to the score: the similarities of all tokens of the query that found it. What has no colour was found by none.";
  const side = data.sides[1];
  const more = side.count - side.tokens.length;
  const left = more ? [el("p", { class: "hint" }, `The text is long. Its tokens here are those that were found, and the first others: ${grouped(side.tokens.length)} of ${grouped(side.count)}.`)] : [];
  const prompt = side.prompt ? [el("p", { class: "hint" }, "After the prompt ", el("b", {}, el("bdi", {}, side.prompt)))] : [];
  return section("document", "The document", `[${grouped(side.count)}]`, sentence, ...prompt, text.element, ...left, ...skippedTokens(side), ...(side.cut_count ? [cutTokens(side)] : []));
}

/** The document as a text whose tokens have colours, and a strip of the tokens that are not in the text, such as [CLS]. */
function foundPassage(data, parts, adds) {
  const side = data.sides[1];
  const prompt = [...side.prompt].length;
  const length = [...side.text].length;
  const [inside, outside] = [[], []];
  let end = 0;
  side.tokens.forEach(({ start, end: stop }, index) => {
    // Several tokens of one character, such as the bytes of an emoji, have the same place. The first one stands for them.
    const isInside = start - prompt >= end && start < stop && stop - prompt <= length;
    (isInside ? inside : outside).push(index);
    if (isInside) end = stop - prompt;
  });
  const max = maxAbs(adds.values);
  const valuesOf = (indices) => ({ values: Float32Array.from(indices, (index) => adds.values[index]) });
  const words = inside.map((index) => [side.tokens[index].start - prompt, side.tokens[index].end - prompt]);
  const text = passage({ ...side, words }, valuesOf(inside), { label: "Tokens of the document", max, describe: (_, k) => describeFound(data, parts, adds, inside[k]) });
  const elements = [text.element];
  let strip = null;
  if (outside.length) {
    const others = { tokens: outside.map((index) => side.tokens[index]), count: outside.length, cut: [], cut_count: 0 };
    strip = tokenStrip(others, { label: "Tokens that are not in the text", describe: (_, k) => describeFound(data, parts, adds, outside[k]) });
    strip.element.classList.add("tinted");
    const draw = () => tint(strip.chips, valuesOf(outside).values, max);
    redrawOnTheme(strip.element, draw);
    draw();
    elements.push(el("h3", {}, "Tokens that are not in the text"), strip.element);
  }
  return {
    element: el("div", { class: "found-text" }, ...elements),
    choose(_, j) {
      if (inside.includes(j)) text.choose(inside.indexOf(j));
      else strip?.choose(outside.indexOf(j), { quiet: true });
    },
  };
}

// The map

function mapSection(data, map) {
  const shape = data.sides.map((side) => grouped(side.count)).join(" × ");
  return section("similarities", "All similarities", `[${shape}]`, "Each row is a token of the query, each column a token of the document, and the colour is the similarity of their vectors. The dot marks the best of each row: these add up to the score.", map.element);
}

/** The heat map of all pairs of tokens, and a button that leaves out the columns that no token of the query found. */
function similarityMap(data, similarities, onChoose) {
  const [query, document] = data.sides;
  const names = data.sides.map((side) => tokenNames(side.tokens));
  const all = document.tokens.map((_, j) => j);
  const found = all.filter((j) => data.matches.includes(j));
  const decimals = decimalsFor(maxAbs(similarities.values), similarities.decimals);
  let chosen = [0, data.matches[0]];
  let isShort = all.length > MANY_FOUND && found.length < all.length;
  let columns, map;

  const button = el("button", { type: "button", class: "small", click: () => ((isShort = !isShort), draw()) });
  const holder = el("div", {});

  function draw() {
    columns = isShort ? found : all;
    map = heatmap({
      label: "How similar the tokens are: rows are tokens of the query, columns are tokens of the document",
      rows: query.tokens.map((token) => token.piece),
      columns: columns.map((j) => document.tokens[j].piece),
      width: columns.length,
      cell: { width: [14, 44] },
      scale: "sequential",
      decimals,
      marks: data.matches.map((match) => columns.indexOf(match)),
      describe: (i, k, value) => `${names[0][i]} × ${names[1][columns[k]]}: ${value.toFixed(decimals)}${data.matches[i] === columns[k] ? " · the best of its row" : ""}`,
      onChoose: (i, k) => onChoose(...(chosen = [i, columns[k]])),
      picture: {
        name: "alignment",
        lines: [data.sides.map((side) => `“${shortened(side.text, 60)}”`).join(" and "), `score ${data.score.toFixed(4)}, the sum of the best of each row · ${data.model}`],
      },
    });
    holder.replaceChildren(map.element);
    const values = query.tokens.flatMap((_, i) => columns.map((j) => similarities.values[i * all.length + j]));
    map.show(Float32Array.from(values), [chosen[0], Math.max(0, columns.indexOf(chosen[1]))]);
    button.textContent = isShort ? `Show all ${grouped(all.length)} tokens of the document` : "Show only the tokens that were found";
  }

  draw();
  const control = found.length < all.length ? [el("p", { class: "frame-control" }, button)] : [];
  return {
    element: el("div", {}, holder, ...control),
    choose: (i, j) => map.choose(i, columns.indexOf(j)),
  };
}
