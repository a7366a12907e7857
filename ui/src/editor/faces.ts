// What the boxes of an edited file show: the task, its operator, and how many problems it has.

import type { Drawing } from '../graph/drawing';
import { type Faces, glyph, StateFaces } from '../graph/faces';
import { STATES } from '../states';
import { plural } from '../text';
import type { Reading } from './reading';
import type { Validated } from './session';

const NONE = STATES.indexOf('none');
const FAILED = STATES.indexOf('failed');

/** What a task runs: the name of its operator, or kind and name of its script. */
export function runs({ fields }: Reading['tasks'][number]): string {
  const { operator, script } = fields;
  if (typeof operator === 'string') return operator;
  return typeof script === 'string' ? script.split('.').slice(-2).join('.') : '';
}

function port(): HTMLElement {
  const made = document.createElement('i');
  made.className = 'port';
  made.setAttribute('aria-hidden', 'true');
  made.title = 'Draw from here to the task that shall wait';
  return made;
}

/** The tasks as a run has them that is watched. */
export class WatchedFaces extends StateFaces {
  override fill(element: HTMLButtonElement, label: string, box: number): void {
    super.fill(element, label, box);
    element.append(port());
  }
}

export class TaskFaces implements Faces {
  private readonly problems = new Map<string, number>();

  constructor(
    private readonly reading: Reading,
    private readonly drawing: Drawing,
    checked: Validated | null,
  ) {
    for (const { task } of checked?.problems ?? []) {
      if (task) this.problems.set(task, (this.problems.get(task) ?? 0) + 1);
    }
  }

  stateOf(box: number): number {
    return this.wrong(box) > 0 ? FAILED : NONE;
  }

  keyOf(box: number): string {
    return `${this.wrong(box)} ${this.below(box)}`;
  }

  wordsOf(box: number): string {
    const wrong = this.wrong(box);
    return [this.below(box), wrong > 0 ? plural(wrong, 'problem') : ''].filter(Boolean).join(', ');
  }

  fill(element: HTMLButtonElement, label: string, box: number): void {
    const name = document.createElement('b');
    name.textContent = label;
    const below = document.createElement('small');
    const wrong = this.wrong(box);
    below.textContent = wrong > 0 ? plural(wrong, 'problem') : this.below(box);
    element.dataset.state = wrong > 0 ? 'failed' : 'none';
    element.title = `${label}: ${this.wordsOf(box)}`;
    element.replaceChildren(...(wrong > 0 ? [glyph('failed')] : []), name, below, port());
  }

  private wrong(box: number): number {
    let sum = 0;
    if (this.problems.size === 0) return 0;
    for (const place of this.drawing.boxes[box]!.tasks) {
      sum += this.problems.get(this.reading.tasks[place]?.id ?? '') ?? 0;
    }
    return sum;
  }

  private below(box: number): string {
    const { tasks } = this.drawing.boxes[box]!;
    const first = this.reading.tasks[tasks[0]!];
    return tasks.length > 1 ? plural(tasks.length, 'task') : first ? runs(first) : '';
  }
}
