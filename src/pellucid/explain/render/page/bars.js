// What each token adds, as bars: to the right of a common line what adds, to the left what takes away.

/** label: of the table; heading: of the numbers; values: one for each token. */
function bars(label, heading, tokens, values, decimals) {
  const least = values.reduce((a, b) => Math.min(a, b), 0);
  const most = values.reduce((a, b) => Math.max(a, b), 0);
  const span = most - least || 1;
  const rows = tokens.map((token, place) => {
    const bar = el("div", { class: values[place] < 0 ? "bar below" : "bar" });
    bar.style.left = `${(100 * (Math.min(0, values[place]) - least)) / span}%`;
    bar.style.width = `${(100 * Math.abs(values[place])) / span}%`;
    const name = el("th", { scope: "row", class: token.kind }, shown(token.piece));
    return el("tr", {}, name, el("td", { class: "track" }, bar), el("td", {}, signed(values[place], decimals)));
  });
  const heads = [["", "token"], ["unseen", "bar"], ["", heading]];
  const head = el("tr", {}, ...heads.map(([look, text]) => el("th", { scope: "col" }, el("span", { class: look }, text))));
  const table = el("table", { class: "bars" }, el("caption", { class: "unseen" }, label), el("thead", {}, head));
  table.append(el("tbody", {}, ...rows));
  const box = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, table);
  return {
    element: box,
    choose(place) {
      table.querySelector(".on")?.classList.remove("on");
      rows[place]?.classList.add("on");
    },
  };
}
