// The two texts as quotations, in which the words of the chosen tokens are marked; and sentences about them.

const MAX_BEFORE = 120;
const KEPT_BEFORE = 60;

/** side: what contents.py says about a text of a comparison. Returns {element, mark}; mark takes a token. */
function markedQuote(side) {
  const characters = [...side.text];
  const element = el("blockquote", { dir: "auto" }, quoted(side.text));
  return {
    element,
    mark(token) {
      const [start, end] = side.words[side.word_of[token]] ?? [0, 0];
      if (start >= end || end > characters.length) return element.replaceChildren(quoted(side.text));
      // Of a long text, the start of the quotation moves along, so that the marked word can be seen.
      const from = start > MAX_BEFORE ? start - KEPT_BEFORE : 0;
      const part = (first, last) => characters.slice(first, last).join("");
      element.replaceChildren((from ? "…" : "") + part(from, start), el("mark", {}, part(start, end)), part(end));
    },
  };
}

/** A sentence of contents.py. The words that it quotes stand out, and keep their own direction of writing. */
function sentenceWithWords(sentence) {
  const parts = sentence.split(/(“[^”]*”)/);
  return parts.map((part, i) => (i % 2 ? el("b", {}, el("bdi", {}, part.slice(1, -1))) : part));
}

/** The head of a page about the score of a query and a document. logit: what stands behind the model's name. */
function scoreHeader(data, heading, logit = "") {
  return el("header", {}, el("p", { class: "kicker" }, "Why a document has its score"),
    el(heading, { class: "headline cosine" }, el("span", {}, "score "), data.score.toFixed(4)),
    el("p", { class: "verdict" }, ...sentenceWithWords(data.sentence)),
    ...data.notes.map((note) => el("p", { class: "note" }, note)),
    el("p", { class: "facts" }, `${data.model}${logit}`));
}
