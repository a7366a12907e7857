// The graph that a text means: a box for each task, an edge for each dependency.

import type { Drawing } from '../graph/drawing';
import { boxesOf } from '../graph/families';
import { type Edge, layOut } from '../graph/layout';
import type { Reading } from './reading';

/** A task's upstream tasks, as its text has them. */
export function upstreamOf(reading: Reading, place: number): string[] {
  const given = reading.tasks[place]!.fields.dependencies;
  return Array.isArray(given) ? given.filter((id) => typeof id === 'string') : [];
}

/** The places of tasks that become one task for each item of a list. */
export const expandedIn = ({ tasks }: Reading): number[] =>
  tasks.flatMap(({ fields }, place) => (fields.expand ? [place] : []));

export interface Graph {
  names: readonly string[];
  edges: readonly Edge[];
  /** Edges that would close a circle; they are a problem of the file. */
  loops: readonly Edge[];
}

export function graphOf(reading: Reading): Graph {
  const { tasks, index } = reading;
  const edges: Edge[] = [];
  tasks.forEach(({ id }, to) => {
    if (id && index.get(id) !== to) return;
    for (const upstream of new Set(upstreamOf(reading, to))) {
      const from = index.get(upstream);
      if (from !== undefined && from !== to) edges.push([from, to]);
    }
  });
  const names = tasks.map(({ id }, place) => id || `(task ${place + 1} has no id)`);
  const straight = withoutCircles(names.length, edges);
  const loops = edges.filter((edge) => !straight.has(edge));
  return { names, edges: edges.filter((edge) => straight.has(edge)), loops };
}

/** As many edges as a walk in depth finds that close no circle. */
function withoutCircles(count: number, edges: readonly Edge[]): Set<Edge> {
  const from: Edge[][] = Array.from({ length: count }, () => []);
  for (const edge of edges) from[edge[0]]!.push(edge);
  const kept = new Set<Edge>();
  const state = new Uint8Array(count); // 1: on the way, 2: done
  for (let root = 0; root < count; root++) {
    if (state[root]) continue;
    const way = [{ node: root, next: 0 }];
    state[root] = 1;
    while (way.length > 0) {
      const top = way.at(-1)!;
      const edge = from[top.node]![top.next++];
      if (edge === undefined) {
        state[top.node] = 2;
        way.pop();
      } else if (state[edge[1]] !== 1) {
        kept.add(edge);
        if (state[edge[1]] === 0) {
          state[edge[1]] = 1;
          way.push({ node: edge[1], next: 0 });
        }
      }
    }
  }
  return kept;
}

/** Where its boxes stand, in the order in which those of `before` stood. */
export function drawingOf(
  { names, edges, loops }: Graph,
  open: ReadonlySet<string>,
  before: Drawing | null,
): Drawing {
  const boxes = boxesOf({ tasks: names, edges }, open);
  const stood = new Map(before?.boxes.map(({ key }, box) => [key, before.y[box]!]));
  const layout = layOut(
    boxes.boxes.length,
    boxes.edges,
    before ? boxes.boxes.map(({ key }) => stood.get(key)) : undefined,
  );
  const back = loops.map(([from, to]): Edge => [boxes.boxOf[from]!, boxes.boxOf[to]!]);
  return {
    ...boxes,
    ...layout,
    edges: [...boxes.edges, ...back],
    bends: [...layout.bends, ...back.map(() => [])],
  };
}

/** Whether nothing of the layout would be otherwise. */
export function isSameGraph(a: Graph, b: Graph): boolean {
  const same = (one: readonly Edge[], other: readonly Edge[]) =>
    one.length === other.length &&
    one.every(([from, to], i) => from === other[i]![0] && to === other[i]![1]);
  return (
    a.names.length === b.names.length &&
    a.names.every((name, i) => name === b.names[i]) &&
    same(a.edges, b.edges) &&
    same(a.loops, b.loops)
  );
}
