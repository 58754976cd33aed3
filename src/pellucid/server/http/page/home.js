// The page of the server: three panels, one model, and the figures above them.

const picker = document.getElementById("model");
const client = clientOf(document.getElementById("key"));
// With one model the server takes it unasked.
const chosen = () => (picker.options.length > 1 ? { model: picker.value } : {});
const linesOf = (text) => text.split("\n").map((line) => line.trim()).filter((line) => line !== "");

panel({
  client,
  element: document.getElementById("panel-one"),
  fields: [{ label: "A text", rows: 3 }],
  examples: [
    { name: "a sentence", values: ["Retrieval augmented generation improves accuracy"] },
    { name: "a word of many meanings", values: ["She sat on the bank of the river and counted her money from the bank"] },
    { name: "a typing mistake, an emoji", values: ["The wether is beautifull today ☀️"] },
  ],
  go: "Show its way",
  request: ([text]) => ({ path: "/view/trace", body: { ...chosen(), input: text } }),
});
panel({
  client,
  element: document.getElementById("panel-two"),
  fields: [{ label: "The first text", rows: 3 }, { label: "The second text", rows: 3 }],
  examples: [
    { name: "other words, one meaning", values: ["How do I reset my password?", "I forgot my login credentials"] },
    { name: "like words, other meaning", values: ["The bank raised its interest rates", "We picnicked on the bank of the river"] },
    { name: "yes and no", values: ["The film was good", "The film was not good"] },
  ],
  go: "Compare them",
  request: (texts) => ({ path: "/view/compare", body: { ...chosen(), inputs: texts } }),
});
panel({
  client,
  element: document.getElementById("panel-many"),
  fields: [{ label: "Texts, one on each line", rows: 8 }],
  note: ([text]) => {
    const count = linesOf(text).length;
    return count ? `${grouped(count)} ${count === 1 ? "text" : "texts"}` : "2 to 200 lines";
  },
  examples: [
    {
      name: "ten questions to a help desk",
      values: [[
        "How do I reset my password?", "I forgot my login credentials", "My account is locked",
        "Where is my parcel?", "The delivery is three days late", "The tracking number does not work",
        "I was charged twice", "Can I have a refund?", "How do I change my credit card?", "Your support is excellent, thank you!",
      ].join("\n")],
    },
    {
      name: "twelve sentences on four things",
      values: [[
        "The cat sat on the mat", "A kitten is sleeping on the rug", "My dog barks at the postman",
        "Stir the onions until they are golden", "Bake the bread for forty minutes", "Add a pinch of salt to the soup",
        "The telescope discovered a distant galaxy", "Mars has two small moons", "A comet passed close to the sun",
        "Python is a programming language", "I write code every day", "The compiler found a type error",
      ].join("\n")],
    },
  ],
  go: "Draw the map",
  request: ([text]) => ({ path: "/view/map", body: { ...chosen(), inputs: linesOf(text) } }),
});
tabsOf(["one", "two", "many"]);

const live = figuresStrip({
  client,
  section: document.getElementById("figures"),
  lost: document.getElementById("lost"),
  footer: document.querySelector("footer"),
  picked: () => picker.value,
  heard({ models }) {
    offer(models.map(({ name }) => name));
    const { name, dimensions, max_tokens: most } = models.find((model) => model.name === picker.value) ?? models[0];
    const facts = `${grouped(dimensions)} numbers, at most ${grouped(most)} tokens`;
    document.getElementById("model-facts").textContent = models.length > 1 ? facts : `${name} · ${facts}`;
  },
});

/** Offer these models, and leave the choice as it was. */
function offer(names) {
  if (names.join("\n") === Array.from(picker.options, ({ value }) => value).join("\n")) return;
  const before = picker.value;
  picker.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
  if (names.includes(before)) picker.value = before;
  picker.hidden = names.length < 2;
}

picker.addEventListener("change", live.show);
document.getElementById("main").dataset.ready = "";
