"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const count = data.texts.length;
const names = [...new Set(data.labels)];
const byId = (id) => document.getElementById(id);
byId("title").textContent = `${count} ${count === 1 ? "text" : "texts"}, ${data.model}`;
byId("sentence").textContent = data.sentence;
byId("colours").textContent = data.colours;

// Eight colours; from the ninth label on they come again, as another shape.
const shapes = ["M-1 0a1 1 0 1 0 2 0a1 1 0 1 0 -2 0", "M-.9-.9h1.8v1.8h-1.8z", "M0-1.2L1.1.8H-1.1z", "M0-1.3L1.3 0L0 1.3L-1.3 0z"];
const numbers = data.labels.map((label) => names.indexOf(label));
const colour = (number) => data.palette[number % data.palette.length];
const svg = (name) => document.createElementNS("http://www.w3.org/2000/svg", name);
const mark = (number, x, y, size) => {
  const path = svg("path");
  path.setAttribute("d", shapes[Math.floor(number / data.palette.length) % shapes.length]);
  path.setAttribute("transform", `translate(${x} ${y}) scale(${size})`);
  path.setAttribute("vector-effect", "non-scaling-stroke");
  path.setAttribute("fill", colour(number));
  return path;
};

// What is pointed at, in words, beside it.
const tip = byId("tip");
const tell = (head, texts, box) => {
  const title = document.createElement("b");
  title.textContent = head;
  tip.replaceChildren(title, ...texts.map((text) => {
    const line = document.createElement("span");
    line.textContent = text.length > 400 ? `${text.slice(0, 400)}…` : text;
    return line;
  }));
  tip.hidden = false;
  const left = Math.min(box.right + 8, innerWidth - tip.offsetWidth - 8);
  const above = box.top - tip.offsetHeight - 8;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${above > 8 ? above : box.bottom + 8}px`;
};
const hide = () => { tip.hidden = true; };
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
for (const event of ["wheel", "touchmove"]) document.addEventListener(event, hide, { passive: true });

// The plane: both directions on one scale, so that a distance is a distance.
const plane = byId("plane"), edge = 24, width = 600, dots = [], buttons = [];
const range = (axis) => data.plane.reduce(([low, high], p) => [Math.min(low, p[axis]), Math.max(high, p[axis])], [Infinity, -Infinity]);
const [[left, right], [bottom, top_]] = count ? [range(0), range(1)] : [[0, 0], [0, 0]];
const height = Math.max(240, Math.min(600, 2 * edge + (width - 2 * edge) * (top_ - bottom) / (right - left || 1)));
const scale = Math.min((width - 2 * edge) / (right - left || Infinity), (height - 2 * edge) / (top_ - bottom || Infinity));
const places = data.plane.map(([x, y]) => [
  width / 2 + (Number.isFinite(scale) ? scale : 0) * (x - (left + right) / 2),
  height / 2 - (Number.isFinite(scale) ? scale : 0) * (y - (bottom + top_) / 2),
]);
plane.classList.toggle("many", count > 300);
plane.setAttribute("viewBox", `0 0 ${width} ${height}`);
let at = -1, lit = [];
const light = (chosen) => {
  for (const i of lit) for (const element of [dots[i], buttons[i]]) element.classList.remove("on");
  for (const i of chosen) {
    for (const element of [dots[i], buttons[i]]) element.classList.add("on");
    plane.append(dots[i]);
  }
  lit = chosen;
};
const choose = (i) => {
  at = i;
  light([i]);
  tell(data.labels[i], [data.texts[i]], dots[i].getBoundingClientRect());
};
places.forEach(([x, y], i) => {
  const dot = mark(numbers[i], x, y, count > 2000 ? 2.5 : count > 300 ? 4 : 7);
  dot.addEventListener("pointerenter", () => { if (lit.length !== 1 || lit[0] !== i || tip.hidden) choose(i); });
  dot.addEventListener("click", () => choose(i));
  dots.push(dot);
});
// From left to right, so that no label lies over all others.
plane.append(...dots.map((_, i) => i).sort((i, j) => places[i][0] - places[j][0]).map((i) => dots[i]));
plane.addEventListener("pointerleave", hide);
plane.addEventListener("blur", hide);
const steps = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
plane.addEventListener("keydown", (event) => {
  const step = steps[event.key];
  if (!step || !count) return;
  event.preventDefault();
  if (at < 0) return choose(0);
  // The nearest in that direction: what lies off the line counts double.
  let best = -1, least = Infinity;
  for (let i = 0; i < count; i++) {
    const dx = places[i][0] - places[at][0], dy = places[i][1] - places[at][1];
    const along = dx * step[0] + dy * step[1], off = Math.abs(dx * step[1] + dy * step[0]);
    if (i !== at && along > 0.01 && along + 2 * off < least) [best, least] = [i, along + 2 * off];
  }
  if (best >= 0) choose(best);
});

// The texts, by label: they are in that order already.
names.forEach((name, number) => {
  const section = document.createElement("section"), head = document.createElement("h3"), list = document.createElement("ul");
  const key = svg("svg"), size = document.createElement("span");
  key.setAttribute("viewBox", "-1.5 -1.5 3 3");
  key.setAttribute("aria-hidden", "true");
  key.append(mark(number, 0, 0, 1));
  numbers.forEach((own, i) => {
    if (own !== number) return;
    const item = document.createElement("li"), button = document.createElement("button");
    button.type = "button";
    button.textContent = data.texts[i] || "(empty)";
    button.addEventListener("click", () => { at = i; light([i]); });
    button.addEventListener("pointerenter", () => { at = i; light([i]); });
    buttons[i] = button;
    item.append(button);
    list.append(item);
  });
  size.textContent = list.children.length;
  head.append(key, name, size);
  section.append(head, list);
  byId("texts").append(section);
});

// How alike each is to each. It is painted once; what is pointed at is drawn over it.
const matrix = byId("matrix");
if (!data.similarity || count < 2) byId("alike").remove();
else {
  const strip = 24, side = matrix.width - strip, cell = side / count;
  const ramp = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const shade = (value) => {
    const place = Math.max(0, Math.min(0.9999, value)) * 4, k = Math.floor(place);
    return `rgb(${ramp[k].map((low, c) => Math.round(low + (ramp[k + 1][c] - low) * (place - k))).join()})`;
  };
  const painted = document.createElement("canvas");
  painted.width = painted.height = matrix.width;
  const paint = painted.getContext("2d"), draw = matrix.getContext("2d");
  const edgeOf = (i) => Math.round(i * cell);  // Whole pixels, so that no seams show.
  for (let i = 0; i < count; i++) {
    const start = edgeOf(i), size = edgeOf(i + 1) - start;
    paint.fillStyle = colour(numbers[i]);
    paint.fillRect(0, strip + start, strip - 6, size);
    paint.fillRect(strip + start, 0, size, strip - 6);
    for (let j = 0; j < count; j++) {
      paint.fillStyle = shade(data.similarity[i][j]);
      paint.fillRect(strip + edgeOf(j), strip + start, edgeOf(j + 1) - edgeOf(j), size);
    }
  }
  const show = () => { draw.clearRect(0, 0, matrix.width, matrix.height); draw.drawImage(painted, 0, 0); };
  let row = 0, column = 0;
  const bound = (value) => Math.max(0, Math.min(count - 1, value));
  const pair = (i, j) => {
    [row, column] = [bound(i), bound(j)];
    show();
    draw.strokeStyle = "#fff";
    draw.lineWidth = 5;
    draw.strokeRect(strip + column * cell, strip + row * cell, cell, cell);
    light([...new Set([row, column])]);
    const box = matrix.getBoundingClientRect(), ratio = box.width / matrix.width;
    const x = box.left + (strip + column * cell) * ratio, y = box.top + (strip + row * cell) * ratio;
    const texts = row === column ? [data.texts[row]] : [data.texts[row], data.texts[column]];
    tell(`cosine ${data.similarity[row][column].toFixed(3)}`, texts, { top: y, right: x + cell * ratio, bottom: y + cell * ratio });
  };
  const point = (event) => {
    const box = matrix.getBoundingClientRect(), ratio = matrix.width / box.width;
    const place = (pixels) => Math.floor((pixels * ratio - strip) / cell);
    pair(place(event.clientY - box.top), place(event.clientX - box.left));
  };
  matrix.addEventListener("pointermove", point);
  matrix.addEventListener("click", point);
  matrix.addEventListener("pointerleave", () => { show(); hide(); });
  matrix.addEventListener("blur", () => { show(); hide(); });
  matrix.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    pair(row + step[1], column + step[0]);
  });
  show();
}
