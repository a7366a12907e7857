// An edge that is being drawn by the mouse or a finger, from the port of a box to another box.

import type { GraphCanvas } from '../graph/canvas';

const SVG = 'http://www.w3.org/2000/svg';

export function wires(
  host: HTMLElement,
  canvas: GraphCanvas,
  connect: (from: number, to: number) => void,
  signal: AbortSignal,
): void {
  const line = document.createElementNS(SVG, 'svg');
  line.setAttribute('class', 'wire');
  line.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  line.append(path);
  let from: { box: number; x: number; y: number; pointer: number } | null = null;
  const end = () => {
    from = null;
    line.remove();
  };
  host.addEventListener(
    'pointerdown',
    (event) => {
      const port = (event.target as Element).closest?.('.port');
      if (!port || event.button !== 0) return;
      const { left, right, top, bottom } = port.getBoundingClientRect();
      const box = canvas.under({ clientX: left - 2, clientY: (top + bottom) / 2 });
      if (box === undefined) return;
      event.stopPropagation(); // it moves nothing
      event.preventDefault();
      from = { box, x: (left + right) / 2, y: (top + bottom) / 2, pointer: event.pointerId };
      host.append(line);
    },
    { signal, capture: true },
  );
  addEventListener(
    'pointermove',
    (event) => {
      if (from?.pointer !== event.pointerId) return;
      const { x, y } = host.getBoundingClientRect();
      const half = (event.clientX - from.x) / 2;
      const [x1, y1, x2, y2] = [from.x - x, from.y - y, event.clientX - x, event.clientY - y];
      path.setAttribute('d', `M${x1} ${y1}C${x1 + half} ${y1} ${x2 - half} ${y2} ${x2} ${y2}`);
    },
    { signal },
  );
  addEventListener(
    'pointerup',
    (event) => {
      if (from?.pointer !== event.pointerId) return;
      const to = canvas.under(event);
      if (to !== undefined && to !== from.box) connect(from.box, to);
      end();
    },
    { signal },
  );
  addEventListener('pointercancel', end, { signal });
  addEventListener('keydown', (event) => event.key === 'Escape' && end(), { signal });
}
