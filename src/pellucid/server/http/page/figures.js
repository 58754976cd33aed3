// Live statistics of the server, fetched while the page is visible: every two seconds, or more rarely if nothing changes.

const POLL_MS = 2000;
const IDLE_POLL_MS = 15_000;
const IDLE_AFTER_MS = 30_000;
const TIMEOUT_MS = 8000;
const CHART_MS = 120_000;

/** A line chart of the last two minutes. Its right end is now. It has a gap where statistics are missing. */
function sparkline(samples, now) {
  const [width, height] = [120, 28];
  const max = Math.max(1, ...samples.map(([, value]) => value));
  const path = samples.map(([time, value], i) => {
    const isJoined = i && time - samples[i - 1][0] < 2 * IDLE_POLL_MS;
    return `${isJoined ? "L" : "M"}${(width * (1 - (now - time) / CHART_MS)).toFixed(1)} ${(height - 2 - (height - 4) * (value / max)).toFixed(1)}`;
  });
  return svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path", { d: path.join(""), "vector-effect": "non-scaling-stroke" }));
}

const milliseconds = (value) => (value < 10 ? value.toFixed(1) : grouped(Math.round(value)));

/** A number with its noun in the singular or plural. */
const withNoun = (number, singular, plural = `${singular}s`) => `${grouped(number)} ${number === 1 ? singular : plural}`;

function duration(seconds) {
  const [minutes, hours, days] = [60, 3600, 86_400].map((unit) => Math.floor(seconds / unit));
  if (days) return withNoun(days, "day");
  if (hours) return withNoun(hours, "hour");
  return minutes ? withNoun(minutes, "minute") : "less than a minute";
}

/**
 * Fetches statistics and shows those of one model.
 *
 * client: sends the requests.
 * section, offline, footer: the elements for the statistics, for the note that they are out of date, and for the version.
 * selectedModel (): returns the name of the model to show.
 * onStats (stats): called before the statistics are shown.
 *
 * Returns {show, wake}: show () shows the last statistics again; wake () fetches new ones soon, and often for a while.
 */
function statsPanel({ client, section, offline, footer, selectedModel, onStats }) {
  const list = section.querySelector("dl");
  const samples = new Map();
  const footerText = footer.textContent;
  let lastStats = null;
  let timer = 0;
  let running = null;
  let lastChange = Date.now();

  function item(name, value, unit, note, ...children) {
    return el("div", {}, el("dt", {}, name), el("dd", {}, el("b", {}, value), unit && el("span", { class: "unit" }, ` ${unit}`), ...children, el("small", {}, note)));
  }

  function show() {
    section.hidden = !lastStats?.models.length;
    if (section.hidden) return;
    onStats(lastStats);
    const model = lastStats.models.find(({ name }) => name === selectedModel()) ?? lastStats.models[0];
    const latency = model.latency_ms;
    const chart = sparkline(samples.get(model.name), Date.now());
    list.replaceChildren(
      item("Requests", grouped(model.requests), "", model.loaded ? `${withNoun(model.texts, "text")}, ${withNoun(model.tokens, "token")}` : "the first request loads the model"),
      item("Tokens per second", grouped(Math.round(model.tokens_per_second)), "", "in the last ten seconds", chart),
      item("Waiting", grouped(model.queued_requests), "", withNoun(model.queued_tokens, "token")),
      item("Latency", latency ? milliseconds(latency.p50) : "–", latency && "ms",
        latency ? `p95 ${milliseconds(latency.p95)}, p99 ${milliseconds(latency.p99)}` : "no request yet"),
    );
  }

  function addSamples(stats) {
    const now = Date.now();
    for (const { name, tokens_per_second } of stats.models) {
      const recent = (samples.get(name) ?? []).filter(([time]) => now - time < CHART_MS);
      samples.set(name, [...recent, [now, tokens_per_second]]);
    }
  }

  async function poll() {
    clearTimeout(timer);
    running?.abort();
    const own = (running = new AbortController());
    try {
      const stats = await client.request("/stats", null, AbortSignal.any([own.signal, AbortSignal.timeout(TIMEOUT_MS)]));
      if (stats.needs_key) client.requireKey();
      addSamples(stats);
      if (JSON.stringify(stats.models) !== JSON.stringify(lastStats?.models)) lastChange = Date.now();
      lastStats = stats;
      showOnline();
      show();
      footer.textContent = `${footerText} The server runs Pellucid ${stats.version} and has been up for ${duration(stats.uptime_s)}.`;
    } catch (problem) {
      if (own.signal.aborted) return;
      // A server that asks for a key is not offline.
      if (problem instanceof ServerFailure && problem.status === 401) showOnline();
      else showOffline(problem.status ? problem.message : NO_RESPONSE);
    }
    if (!document.hidden) timer = setTimeout(poll, Date.now() - lastChange < IDLE_AFTER_MS ? POLL_MS : IDLE_POLL_MS);
  }

  function showOffline(reason) {
    const text = `${reason} These statistics are out of date. The page tries again by itself.`;
    if (offline.textContent !== text) offline.textContent = text;
    section.classList.add("stale");
  }

  function showOnline() {
    offline.textContent = "";
    section.classList.remove("stale");
  }

  /** Fetch statistics soon, and often for a while: something is about to change. */
  function wake() {
    lastChange = Date.now();
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(poll, POLL_MS);
  }

  document.addEventListener("visibilitychange", () => {
    wake();
    if (!document.hidden) poll();
  });
  client.onKey(poll);
  poll();
  return { show, wake };
}
