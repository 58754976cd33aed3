// What each token or word adds, as bars from a common line: positive numbers go to the right, negative ones to the left.

/** label: of the table; heading: of the column of numbers; values: one for each token; noun: what the tokens are. */
function bars(label, heading, tokens, values, decimals, noun = "token") {
  const min = values.reduce((a, b) => Math.min(a, b), 0);
  const max = values.reduce((a, b) => Math.max(a, b), 0);
  const span = max - min || 1;
  const rows = tokens.map((token, index) => {
    const bar = el("div", { class: values[index] < 0 ? "bar negative" : "bar" });
    bar.style.left = `${(100 * (Math.min(0, values[index]) - min)) / span}%`;
    bar.style.width = `${(100 * Math.abs(values[index])) / span}%`;
    const name = el("th", { scope: "row", class: token.kind }, visiblePiece(token.piece));
    return el("tr", {}, name, el("td", { class: "track" }, bar), el("td", {}, signed(values[index], decimals)));
  });
  const headings = [["", noun], ["visually-hidden", "bar"], ["", heading]];
  const head = el("tr", {}, ...headings.map(([style, text]) => el("th", { scope: "col" }, el("span", { class: style }, text))));
  const table = el("table", { class: "bars" }, el("caption", { class: "visually-hidden" }, label), el("thead", {}, head));
  table.append(el("tbody", {}, ...rows));
  const box = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, table);
  return {
    element: box,
    choose(index) {
      table.querySelector(".on")?.classList.remove("on");
      rows[index]?.classList.add("on");
    },
  };
}
