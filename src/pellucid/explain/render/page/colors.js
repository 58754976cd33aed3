// Two colour scales, from the variables in page.css. Both keep their order for colour-blind readers and in grey.

function colorStops(scale, element) {
  const text = getComputedStyle(element).getPropertyValue(`--${scale}`).trim();
  return text.split(/\s+/).map((hex) => [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16)));
}

/** A scale as 256 colours, each [r, g, b]: "sequential" is for 0 to 1, "diverging" for -1 to 1. */
function scaleColors(scale, element = document.documentElement) {
  const stops = colorStops(scale, element);
  return Array.from({ length: 256 }, (_, step) => {
    const position = (step / 255) * (stops.length - 1);
    const start = Math.min(Math.floor(position), stops.length - 2);
    return stops[start].map((value, channel) => value + (position - start) * (stops[start + 1][channel] - value));
  });
}

/** The colours of a scale on white paper, whatever the page's theme. */
function paperColors(scale) {
  const paper = el("div", { class: "paper", hidden: true });
  document.body.append(paper);
  const colors = scaleColors(scale, paper);
  paper.remove();
  return colors;
}

/** Which of the 256 colours a number gets. max gets the strongest one. */
function colorStep(value, scale, max) {
  const part = max ? clamp(value / max, -1, 1) : 0;
  return Math.round(255 * (scale === "diverging" ? (part + 1) / 2 : Math.max(0, part)));
}

/** Colour the grounds of elements by their numbers: one colour above 0, one below, and max gets the strongest. */
function tint(elements, values, max) {
  const colors = scaleColors("diverging");
  elements.forEach((element, index) => {
    const part = values[index] / (max || 1);
    const [r, g, b] = colors[part < 0 ? 40 : 215];
    element.style.backgroundColor = `rgb(${r} ${g} ${b} / ${(0.5 * Math.abs(part)).toFixed(3)})`;
  });
}

/** Call draw whenever the theme changes, as long as the element is on the page. */
function redrawOnTheme(element, draw) {
  element.dataset.painted = "";
  element.addEventListener("theme", draw);
}

/** Paint each number as one pixel. max gets the strongest colour; NaN stays transparent. */
function paint(canvas, values, columns, scale, max, colors = scaleColors(scale)) {
  canvas.width = columns;
  canvas.height = Math.max(1, values.length / columns);
  const image = new ImageData(canvas.width, canvas.height);
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) continue;
    image.data.set(colors[colorStep(values[i], scale, max)], 4 * i);
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

const MIN_CLIPPED = 1000;

/**
 * The number that gets the strongest colour. Of many numbers, one in a hundred lies beyond it: otherwise a few very
 * large numbers would make all others pale.
 */
function strongestNumber(values) {
  if (values.length < MIN_CLIPPED) return maxAbs(values);
  const sizes = values.map(Math.abs).sort();
  return sizes[Math.floor(0.99 * (sizes.length - 1))] || sizes[sizes.length - 1];
}

/** The legend of a scale, from its lowest to its highest number. */
function colorLegend(scale) {
  const canvas = el("canvas", { "aria-hidden": "true" });
  const [low, high] = [el("span"), el("span")];
  const steps = Float32Array.from({ length: 128 }, (_, i) => (scale === "diverging" ? i / 63.5 - 1 : i / 127));
  return {
    element: el("div", { class: "legend" }, low, canvas, high),
    /** clipped: true if some numbers lie beyond max; hasNegative: true if some are negative. */
    show(max, decimals, clipped, hasNegative = false) {
      paint(canvas, steps, steps.length, scale, 1);
      [low.textContent, high.textContent] = scaleEnds(scale, max, decimals, clipped, hasNegative);
    },
  };
}

/** The lowest and the highest number of a legend, as text. */
function scaleEnds(scale, max, decimals, clipped, hasNegative) {
  const low = scale === "diverging" ? `${clipped ? "≤ " : ""}${(-max).toFixed(decimals)}` : hasNegative ? "≤ 0" : "0";
  return [low, `${clipped ? "≥ " : ""}${max.toFixed(decimals)}`];
}
