// Two scales of colour, from the variables of page.css: both keep their order for the colour-blind and in grey.

function stops(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return text.split(/\s+/).map((hex) => [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16)));
}

/** A scale ("sequential" from 0 to 1, "diverging" from -1 to 1) as 256 colours, each [r, g, b]. */
function colorsOf(scale) {
  const given = stops(`--${scale}`);
  return Array.from({ length: 256 }, (_, step) => {
    const place = (step / 255) * (given.length - 1);
    const start = Math.min(Math.floor(place), given.length - 2);
    return given[start].map((value, channel) => value + (place - start) * (given[start + 1][channel] - value));
  });
}

/** Have an element painted anew whenever the colours change, as long as it is in the page. */
function onTheme(element, draw) {
  element.dataset.painted = "";
  element.addEventListener("theme", draw);
}

/** Paint numbers as one pixel each; what is no number stays clear. */
function paint(canvas, values, columns, scale, most) {
  const colors = colorsOf(scale);
  canvas.width = columns;
  canvas.height = Math.max(1, values.length / columns);
  const image = new ImageData(canvas.width, canvas.height);
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) continue;
    const part = most ? clamp(values[i] / most, -1, 1) : 0;
    const color = colors[Math.round(255 * (scale === "diverging" ? (part + 1) / 2 : Math.max(0, part)))];
    image.data.set(color, 4 * i);
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

const FEW = 1000;

/** The number of the strongest colour. Of many numbers one in a hundred is beyond it, or the few would pale all others. */
function strongest(values) {
  if (values.length < FEW) return largestOf(values);
  const sizes = values.map(Math.abs).sort();
  return sizes[Math.floor(0.99 * (sizes.length - 1))] || sizes[sizes.length - 1];
}

/** What the colours mean, from the least to the most. */
function legend(scale) {
  const canvas = el("canvas", { "aria-hidden": "true" });
  const [low, high] = [el("span"), el("span")];
  const steps = Float32Array.from({ length: 128 }, (_, i) => (scale === "diverging" ? i / 63.5 - 1 : i / 127));
  return {
    element: el("div", { class: "legend" }, low, canvas, high),
    show(most, decimals, clipped, below = false) {
      paint(canvas, steps, steps.length, scale, 1);
      low.textContent = scale === "diverging" ? `${clipped ? "≤ " : ""}${(-most).toFixed(decimals)}` : below ? "≤ 0" : "0";
      high.textContent = `${clipped ? "≥ " : ""}${most.toFixed(decimals)}`;
    },
  };
}
