// Near boxes as buttons. Those that stay in sight stay the same elements.

import type { Drawing } from './drawing';
import type { Faces } from './faces';

interface Button {
  element: HTMLButtonElement;
  shown: string;
}

export class NearBoxes {
  readonly layer = document.createElement('div');
  private readonly buttons = new Map<number, Button>();

  constructor(
    private readonly pick: (box: number, event: MouseEvent) => void,
    private readonly open: (box: number) => void,
  ) {
    this.layer.className = 'near';
  }

  clear(): void {
    this.layer.replaceChildren();
    this.buttons.clear();
  }

  show(boxes: number[], drawing: Drawing, faces: Faces, chosen: ReadonlySet<number>): void {
    const wanted = new Set(boxes);
    for (const [box, { element }] of this.buttons) {
      if (wanted.has(box)) continue;
      element.remove();
      this.buttons.delete(box);
    }
    for (const box of boxes) {
      const button = this.buttons.get(box) ?? this.make(box, drawing);
      const shown = faces.keyOf(box);
      if (button.shown !== shown) {
        button.shown = shown;
        faces.fill(button.element, drawing.boxes[box]!.label, box);
      }
      button.element.classList.toggle('selected', chosen.has(box));
    }
  }

  private make(box: number, drawing: Drawing): Button {
    const element = document.createElement('button');
    element.type = 'button';
    element.className = drawing.boxes[box]!.tasks.length > 1 ? 'box many' : 'box';
    element.tabIndex = -1; // the arrow keys walk along the edges
    element.style.left = `${drawing.x[box]}px`;
    element.style.top = `${drawing.y[box]}px`;
    element.addEventListener('click', (event) => this.pick(box, event));
    element.addEventListener('dblclick', () => this.open(box));
    this.layer.append(element);
    const button = { element, shown: '' };
    this.buttons.set(box, button);
    return button;
  }
}
