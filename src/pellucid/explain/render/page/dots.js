// Paints the dots of the plane, pixel by pixel: fifty thousand take a few hundredths of a second.

/** A group's dot as pixels: {side, pixels}, with red, green, blue and opacity for each. */
function dotStamp(palette, group, radius, ratio, edge) {
  const side = Math.ceil(2.8 * ratio * radius) + 2;
  const pen = el("canvas", { width: side, height: side }).getContext("2d", { willReadFrequently: true });
  const shape = new Path2D(shapeOf(palette, group));
  pen.translate(side / 2, side / 2);
  pen.scale(ratio * radius, ratio * radius);
  pen.fillStyle = colorOf(palette, group);
  pen.fill(shape);
  if (edge) {
    [pen.strokeStyle, pen.lineWidth] = [edge, 1 / radius];
    pen.stroke(shape);
  }
  return { side, pixels: pen.getImageData(0, 0, side, side).data };
}

/** An opaque image of one colour, such as "#ffffff". */
function filledImage(width, height, color) {
  const image = new ImageData(width, height);
  image.data.set([...[1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16)), 255]);
  const pixels = new Uint32Array(image.data.buffer);
  pixels.fill(pixels[0]);
  return image;
}

/** Put a dot on the image. The image is opaque everywhere, so mixing the colours is all there is to do. */
function putStamp({ width, height, data }, { side, pixels }, x, y, opacity) {
  const [left, top] = [Math.round(x - side / 2), Math.round(y - side / 2)];
  const [lastRow, lastColumn] = [Math.min(side, height - top), Math.min(side, width - left)];
  for (let row = Math.max(0, -top); row < lastRow; row++) {
    for (let column = Math.max(0, -left); column < lastColumn; column++) {
      const source = 4 * (row * side + column);
      const alpha = (opacity * pixels[source + 3]) / 255;
      if (alpha === 0) continue;
      const target = 4 * ((top + row) * width + left + column);
      data[target] += alpha * (pixels[source] - data[target]);
      data[target + 1] += alpha * (pixels[source + 1] - data[target + 1]);
      data[target + 2] += alpha * (pixels[source + 2] - data[target + 2]);
    }
  }
}

/** Paint all dots that the legend does not hide. order: the texts, first to last; points: {x, y}, an array each. */
function paintDots(canvas, { palette, groups, order, points, size: [width, height], legend, radius }) {
  const ratio = globalThis.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  const ground = getComputedStyle(canvas).getPropertyValue("--surface").trim();
  const image = filledImage(canvas.width, canvas.height, ground);
  const isMany = groups.length > MAX_LARGE_DOTS;
  const stamps = new Map();
  const paintGroups = (isWanted, opacity) => {
    for (const i of order) {
      const group = groups[i];
      if (!isWanted(group) || legend.isHidden(group)) continue;
      if (!stamps.has(group)) stamps.set(group, dotStamp(palette, group, radius, ratio, isMany ? null : ground));
      putStamp(image, stamps.get(group), ratio * points.x[i], ratio * points.y[i], opacity);
    }
  };
  const opacity = isMany ? 0.7 : 1;
  if (legend.emphasised === null) paintGroups(() => true, opacity);
  else {
    paintGroups((group) => group !== legend.emphasised, 0.12);
    paintGroups((group) => group === legend.emphasised, opacity);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
