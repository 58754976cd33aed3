// A panel: text fields, examples, and the view that the server makes of the texts.

/**
 * client: sends the request.
 * element: the panel's element.
 * fields: a list of {label, rows}.
 * examples: a list of {name, values}, with a value for each field.
 * submitLabel: the words on the button.
 * buildRequest (values): returns the request as {path, body}.
 * note (values): returns a line to show below the fields. Optional.
 * onInput (), onRun (): called when the user has typed, and when a request is sent.
 * copyLink (): copies a link to the view, and returns a sentence about the result.
 *
 * Returns {values, fill, run, fail}: values () returns the texts; fill (texts) puts texts into the fields; run () sends
 * the request; fail (message) shows a message in place of the view.
 */
function createPanel({ client, element, fields, examples, submitLabel, buildRequest, note, onInput, onRun, copyLink }) {
  const areas = fields.map(({ label, rows }, i) => {
    const id = `${element.id}-text-${i + 1}`;
    const area = el("textarea", { id, rows, spellcheck: "false", autocomplete: "off", autocapitalize: "off" });
    return { area, element: el("div", { class: "field" }, el("label", { for: id }, label), area) };
  });
  const noteLine = el("span", { class: "count" });
  const state = el("p", { class: "state", role: "status" });
  const error = el("p", { class: "error", role: "alert" });
  const result = el("div", { class: "result" });
  const button = el("button", { type: "submit", class: "submit" }, submitLabel);
  const link = el("button", { type: "button", class: "small", click: async () => (state.textContent = await copyLink()) }, "Copy link");
  const form = el("form", { novalidate: true },
    el("div", { class: "fields" }, ...areas.map((field) => field.element)),
    el("div", { class: "row" }, button, el("kbd", { class: "hint" }, "Ctrl + Enter"), noteLine, state, link), error);
  const exampleRow = el("div", { class: "examples" }, el("span", { id: `${element.id}-examples` }, "Try"),
    el("ul", { "aria-labelledby": `${element.id}-examples` }, ...examples.map(({ name, values }) => {
      const runExample = () => {
        fill(values);
        run();
      };
      return el("li", {}, el("button", { type: "button", class: "example", click: runExample }, name));
    })));
  let running = null;
  let waitsForKey = false;

  const currentValues = () => areas.map(({ area }) => area.value);
  function fill(values) {
    areas.forEach(({ area }, i) => (area.value = values[i] ?? ""));
    updateNote();
  }
  const updateNote = () => (noteLine.textContent = note?.(currentValues()) ?? "");

  function setWorking(isWorking) {
    result.setAttribute("aria-busy", isWorking);
    element.classList.toggle("working", isWorking);
  }

  async function run() {
    onRun();
    running?.abort();
    const own = (running = new AbortController());
    const { path, body } = buildRequest(currentValues());
    const start = performance.now();
    error.textContent = "";
    state.textContent = "Working…";
    setWorking(true);
    try {
      const data = await client.request(path, body, own.signal);
      const elapsed = performance.now() - start;
      const parts = await viewOf(data, "h2");
      if (own.signal.aborted) return;
      result.replaceChildren(...parts);
      state.textContent = `Done in ${milliseconds(elapsed)} ms`;
      waitsForKey = false;
      if (result.getBoundingClientRect().top > 0.7 * innerHeight) scrollIntoSight(result);
    } catch (problem) {
      if (own.signal.aborted) return;
      const isServerFailure = problem instanceof ServerFailure;
      waitsForKey = problem.status === 401;
      fail(isServerFailure ? problem.message : `This view could not be drawn. (${problem.message})`);
      if (waitsForKey) client.focusKeyField();
      if (!isServerFailure) throw problem;
    } finally {
      if (running === own) setWorking(false);
    }
  }

  /** Show a message. The old view belongs to other texts. Remove it, but keep the texts in the fields. */
  function fail(message) {
    state.textContent = "";
    result.replaceChildren();
    error.textContent = message;
  }

  function scrollIntoSight(target) {
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    target.scrollIntoView({ behavior });
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  form.addEventListener("input", () => {
    updateNote();
    onInput();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    run();
  });
  client.onKey(() => waitsForKey && run());
  updateNote();
  element.append(form, exampleRow, result);
  return { values: currentValues, fill, run, fail };
}
