// A link to what the page shows: its tab, its model and its texts. They are in the page's address after "#", which a
// browser never sends to a server, so the texts do not get into its logs.

const MAX_LINK = 16_000;
const TYPING_MS = 300;

/** The end of the address for a state, {tab, model, texts}. Without texts, and with too many, it is the tab alone. */
function linkOf({ tab, model, texts }) {
  if (texts.every((text) => text === "")) return { hash: `#${tab}`, isWhole: true };
  const parameters = new URLSearchParams([...(model ? [["model", model]] : []), ...texts.map((text) => ["text", text])]);
  const hash = `#${tab}&${parameters}`;
  return hash.length <= MAX_LINK ? { hash, isWhole: true } : { hash: `#${tab}`, isWhole: false };
}

/** The state that the end of an address stands for. */
function stateOf(hash) {
  const [tab, ...rest] = hash.slice(1).split("&");
  const parameters = new URLSearchParams(rest.join("&"));
  return { tab, model: parameters.get("model"), texts: parameters.getAll("text") };
}

/**
 * Keeps the page's address up to date, and restores what an address stands for.
 *
 * currentState (): returns what the page shows, as {tab, model, texts}.
 * restore (state): shows what an address stands for. Its texts may be missing, and its tab may be any text.
 */
function createAddress({ currentState, restore }) {
  let timer = 0;

  /** Returns whether the address holds everything. */
  function update() {
    clearTimeout(timer);
    const { hash, isWhole } = linkOf(currentState());
    if (hash !== location.hash) history.replaceState(null, "", hash);
    return isWhole;
  }

  /** Copies the link. Returns a sentence about the result. */
  async function copy() {
    if (!update()) return `These texts are too long for a link, which holds at most ${grouped(MAX_LINK)} characters.`;
    // Browsers have no clipboard for a page from another machine without HTTPS.
    const copied = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
    return copied ? "The link is copied." : "The link is this page's address. Copy it from the address bar.";
  }

  addEventListener("hashchange", () => {
    restore(stateOf(location.hash));
    update();
  });
  return {
    update,
    copy,
    restore: () => restore(stateOf(location.hash)),
    /** For every key that the user presses: browsers allow only some changes of the address a second. */
    updateSoon() {
      clearTimeout(timer);
      timer = setTimeout(update, TYPING_MS);
    },
  };
}
