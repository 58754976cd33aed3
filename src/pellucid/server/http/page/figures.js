// Live figures of the server, every two seconds while the page can be seen.

const EVERY = 2000;
const PATIENCE = 8000;
const SPAN = 120_000;

/** A line of the last two minutes, its right end now; where nothing was heard, it has a gap. */
function sparkline(samples, now) {
  const [width, height] = [120, 28];
  const most = Math.max(1, ...samples.map(([, value]) => value));
  const path = samples.map(([time, value], i) => {
    const joined = i && time - samples[i - 1][0] < 3 * EVERY;
    return `${joined ? "L" : "M"}${(width * (1 - (now - time) / SPAN)).toFixed(1)} ${(height - 2 - (height - 4) * (value / most)).toFixed(1)}`;
  });
  return svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path", { d: path.join(""), "vector-effect": "non-scaling-stroke" }));
}

const milliseconds = (value) => (value < 10 ? value.toFixed(1) : grouped(Math.round(value)));

const counted = (number, one, many = `${one}s`) => `${grouped(number)} ${number === 1 ? one : many}`;

function age(seconds) {
  const [minutes, hours, days] = [60, 3600, 86_400].map((unit) => Math.floor(seconds / unit));
  return days ? counted(days, "day") : hours ? counted(hours, "hour") : minutes ? counted(minutes, "minute") : "less than a minute";
}

/** Shows what client answers. picked () => the name of the model to show; heard (stats) => nothing, before they are shown. */
function figuresStrip({ client, section, lost, footer, picked, heard }) {
  const list = section.querySelector("dl");
  const samples = new Map();
  const made = footer.textContent;
  let last = null;
  let timer = 0;
  let running = null;

  function figure(name, value, unit, note, ...more) {
    return el("div", {}, el("dt", {}, name), el("dd", {}, el("b", {}, value), unit && el("span", { class: "unit" }, ` ${unit}`), ...more, el("small", {}, note)));
  }

  function show() {
    section.hidden = !last?.models.length;
    if (section.hidden) return;
    heard(last);
    const model = last.models.find(({ name }) => name === picked()) ?? last.models[0];
    const latency = model.latency_ms;
    const line = sparkline(samples.get(model.name), Date.now());
    list.replaceChildren(
      figure("Requests", grouped(model.requests), "", model.loaded ? `${counted(model.texts, "text")}, ${counted(model.tokens, "token")}` : "the first will load the model"),
      figure("Tokens a second", grouped(Math.round(model.tokens_per_second)), "", "in the last ten seconds", line),
      figure("Waiting", grouped(model.queued_requests), "", counted(model.queued_tokens, "token")),
      figure("Latency", latency ? milliseconds(latency.p50) : "–", latency && "ms",
        latency ? `p95 ${milliseconds(latency.p95)}, p99 ${milliseconds(latency.p99)}` : "no request yet"),
    );
  }

  function remember(stats) {
    const now = Date.now();
    for (const { name, tokens_per_second } of stats.models) {
      const kept = (samples.get(name) ?? []).filter(([time]) => now - time < SPAN);
      samples.set(name, [...kept, [now, tokens_per_second]]);
    }
  }

  async function once() {
    clearTimeout(timer);
    running?.abort();
    const own = (running = new AbortController());
    try {
      const stats = await client.ask("/stats", null, AbortSignal.any([own.signal, AbortSignal.timeout(PATIENCE)]));
      if (stats.needs_key) client.needKey();
      remember(stats);
      last = stats;
      found();
      show();
      footer.textContent = `${made} The server runs Pellucid ${stats.version}, for ${age(stats.uptime_s)}.`;
    } catch (problem) {
      if (own.signal.aborted) return;
      const unheard = !(problem instanceof Refusal) || problem.status !== 401;
      if (unheard) lose(problem.status ? problem.message : LOST);
      else found();
    }
    if (!document.hidden) timer = setTimeout(once, EVERY);
  }

  function lose(words) {
    const text = `${words} These figures are old. The page asks again every two seconds.`;
    if (lost.textContent !== text) lost.textContent = text;
    section.classList.add("old");
  }

  function found() {
    lost.textContent = "";
    section.classList.remove("old");
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : once()));
  client.onKey(once);
  once();
  return { show };
}
