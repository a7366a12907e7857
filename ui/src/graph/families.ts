// Which tasks are drawn as one box: in a big DAG those of one name, digits apart, in one layer. Edges
// lead from a layer to a later one, so the boxes have no circle either.

import { type Edge, layersOf } from './layout';

/** Up to so many tasks each is a box. */
export const MOST_SINGLE = 150;

export interface Dag {
  tasks: readonly string[];
  edges: readonly Edge[];
}

interface Box {
  /** What opens it; the same as long as the DAG is. */
  key: string;
  label: string;
  tasks: readonly number[];
}

export interface Boxes {
  boxes: Box[];
  edges: Edge[];
  /** Of each task its box. */
  boxOf: Int32Array;
}

/** What all tasks of one name have in common: the name without its digits. */
export const familyOf = (task: string) => task.replace(/\d+/g, '#');

/** The boxes of a DAG in which the families `open` are shown task by task. */
export function boxesOf(dag: Dag, open: ReadonlySet<string>): Boxes {
  const { tasks, edges } = dag;
  const single = tasks.length <= MOST_SINGLE;
  const layer = single ? null : layersOf(tasks.length, edges);
  const found = new Map<string, number>();
  const members: { key: string; tasks: number[] }[] = [];
  const boxOf = Int32Array.from(tasks, (task, index) => {
    const key = layer ? `${familyOf(task)}|${layer[index]}` : task;
    const alone = single || open.has(key);
    const known = alone ? undefined : found.get(key);
    if (known !== undefined) {
      members[known]!.tasks.push(index);
      return known;
    }
    members.push({ key, tasks: [index] });
    if (!alone) found.set(key, members.length - 1);
    return members.length - 1;
  });
  const boxes = members.map((box) => ({ ...box, label: labelOf(box.tasks, tasks) }));
  const seen = new Set<number>();
  const between: Edge[] = [];
  for (const [from, to] of edges) {
    const edge: Edge = [boxOf[from]!, boxOf[to]!];
    const id = edge[0] * boxes.length + edge[1];
    if (!seen.has(id)) {
      seen.add(id);
      between.push(edge);
    }
  }
  return { boxes, edges: between, boxOf };
}

function labelOf(members: readonly number[], tasks: readonly string[]): string {
  const first = tasks[members[0]!]!;
  if (members.length === 1) return first;
  const stem = familyOf(first).replace(/[_.#-]+$/, '') || familyOf(first);
  return `${stem} × ${members.length.toLocaleString('en')}`;
}
