// Sends requests to the page's own server. It keeps the API key, if there is one, in memory and nowhere else.

/** An error response, or no response: a message for the reader, and the HTTP status, 0 without a response. */
class ServerFailure extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const NO_RESPONSE = "The server does not answer.";

/**
 * A client that shows the form for an API key when the server needs one.
 *
 * request (path, body, signal): sends a GET, or a POST if there is a body, and returns the response's JSON.
 * focusKeyField (): puts the cursor into the form.
 * requireKey (): shows the form if there is no key yet.
 * onKey (listener): calls the listener whenever the user has entered a key.
 */
function createClient(form) {
  const field = form.querySelector("input");
  const error = form.querySelector(".error");
  const keyListeners = [];
  let key = "";

  async function request(path, body, signal) {
    const headers = { ...(body && { "Content-Type": "application/json" }), ...(key && { Authorization: `Bearer ${key}` }) };
    const sentKey = key;
    const options = { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal, cache: "no-store" };
    const response = await fetch(path, options).catch((problem) => {
      throw problem.name === "TypeError" ? new ServerFailure(NO_RESPONSE, 0) : problem;
    });
    const data = await response.json().catch((problem) => {
      if (problem.name === "AbortError" || problem.name === "TimeoutError") throw problem;
      return null;
    });
    if (response.ok && data) return data;
    if (response.status === 401) {
      // If the user has entered another key meanwhile, this response says nothing about it.
      if (sentKey === key) showForm(sentKey && "The server does not accept this key.");
      throw new ServerFailure("The server needs an API key. Enter it in the field above.", 401);
    }
    const message = data?.error?.message ?? `The server answered with status ${response.status} and no message.`;
    throw new ServerFailure(message, response.status);
  }

  function showForm(problem = "") {
    form.hidden = false;
    if (!problem) return;
    error.textContent = problem;
    key = "";
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const entered = field.value.trim();
    // Only these characters can be sent in a header.
    if (!/^[\x21-\x7e]+$/.test(entered)) return showForm("A key has only ASCII letters, digits and punctuation, and no spaces.");
    key = entered;
    field.value = "";
    error.textContent = "";
    form.hidden = true;
    for (const listener of keyListeners) listener();
  });
  return {
    request,
    focusKeyField: () => field.focus(),
    requireKey: () => key || showForm(),
    onKey: (listener) => keyListeners.push(listener),
  };
}
