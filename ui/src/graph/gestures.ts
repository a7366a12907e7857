// What fingers, the mouse and its wheel do to something that can be moved and zoomed.

interface Movable {
  move(dx: number, dy: number): void;
  /** Around a point of the host. */
  zoom(factor: number, x: number, y: number): void;
  /** At a point of the window, on nothing else that can be clicked. */
  click(event: MouseEvent): void;
  doubleClick(event: MouseEvent): void;
}

const SLACK = 4; // pixels that a click may move

export function listen(
  host: HTMLElement,
  canvas: HTMLElement,
  movable: Movable,
  signal: AbortSignal,
): void {
  const fingers = new Map<number, { x: number; y: number }>();
  let moved = false;
  const options = { signal };
  const down = (event: PointerEvent) => {
    if (fingers.size === 0) moved = false;
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  };
  const move = (event: PointerEvent) => {
    const last = fingers.get(event.pointerId);
    if (!last) return;
    const dx = event.clientX - last.x;
    const dy = event.clientY - last.y;
    if (!moved && Math.hypot(dx, dy) < SLACK) return;
    moved = true;
    const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const before = Math.hypot(last.x - other.x, last.y - other.y);
      const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
      const { x, y } = host.getBoundingClientRect();
      movable.zoom(after / Math.max(1, before), other.x - x, other.y - y);
    } else movable.move(dx, dy);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  };
  const click = (event: MouseEvent) => {
    // The end of a drag is no click, on a button neither.
    if (moved) event.stopPropagation();
    else if (event.target === canvas) movable.click(event);
  };
  const wheel = (event: WheelEvent) => {
    event.preventDefault();
    const { x, y } = host.getBoundingClientRect();
    movable.zoom(Math.exp(-event.deltaY / 300), event.clientX - x, event.clientY - y);
  };
  host.addEventListener('pointerdown', down, options);
  addEventListener('pointermove', move, options);
  for (const end of ['pointerup', 'pointercancel'] as const) {
    addEventListener(end, (event) => fingers.delete(event.pointerId), options);
  }
  host.addEventListener('click', click, { signal, capture: true });
  host.addEventListener(
    'dblclick',
    (event) => {
      if (event.target === canvas) movable.doubleClick(event);
    },
    options,
  );
  host.addEventListener('wheel', wheel, { signal, passive: false });
}
