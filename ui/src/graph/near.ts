// Near boxes as buttons. Those that stay in sight stay the same elements.

import { lookOf, STATES } from '../states';
import type { BoxCounts } from './counts';
import type { Drawing } from './drawing';

const SVG = 'http://www.w3.org/2000/svg';

interface Button {
  element: HTMLButtonElement;
  shown: string;
}

export class NearBoxes {
  readonly layer = document.createElement('div');
  private readonly buttons = new Map<number, Button>();

  constructor(
    private readonly pick: (box: number) => void,
    private readonly open: (box: number) => void,
  ) {
    this.layer.className = 'near';
  }

  clear(): void {
    this.layer.replaceChildren();
    this.buttons.clear();
  }

  show(boxes: number[], drawing: Drawing, counts: BoxCounts, selected: number): void {
    const wanted = new Set(boxes);
    for (const [box, { element }] of this.buttons) {
      if (wanted.has(box)) continue;
      element.remove();
      this.buttons.delete(box);
    }
    for (const box of boxes) {
      const button = this.buttons.get(box) ?? this.make(box, drawing);
      const own = counts.of(box);
      const shown = own.join();
      if (button.shown !== shown) {
        button.shown = shown;
        fill(button.element, drawing.boxes[box]!.label, own);
      }
      button.element.classList.toggle('selected', box === selected);
    }
  }

  private make(box: number, drawing: Drawing): Button {
    const element = document.createElement('button');
    element.type = 'button';
    element.className = drawing.boxes[box]!.tasks.length > 1 ? 'box many' : 'box';
    element.tabIndex = -1; // the arrow keys walk along the edges
    element.style.left = `${drawing.x[box]}px`;
    element.style.top = `${drawing.y[box]}px`;
    element.addEventListener('click', () => this.pick(box));
    element.addEventListener('dblclick', () => this.open(box));
    this.layer.append(element);
    const button = { element, shown: '' };
    this.buttons.set(box, button);
    return button;
  }
}

function fill(element: HTMLButtonElement, label: string, counts: Uint32Array): void {
  const present = STATES.flatMap((state, index) =>
    counts[index] ? [{ state, count: counts[index]! }] : [],
  );
  const name = document.createElement('b');
  name.textContent = label;
  const below = document.createElement('small');
  element.dataset.state = present[0]?.state ?? 'none';
  if (present.length === 1 && present[0]!.count === 1) {
    below.textContent = lookOf(present[0]!.state).says;
  } else {
    const bar = document.createElement('span');
    bar.className = 'bar';
    for (const { state, count } of present.toReversed()) {
      const part = document.createElement('i');
      part.dataset.state = state;
      part.className = lookOf(state).fill;
      part.style.flexGrow = String(count);
      bar.append(part);
    }
    below.append(bar);
  }
  const words = present.map(({ state, count }) => `${count} ${lookOf(state).says}`).join(', ');
  element.title = `${label}: ${words}`;
  element.replaceChildren(glyph(present[0]?.state ?? 'none'), name, below);
}

function glyph(state: string): SVGElement {
  const { fill: how, glyph: strokes } = lookOf(state);
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 12 12');
  svg.setAttribute('class', `glyph ${how}`);
  svg.setAttribute('aria-hidden', 'true');
  svg.dataset.state = state;
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', strokes);
  svg.append(path);
  return svg;
}
