// Pointers over a plane: hovering and tapping choose, dragging moves, and the wheel or two fingers zoom.

const DRAG_START = 4;

/**
 * onHover (x, y): the pointer is at this place, or has tapped it; onDrag (dx, dy): it has dragged by so much;
 * onZoom (factor, x, y). All in pixels from the box's upper left corner.
 */
function followPointers(box, { onHover, onDrag, onZoom }) {
  const pressed = new Map();
  let isDragging = false;
  const place = (event) => {
    const area = box.getBoundingClientRect();
    return [event.clientX - area.left - box.clientLeft, event.clientY - area.top - box.clientTop];
  };
  const spread = ([[x1, y1], [x2, y2]]) => ({ length: Math.hypot(x1 - x2, y1 - y2) || 1, x: (x1 + x2) / 2, y: (y1 + y2) / 2 });

  box.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    pressed.set(event.pointerId, place(event));
    isDragging = pressed.size > 1;
  });
  box.addEventListener("pointermove", (event) => {
    const now = place(event);
    const before = pressed.get(event.pointerId);
    if (!before) return onHover(...now);
    if (pressed.size === 1) {
      const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
      if (!isDragging && Math.hypot(dx, dy) < DRAG_START) return;
      if (!isDragging) box.setPointerCapture(event.pointerId);
      isDragging = true;
      onDrag(dx, dy);
    } else {
      const old = spread([...pressed.values()].slice(0, 2));
      pressed.set(event.pointerId, now);
      const { length, x, y } = spread([...pressed.values()].slice(0, 2));
      onZoom(length / old.length, x, y);
      onDrag(x - old.x, y - old.y);
    }
    pressed.set(event.pointerId, now);
  });
  const release = (event) => {
    const wasTap = pressed.delete(event.pointerId) && !isDragging && event.type === "pointerup";
    if (wasTap) onHover(...place(event));
    isDragging &&= pressed.size > 0;
  };
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) box.addEventListener(name, release);
  // The wheel scrolls the page unless the reader has chosen the plane, by a click or a key. Pinching on a touchpad is a
  // wheel with Ctrl.
  box.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey && document.activeElement !== box) return;
    event.preventDefault();
    const pixels = event.deltaMode ? 20 * event.deltaY : event.deltaY;
    onZoom(Math.exp(clamp(-pixels, -100, 100) * (event.ctrlKey ? 0.01 : 0.002)), ...place(event));
  }, { passive: false });
}
