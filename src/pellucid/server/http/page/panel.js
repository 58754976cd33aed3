// What is typed, what is asked with it, and the view that comes of it.

/**
 * element: the tab's panel.
 * fields: of each {label, rows}; note (values) => what stands below the fields, or nothing.
 * examples: of each {name, values}.
 * request (values) => {path, body}, to be asked of client.
 */
function panel({ element, fields, note, examples, request, client, go }) {
  const areas = fields.map(({ label, rows }, i) => {
    const id = `${element.id}-text-${i + 1}`;
    const area = el("textarea", { id, rows, spellcheck: "false", autocomplete: "off", autocapitalize: "off" });
    return { area, element: el("div", { class: "field" }, el("label", { for: id }, label), area) };
  });
  const said = el("span", { class: "count" });
  const state = el("p", { class: "state", role: "status" });
  const error = el("p", { class: "error", role: "alert" });
  const result = el("div", { class: "result" });
  const button = el("button", { type: "submit", class: "go" }, go);
  const form = el("form", { novalidate: true },
    el("div", { class: "fields" }, ...areas.map((one) => one.element)),
    el("div", { class: "row" }, button, el("kbd", { class: "hint" }, "Ctrl + Enter"), said, state), error);
  const tries = el("div", { class: "tries" }, el("span", { id: `${element.id}-tries` }, "Try"),
    el("ul", { "aria-labelledby": `${element.id}-tries` }, ...examples.map(({ name, values }) => {
      const fill = () => {
        areas.forEach(({ area }, i) => (area.value = values[i]));
        count();
        run();
      };
      return el("li", {}, el("button", { type: "button", class: "try", click: fill }, name));
    })));
  let running = null;
  let barred = false;

  const values = () => areas.map(({ area }) => area.value);
  const count = () => (said.textContent = note?.(values()) ?? "");

  function working(on) {
    result.setAttribute("aria-busy", on);
    element.classList.toggle("working", on);
  }

  async function run() {
    running?.abort();
    const own = (running = new AbortController());
    const { path, body } = request(values());
    const start = performance.now();
    error.textContent = "";
    state.textContent = "Working…";
    working(true);
    try {
      const data = await client.ask(path, body, own.signal);
      const took = performance.now() - start;
      const parts = await viewOf(data, "h2");
      if (own.signal.aborted) return;
      result.replaceChildren(...parts);
      state.textContent = `Done in ${milliseconds(took)} ms`;
      barred = false;
      if (result.getBoundingClientRect().top > 0.7 * innerHeight) reveal(result);
    } catch (problem) {
      if (own.signal.aborted) return;
      state.textContent = "";
      barred = problem.status === 401;
      // What was drawn before is of another text; only what was typed stays.
      result.replaceChildren();
      error.textContent = problem instanceof Refusal ? problem.message : `This view could not be drawn. (${problem.message})`;
      if (barred) client.focus();
      if (!(problem instanceof Refusal)) throw problem;
    } finally {
      if (running === own) working(false);
    }
  }

  const reveal = (part) => part.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  form.addEventListener("input", count);
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    run();
  });
  client.onKey(() => barred && run());
  count();
  element.append(form, tries, result);
}
