// Which part of a plane is shown: its middle, and how far it is enlarged.

const MAX_ZOOM = 60;

/** positions: [n, 2] numbers. All lengths of the result's functions are in pixels of a picture of the given size. */
function planeView(positions) {
  const range = (axis) => {
    let [low, high] = [Infinity, -Infinity];
    for (let i = axis; i < positions.length; i += 2) [low, high] = [Math.min(low, positions[i]), Math.max(high, positions[i])];
    return positions.length ? [low, high] : [0, 0];
  };
  const [[left, right], [bottom, top]] = [range(0), range(1)];
  const start = { zoom: 1, x: (left + right) / 2, y: (bottom + top) / 2 };
  let view = { ...start };

  /** The pixels of one unit. Both axes have the same scale, so distances can be compared in all directions. */
  function scaleOf(width, height, margin) {
    const fitted = Math.min((width - 2 * margin) / (right - left || Infinity), (height - 2 * margin) / (top - bottom || Infinity));
    return view.zoom * (fitted || 1);
  }

  return {
    get zoom() { return view.zoom; },
    /** The height that suits a width. */
    heightFor: (width, margin) => clamp(((width - 2 * margin) * (top - bottom)) / (right - left || 1) + 2 * margin, 240, Math.max(300, 0.72 * width)),
    /** Where each text is in the picture: {x, y}, an array of numbers each. */
    project(width, height, margin) {
      const scale = scaleOf(width, height, margin);
      const n = positions.length / 2;
      const [x, y] = [new Float32Array(n), new Float32Array(n)];
      for (let i = 0; i < n; i++) {
        x[i] = width / 2 + scale * (positions[2 * i] - view.x);
        y[i] = height / 2 - scale * (positions[2 * i + 1] - view.y);
      }
      return { x, y };
    },
    /** Enlarge by a factor. What is at this distance from the picture's middle stays where it is. */
    zoomAt(dx, dy, factor, ...size) {
      const before = scaleOf(...size);
      view.zoom = clamp(view.zoom * factor, 1, MAX_ZOOM);
      const after = scaleOf(...size);
      this.pan(dx * (1 - after / before), dy * (1 - after / before), ...size);
    },
    /** Move the content. Its ends stay in reach: the middle of the picture never leaves the texts. */
    pan(dx, dy, ...size) {
      const scale = scaleOf(...size);
      if (view.zoom === 1) view = { ...start };
      else view = { ...view, x: clamp(view.x - dx / scale, left, right), y: clamp(view.y + dy / scale, bottom, top) };
    },
    reset: () => (view = { ...start }),
  };
}
