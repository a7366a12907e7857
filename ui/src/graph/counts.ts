// Of each box how many tasks it has in each state, kept up change by change. The children of an
// expanded task, of which there may be many, stand for it.

import { parentOf } from '../live/plan';
import { STATES } from '../states';

const WIDTH = STATES.length;
const NONE = STATES.indexOf('none');
const PLACE = new Map<string, number>(STATES.map((state, index) => [state, index]));

interface Known {
  task: readonly string[];
  expand: readonly number[];
}

export class BoxCounts {
  /** By box, then by `STATES`. */
  readonly counts: Uint32Array;
  private readonly index: Map<string, number>;
  private readonly expanded: Set<string>;
  private readonly own: Uint8Array;
  private readonly children = new Map<string, number>();
  private readonly parents = new Set<number>(); // expanded tasks that have children

  constructor(
    graph: Known,
    private readonly boxOf: Int32Array,
    boxes: number,
  ) {
    this.counts = new Uint32Array(boxes * WIDTH);
    this.index = new Map(graph.task.map((name, task) => [name, task]));
    this.expanded = new Set(graph.expand.map((task) => graph.task[task]!));
    this.own = new Uint8Array(graph.task.length).fill(NONE);
    for (const box of boxOf) this.counts[box * WIDTH + NONE]!++;
  }

  /** Notes the state of a task of the graph, or of a child of one. */
  set(name: string, state: string): void {
    const now = PLACE.get(state) ?? NONE;
    const task = this.index.get(name);
    if (task !== undefined) {
      if (!this.parents.has(task)) this.move(task, this.own[task]!, now);
      this.own[task] = now;
      return;
    }
    const parent = this.index.get(parentOf(name, this.expanded));
    if (parent === undefined) return;
    let before = this.children.get(name);
    if (!this.parents.has(parent)) {
      this.parents.add(parent);
      before = this.own[parent]!;
    }
    this.children.set(name, now);
    this.move(parent, before, now);
  }

  private move(task: number, before: number | undefined, now: number): void {
    const from = this.boxOf[task]! * WIDTH;
    if (before !== undefined) this.counts[from + before]!--;
    this.counts[from + now]!++;
  }

  /** The most important state that a box has, by its place in `STATES`. */
  stateOf(box: number): number {
    const from = box * WIDTH;
    for (let state = 0; state < WIDTH; state++) if (this.counts[from + state]) return state;
    return NONE;
  }

  of(box: number): Uint32Array {
    return this.counts.subarray(box * WIDTH, (box + 1) * WIDTH);
  }
}
