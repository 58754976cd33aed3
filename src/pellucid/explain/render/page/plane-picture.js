// The plane as a picture to download: the dots that are shown, the legend, and the texts if there are few.

const PICTURE_WIDTH = 900;
const MAX_PICTURE_ENTRIES = 40;

/** data: what contents.py says about a map; groups, view, legend: those of the plane. Returns an SVG element. */
function planePicture(data, groups, view, legend) {
  const n = groups.length;
  const [width, margin] = [PICTURE_WIDTH - 48, 20];
  const height = Math.round(view.heightFor(width, margin));
  const points = view.project(width, height, margin);
  const isInside = (i) => !legend.isHidden(groups[i]) && points.x[i] >= 0 && points.y[i] >= 0 && points.x[i] <= width && points.y[i] <= height;
  const shown = Array.from(groups.keys()).filter(isInside).sort((i, j) => points.x[i] - points.x[j]);
  const labels = data.labels.map((_, group) => group).filter((group) => data.labels.length > 1 && !legend.isHidden(group)).slice(0, MAX_PICTURE_ENTRIES);
  const listed = n <= MAX_NUMBERED ? [...shown].sort((i, j) => i - j) : [];
  const columns = (count) => Math.ceil(count / 2) * 20;
  const [legendTop, listTop] = [height + 32, height + 32 + columns(labels.length) + (labels.length ? 12 : 0)];
  const lines = [`${grouped(n)} ${n === 1 ? "text" : "texts"} · ${data.model}`, data.sentence, ...(data.colours ? [data.colours] : [])];
  const { picture, top } = paperPicture(PICTURE_WIDTH, listTop + columns(listed.length) + 24, lines);
  const entry = (y, count, k) => ({ x: 24 + (k < Math.ceil(count / 2) ? 0 : width / 2), y: top + y + 20 * (k % Math.ceil(count / 2)) });
  const number = (value) => value.toFixed(1);
  picture.append(
    svg("rect", { x: 24, y: top, width, height, rx: 6, fill: "none", stroke: "#dde4e7" }),
    svg("g", { transform: `translate(24 ${top})`, "fill-opacity": n > MAX_LARGE_DOTS ? 0.7 : 1 },
      ...shown.map((i) => {
        const dot = groupDot(data.palette, groups[i], number(points.x[i]), number(points.y[i]), number(dotSize(n, view.zoom)));
        dot.removeAttribute("vector-effect");
        return dot;
      }),
      ...listed.map((i) => svg("text", { x: points.x[i] + 9, y: points.y[i] - 6, "font-size": 12, fill: "#51616a" }, `${i + 1}`))),
    svg("g", {}, ...labels.flatMap((group, k) => {
      const { x, y } = entry(legendTop, labels.length, k);
      return [groupDot(data.palette, group, x + 6, y - 4, 5), svg("text", { x: x + 20, y }, xmlText(`${shortened(data.labels[group], 46)} (${grouped(data.counts[group])})`))];
    })),
    svg("g", { "font-size": 12 }, ...listed.map((i, k) => svg("text", entry(listTop, listed.length, k), xmlText(`${i + 1}  ${shortened(data.texts[i].replaceAll(/\s+/g, " "), 56)}`)))),
    svg("text", { x: PICTURE_WIDTH - 24, y: top + listTop + columns(listed.length) + 8, "text-anchor": "end", "font-size": 12, fill: "#51616a" }, "Pellucid"));
  return picture;
}
