// What the page asks of its server, and the key that it may need, which is kept in memory and nowhere else.

/** An answer that is no view: in words for the reader, and with the status, 0 if there was no answer. */
class Refusal extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const LOST = "The server does not answer.";

/** ask (path, body, signal) => what the server's JSON says; a 401 asks for a key. */
function clientOf(form) {
  const field = form.querySelector("input");
  const error = form.querySelector(".error");
  const told = [];
  let key = "";

  async function ask(path, body, signal) {
    const headers = { ...(body && { "Content-Type": "application/json" }), ...(key && { Authorization: `Bearer ${key}` }) };
    const used = key;
    const options = { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal, cache: "no-store" };
    const response = await fetch(path, options).catch((problem) => {
      throw problem.name === "TypeError" ? new Refusal(LOST, 0) : problem;
    });
    const answer = await response.json().catch((problem) => {
      if (problem.name === "AbortError" || problem.name === "TimeoutError") throw problem;
      return null;
    });
    if (response.ok && answer) return answer;
    // An answer to an earlier key says nothing about the one that was given since.
    if (response.status === 401 && used === key) askForKey(used && "The server does not accept this key.");
    const words = answer?.error?.message ?? `The server answered with status ${response.status} and without words.`;
    throw new Refusal(response.status === 401 ? "The server asks for an API key; it goes into the field above." : words, response.status);
  }

  function askForKey(problem = "") {
    form.hidden = false;
    if (!problem) return;
    error.textContent = problem;
    key = "";
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    // What a header can carry.
    if (!/^[\x21-\x7e]+$/.test(field.value.trim())) return askForKey("A key has only letters, digits and signs of ASCII, and no spaces.");
    key = field.value.trim();
    field.value = "";
    error.textContent = "";
    form.hidden = true;
    for (const tell of told) tell();
  });
  return { ask, focus: () => field.focus(), needKey: () => key || askForKey(), onKey: (tell) => told.push(tell) };
}
