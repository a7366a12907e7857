// The graph of two states of a DAG together: what is in either of them, and what has become of it.

import type { Edge } from '../graph/layout';
import type { Dag } from './run-params';
import type { Compared, What } from './types';

export interface Both {
  names: string[];
  edges: Edge[];
  /** Of each edge that is new or gone, by its number, what it is. */
  marked: ReadonlyMap<number, 'added' | 'removed'>;
  /** Of each task that differs what has become of it, and its fields that differ. */
  what: ReadonlyMap<string, { what: What; fields: readonly string[] }>;
}

const MOST_REMOVED = 1000; // edges that are gone and drawn all the same

/** The tasks of the DAG as it is, those that are gone, and their edges. Edges that are gone are left out
 * where they would close a circle with those of now. */
export function together(before: Dag, after: Dag, { tasks, edges }: Compared): Both {
  const what = new Map(tasks.map(({ task, what, fields }) => [task, { what, fields }]));
  const names = idsOf(after);
  const gone = new Set(tasks.filter((each) => each.what === 'removed').map(({ task }) => task));
  names.push(...idsOf(before).filter((id) => gone.has(id)));
  const place = new Map(names.map((name, i) => [name, i]));
  const down: number[][] = names.map(() => []);
  const found: Edge[] = [];
  const marked = new Map<number, 'added' | 'removed'>();
  const isNew = new Set(
    edges.filter(({ what }) => what === 'added').map((each) => `${each.upstream}\n${each.task}`),
  );
  const add = (upstream: string, task: string) => {
    const [from, to] = [place.get(upstream), place.get(task)];
    if (from === undefined || to === undefined || down[from]!.includes(to)) return;
    down[from]!.push(to);
    if (isNew.has(`${upstream}\n${task}`)) marked.set(found.length, 'added');
    found.push([from, to]);
  };
  for (const [task, upstream] of edgesOf(after)) add(upstream, task);
  for (const { upstream, task, what } of edges.slice(0, MOST_REMOVED)) {
    const [from, to] = [place.get(upstream), place.get(task)];
    if (what !== 'removed' || from === undefined || to === undefined) continue;
    if (leads(down, to, from) || down[from]!.includes(to)) continue;
    marked.set(found.length, 'removed');
    add(upstream, task);
  }
  return { names, edges: found, marked, what };
}

function leads(down: readonly number[][], from: number, to: number): boolean {
  const seen = new Set([from]);
  for (const node of seen) {
    if (node === to) return true;
    for (const next of down[node]!) seen.add(next);
  }
  return false;
}

const tasksOf = (dag: Dag) =>
  (Array.isArray(dag.tasks) ? dag.tasks : []) as { task_id: string; dependencies?: string[] }[];

const idsOf = (dag: Dag) => tasksOf(dag).map(({ task_id }) => task_id);

const edgesOf = (dag: Dag) =>
  tasksOf(dag).flatMap(({ task_id, dependencies = [] }) =>
    dependencies.map((upstream) => [task_id, upstream] as const),
  );
