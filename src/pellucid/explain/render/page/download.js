// Downloads of pictures, as SVG and as PNG. The page makes the files itself, so nothing is sent anywhere.

const PNG_SCALE = 2;
const MAX_PNG_SIDE = 8192;

/** Two buttons. name: returns the file's name without its ending; makePicture: returns an SVG element. */
function downloadButtons(name, makePicture) {
  const status = el("span", { class: "visually-hidden", role: "status" });
  const button = (ending, makeFile) => el("button", { type: "button", class: "small", "aria-label": `Download the picture as ${ending.toUpperCase()}`,
    click: async () => {
      const file = `${name()}.${ending}`;
      saveFile(file, await makeFile(makePicture()));
      status.textContent = `${file} is saved.`;
    } }, ending.toUpperCase());
  return el("div", { class: "downloads", role: "group", "aria-label": "Download the picture" }, button("svg", svgFile), button("png", pngFile), status);
}

function saveFile(name, blob) {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name }).click();
  // The browser reads the file after this event.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

const svgText = (picture) => `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(picture)}\n`;

const svgFile = (picture) => new Blob([svgText(picture)], { type: "image/svg+xml" });

async function pngFile(picture) {
  const [width, height] = ["width", "height"].map((side) => Number(picture.getAttribute(side)));
  const scale = Math.min(PNG_SCALE, MAX_PNG_SIDE / Math.max(width, height));
  const image = new Image();
  // The policy lets images come from data: alone, not from blob:.
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svgText(picture))}`;
  await image.decode();
  const canvas = el("canvas", { width: Math.round(scale * width), height: Math.round(scale * height) });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** An empty picture on white paper, with its title: the first line is bold. Returns {picture, top}, where content starts. */
function paperPicture(width, height, lines) {
  const title = wrappedLines(lines, Math.floor((width - 48) / 8));
  const top = 36 + 20 * title.length;
  const picture = svg("svg", { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${width} ${top + height}`, width, height: top + height,
    "font-family": "system-ui, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif", "font-size": 13, fill: "#17232a" },
    svg("rect", { width: "100%", height: "100%", fill: "#ffffff" }));
  title.forEach(([line, text], i) => picture.append(svg("text", { x: 24, y: 36 + 20 * i, ...(line ? { fill: "#51616a" } : { "font-weight": 600, "font-size": 15 }) }, xmlText(text))));
  return { picture, top };
}

/** Lines broken after words, at most two parts of each. Returns [number of the line, part]. */
function wrappedLines(lines, length) {
  return lines.flatMap((line, number) => {
    const text = shortened(line.replaceAll(/\s+/g, " "), 2 * length - 10);
    const middle = text.lastIndexOf(" ", length);
    const parts = text.length <= length ? [text] : middle > 0 ? [text.slice(0, middle), text.slice(middle + 1)] : [shortened(text, length)];
    return parts.map((part) => [number, part]);
  });
}

/** The start of a text, at most length characters. */
function shortened(text, length) {
  const characters = [...text];
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join("")}…`;
}

/** A text with visible signs in place of the characters that XML does not allow (https://www.w3.org/TR/xml/#charsets). */
const xmlText = (text) => text.toWellFormed().replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd");
