// What the boxes of a graph show. Whoever changes it asks the graph to be drawn.

import { byPlace, lookOf, STATES } from '../states';
import type { BoxCounts } from './counts';

const SVG = 'http://www.w3.org/2000/svg';

export interface Faces {
  /** The state whose colour a box has, by its place in `STATES`. */
  stateOf(box: number): number;
  /** Another one if a near box shows something else. */
  keyOf(box: number): string;
  fill(element: HTMLButtonElement, label: string, box: number): void;
  /** What is read aloud of a box after its label. */
  wordsOf(box: number): string;
}

/** How many tasks of each box are in which state. */
export class StateFaces implements Faces {
  constructor(private readonly counts: BoxCounts) {}

  stateOf(box: number): number {
    return this.counts.stateOf(box);
  }

  keyOf(box: number): string {
    return this.counts.of(box).join();
  }

  wordsOf(box: number): string {
    return this.present(box)
      .map(({ state, count }) =>
        count === 1 ? lookOf(state).says : `${count} ${lookOf(state).says}`,
      )
      .join(', ');
  }

  fill(element: HTMLButtonElement, label: string, box: number): void {
    const present = this.present(box);
    const name = document.createElement('b');
    name.textContent = label;
    const below = document.createElement('small');
    element.dataset.state = present[0]?.state ?? 'none';
    if (present.length === 1 && present[0]!.count === 1) {
      below.textContent = lookOf(present[0]!.state).says;
    } else {
      const bar = document.createElement('span');
      bar.className = 'bar';
      for (const { state, count } of present.toSorted((a, b) => byPlace(a.state, b.state))) {
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

  private present(box: number): { state: string; count: number }[] {
    const counts = this.counts.of(box);
    return STATES.flatMap((state, index) =>
      counts[index] ? [{ state, count: counts[index]! }] : [],
    );
  }
}

export function glyph(state: string): SVGElement {
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
