// The server's home page: three panels, the choice of the model, and the statistics above them.

const picker = document.getElementById("model");
const client = createClient(document.getElementById("key"));
// A server with one model needs no name.
const modelChoice = () => (picker.options.length > 1 ? { model: picker.value } : {});
const nonEmptyLines = (text) => text.split("\n").map((line) => line.trim()).filter((line) => line !== "");

/** The address is that of the view, and the statistics soon count it. */
function onRun() {
  address.update();
  stats.wake();
}

const shared = { client, onInput: () => address.updateSoon(), onRun, copyLink: () => address.copy() };
const one = createPanel({
  ...shared,
  element: document.getElementById("panel-one"),
  fields: [{ label: "Text", rows: 3 }],
  examples: [
    { name: "a sentence", values: ["Retrieval augmented generation improves accuracy"] },
    { name: "a word with two meanings", values: ["She sat on the bank of the river and counted her money from the bank"] },
    { name: "typing mistakes and an emoji", values: ["The wether is beautifull today ☀️"] },
  ],
  submitLabel: "Show every step",
  buildRequest: ([text]) => ({ path: "/view/trace", body: { ...modelChoice(), input: text } }),
});
const two = createPanel({
  ...shared,
  element: document.getElementById("panel-two"),
  fields: [{ label: "First text", rows: 3 }, { label: "Second text", rows: 3 }],
  examples: [
    { name: "different words, same meaning", values: ["How do I reset my password?", "I forgot my login credentials"] },
    { name: "same word, different meanings", values: ["The bank raised its interest rates", "We picnicked on the bank of the river"] },
    { name: "a sentence and its opposite", values: ["The film was good", "The film was not good"] },
  ],
  submitLabel: "Compare them",
  buildRequest: (texts) => ({ path: "/view/compare", body: { ...modelChoice(), inputs: texts } }),
});
const many = createPanel({
  ...shared,
  element: document.getElementById("panel-many"),
  fields: [{ label: "Texts, one per line", rows: 8 }],
  note: ([text]) => {
    const count = nonEmptyLines(text).length;
    return count ? withNoun(count, "text") : "2 to 200 lines";
  },
  examples: [
    {
      name: "ten questions for a help desk",
      values: [[
        "How do I reset my password?", "I forgot my login credentials", "My account is locked",
        "Where is my parcel?", "The delivery is three days late", "The tracking number does not work",
        "I was charged twice", "Can I have a refund?", "How do I change my credit card?", "Your support is excellent, thank you!",
      ].join("\n")],
    },
    {
      name: "twelve sentences about four subjects",
      values: [[
        "The cat sat on the mat", "A kitten is sleeping on the rug", "My dog barks at the postman",
        "Stir the onions until they are golden", "Bake the bread for forty minutes", "Add a pinch of salt to the soup",
        "The telescope discovered a distant galaxy", "Mars has two small moons", "A comet passed close to the sun",
        "Python is a programming language", "I write code every day", "The compiler found a type error",
      ].join("\n")],
    },
  ],
  submitLabel: "Draw the map",
  buildRequest: ([text]) => ({ path: "/view/map", body: { ...modelChoice(), inputs: nonEmptyLines(text) } }),
});
const panels = { one, two, many };
const tabs = createTabs(Object.keys(panels), () => address.update());

// A link's texts wait until the models of the server are known.
let waitingLink = null;
const address = createAddress({
  currentState: () => ({ tab: tabs.selected(), model: picker.value, texts: panels[tabs.selected()].values() }),
  restore(state) {
    tabs.select(state.tab);
    if (!(state.tab in panels) || !state.texts.length) return;
    panels[state.tab].fill(state.texts);
    waitingLink = state;
    if (picker.options.length) followLink();
  },
});

/** Makes the view that a link stands for. */
function followLink() {
  const { tab, model } = waitingLink;
  waitingLink = null;
  const names = Array.from(picker.options, ({ value }) => value);
  if (model !== null && !names.includes(model)) {
    panels[tab].fail(`This link is for the model ${model}, which this server does not have. Its texts are in the form.`);
    return;
  }
  if (model !== null) picker.value = model;
  panels[tab].run();
}

const stats = statsPanel({
  client,
  section: document.getElementById("stats"),
  offline: document.getElementById("offline"),
  footer: document.querySelector("footer"),
  selectedModel: () => picker.value,
  onStats({ models }) {
    setModels(embeddersFirst(models));
    if (waitingLink) followLink();
    const model = models.find(({ name }) => name === picker.value) ?? models[0];
    const facts = describe(model);
    document.getElementById("model-facts").textContent = models.length > 1 ? facts : `${model.name} · ${facts}`;
  },
});

/** The names of models, those first that give vectors: each tab can show one of these. */
function embeddersFirst(models) {
  const isEmbedder = ({ kind }) => kind === "embedder" || kind === null;
  return [...models.filter(isEmbedder), ...models.filter((model) => !isEmbedder(model))].map(({ name }) => name);
}

/** A kind of model: "multi_vector_embedder" is a multi-vector embedder. */
const inWords = (kind) => kind.replace("_embedder", " embedder").replace("_", "-");

/** What a model is, in a few words. */
function describe({ kind, dimensions, max_tokens, loaded }) {
  if (!loaded) return `${kind ? inWords(kind) : "kind unknown"}, not loaded now`;
  const upTo = max_tokens < 2 ** 29 ? `up to ${withNoun(max_tokens, "token")}` : "any length";  // NO_LIMIT in spec.py
  if (kind === "classifier") return `a classifier, ${upTo}; the views below need a model that gives vectors or scores`;
  const size = dimensions === null ? upTo : `${grouped(dimensions)} dimensions, ${upTo}`;
  if (kind === "embedder") return size;
  return `a ${inWords(kind)}, ${size}: enter a query and a document under “Two texts”`;
}

/** Lets the user choose among these models. Keeps the current choice if it is one of them. */
function setModels(names) {
  if (names.join("\n") === Array.from(picker.options, ({ value }) => value).join("\n")) return;
  const current = picker.value;
  picker.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
  if (names.includes(current)) picker.value = current;
  picker.hidden = names.length < 2;
}

picker.addEventListener("change", () => {
  stats.show();
  address.update();
});
address.restore();
document.getElementById("main").dataset.ready = "";
