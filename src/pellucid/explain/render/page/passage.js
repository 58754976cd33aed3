// A text whose words have colours. The reader hovers over a word, taps it or uses the arrow keys, and a line describes it.

/**
 * side: what contents.py says about a text of a score; changes: one number for each word, or null.
 * options: label; max: the number with the strongest colour; describe: (word, index) => the line above the text.
 * Returns {element, choose}; choose takes the position of a word.
 */
function passage(side, changes, options) {
  const characters = [...side.text];
  const readout = el("output", { class: "readout" });
  const part = (start, end) => characters.slice(start, end).join("");
  const words = side.words.map(([start, end], index) => {
    const word = el("span", { class: "word", role: "option", tabindex: index ? -1 : 0, "aria-selected": false }, part(start, end));
    word.addEventListener("pointerenter", () => describe(index));
    word.addEventListener("focus", () => choose(index));
    return word;
  });
  let chosen = 0;

  function describe(index) {
    readout.textContent = options.describe(part(...side.words[index]), index);
  }

  function choose(index) {
    words[chosen].tabIndex = -1;
    words[chosen].setAttribute("aria-selected", "false");
    chosen = index;
    words[chosen].tabIndex = 0;
    words[chosen].setAttribute("aria-selected", "true");
    describe(chosen);
  }

  const [first, last] = [side.words[0]?.[0] ?? 0, side.words.at(-1)?.[1] ?? 0];
  // What the model did not read is before the first word or after the last one.
  const rest = (start, end, isCut) => (isCut && start < end ? [el("s", {}, part(start, end))] : [part(start, end)]);
  const content = [...rest(0, first, side.cut_first)];
  side.words.forEach(([start], index) => content.push(part(side.words[index - 1]?.[1] ?? first, start), words[index]));
  content.push(...rest(last, characters.length, side.cut_count && !side.cut_first));
  const text = el("p", { class: "passage", dir: "auto", role: "listbox", "aria-label": options.label, "aria-orientation": "horizontal" }, ...content);
  text.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: chosen - 1, ArrowUp: chosen - 1, ArrowRight: chosen + 1, ArrowDown: chosen + 1, Home: 0, End: words.length - 1 };
    if (!(event.key in moves) || event.altKey) return;
    event.preventDefault();
    words[clamp(moves[event.key], 0, words.length - 1)].focus();
  });
  text.addEventListener("click", (event) => event.target.closest(".word")?.focus());
  text.addEventListener("pointerleave", () => words.length && describe(chosen));

  if (!side.text.trim()) return { element: el("p", { class: "note" }, "(empty)"), choose() {} };
  const element = el("div", {}, readout, text);
  if (changes) {
    const draw = () => tint(words, changes.values, options.max);
    redrawOnTheme(element, draw);
    draw();
    if (words.length) choose(strongestIndex(changes.values));
  }
  return {
    element,
    choose(index) {
      choose(index);
      // Scroll the box, and only the box.
      const [top, height] = [words[index].offsetTop - text.offsetTop, words[index].offsetHeight];
      text.scrollTop = clamp(text.scrollTop, top + height - text.clientHeight, top);
    },
  };
}

/** The position of the number that is farthest from 0. */
const strongestIndex = (values) => values.reduce((best, value, i) => (Math.abs(value) > Math.abs(values[best]) ? i : best), 0);

/** What the colours of words mean: the strongest of each kind. */
function changeLegend(max, decimals) {
  const samples = [-max, max].map((value) => el("span", { class: "word" }, signed(value, decimals)));
  const element = el("p", { class: "hint change-legend" }, samples[0], " lowers the score, ", samples[1], " raises it. The number is what the logit changes.");
  const draw = () => tint(samples, [-max, max], max);
  redrawOnTheme(element, draw);
  draw();
  return element;
}
