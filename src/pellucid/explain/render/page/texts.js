// The texts of a map under the labels of their groups. The data has them in this order already.

const MAX_LISTED_AT_ONCE = 1000;
const FIRST = 40;
const MORE = 200;

/** isCut: (text) => true if the model did not read all of it; onChoose: called with the text that the reader chooses. */
function textList(data, isCut, onChoose) {
  const buttons = new Map();
  // Of very many texts, each group lists a few until the reader asks for more.
  const isMany = data.texts.length > MAX_LISTED_AT_ONCE;
  const makeItem = (i) => {
    const cut = isCut(i) ? [el("i", {}, "cut")] : [];
    const button = el("button", { type: "button", click: () => onChoose(i) }, el("span", {}, `${i + 1}`), el("span", { class: "words", dir: "auto" }, quoted(data.texts[i])), ...cut);
    buttons.set(i, button);
    return el("li", {}, button);
  };

  let start = 0;
  const parts = data.labels.map((label, group) => {
    const [first, end] = [start, (start += data.counts[group])];
    const list = el("ul", {});
    const more = el("button", { type: "button", class: "small", click: () => showMore(MORE) });
    const head = data.labels.length > 1 ? [el("h3", {}, groupIcon(data.palette, group), el("bdi", {}, label || "(no label)"), el("span", {}, grouped(data.counts[group])))] : [];
    let shown = first;
    function showMore(count) {
      const stop = Math.min(end, shown + count);
      list.append(...Array.from({ length: stop - shown }, (_, k) => makeItem(shown + k)));
      shown = stop;
      more.hidden = shown === end;
      more.textContent = `Show ${grouped(Math.min(MORE, end - shown))} more of ${grouped(end - shown)}`;
    }
    showMore(isMany ? FIRST : Infinity);
    return el("div", { class: "group" }, ...head, list, more);
  });
  let highlighted = [];
  return {
    element: el("div", { class: "texts" }, ...parts),
    highlight(texts) {
      for (const i of highlighted) buttons.get(i)?.classList.remove("on");
      for (const i of texts) buttons.get(i)?.classList.add("on");
      highlighted = texts;
    },
  };
}

const groupIcon = (palette, group) => svg("svg", { viewBox: "-1.5 -1.5 3 3", "aria-hidden": "true" }, groupDot(palette, group, 0, 0, 1));
