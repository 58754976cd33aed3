// A panel: text fields, examples, and the view that the server makes of the texts.

/**
 * client: sends the request.
 * element: the panel's element.
 * fields: a list of {label, rows}.
 * examples: a list of {name, values}, with a value for each field.
 * submitLabel: the words on the button.
 * buildRequest (values): returns the request as {path, body}.
 * note (values): returns a line to show below the fields. Optional.
 */
function createPanel({ client, element, fields, examples, submitLabel, buildRequest, note }) {
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
  const form = el("form", { novalidate: true },
    el("div", { class: "fields" }, ...areas.map((field) => field.element)),
    el("div", { class: "row" }, button, el("kbd", { class: "hint" }, "Ctrl + Enter"), noteLine, state), error);
  const exampleRow = el("div", { class: "examples" }, el("span", { id: `${element.id}-examples` }, "Try"),
    el("ul", { "aria-labelledby": `${element.id}-examples` }, ...examples.map(({ name, values }) => {
      const runExample = () => {
        areas.forEach(({ area }, i) => (area.value = values[i]));
        updateNote();
        run();
      };
      return el("li", {}, el("button", { type: "button", class: "example", click: runExample }, name));
    })));
  let running = null;
  let waitsForKey = false;

  const currentValues = () => areas.map(({ area }) => area.value);
  const updateNote = () => (noteLine.textContent = note?.(currentValues()) ?? "");

  function setWorking(isWorking) {
    result.setAttribute("aria-busy", isWorking);
    element.classList.toggle("working", isWorking);
  }

  async function run() {
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
      state.textContent = "";
      waitsForKey = problem.status === 401;
      // The old view belongs to other texts. Remove it, but keep the texts in the fields.
      result.replaceChildren();
      error.textContent = isServerFailure ? problem.message : `This view could not be drawn. (${problem.message})`;
      if (waitsForKey) client.focusKeyField();
      if (!isServerFailure) throw problem;
    } finally {
      if (running === own) setWorking(false);
    }
  }

  function scrollIntoSight(target) {
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    target.scrollIntoView({ behavior });
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  form.addEventListener("input", updateNote);
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    run();
  });
  client.onKey(() => waitsForKey && run());
  updateNote();
  element.append(form, exampleRow, result);
}
