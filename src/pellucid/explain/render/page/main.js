// Draws the page from the data in it.

const main = document.getElementById("main");
try {
  const data = JSON.parse(document.getElementById("data").textContent);
  const parts = await viewOf(data, "h1");
  const bothTexts = () => data.sides.map((side) => side.text).join(" and ");
  const title = { trace: () => data.text, comparison: bothTexts, score: bothTexts, sparse: bothTexts, alignment: bothTexts, map: () => "A map of texts" };
  document.title = `${title[data.kind]().slice(0, 60)} · Pellucid`;
  main.replaceChildren(...parts);
} catch (error) {
  const advice = "This page could not be drawn. It needs a browser from 2023 or later.";
  main.replaceChildren(el("p", { class: "note", role: "alert" }, `${advice} (${error.message})`));
  throw error;
} finally {
  main.dataset.ready = "";
}
