import type { Dag } from '../src/graph/families';
import type { Edge } from '../src/graph/layout';

/** Numbers from 0 to 1 that a seed decides. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296;
  };
}

/** A DAG in which each task waits for up to three of the `near` tasks before it. */
export function anyDag(count: number, seed: number, near = 12): Dag {
  const next = random(seed);
  const edges: Edge[] = [];
  for (let task = 1; task < count; task++) {
    const chosen = new Set<number>();
    for (let i = Math.floor(next() * 4); i > 0; i--) {
      chosen.add(task - 1 - Math.floor(next() * Math.min(task, near)));
    }
    for (const from of chosen) edges.push([from, task]);
  }
  const names = ['load', 'clean', 'join', 'report'];
  return {
    tasks: Array.from({ length: count }, (_, i) => `${names[Math.floor(next() * 4)]}_${i}`),
    edges,
  };
}

/** Batches that fan out, as many of them as make about `count` tasks, and one task at the end. */
export function batches(count: number, width = 50): Dag {
  const tasks = ['start', 'end'];
  const edges: Edge[] = [];
  while (tasks.length < count) {
    const list = tasks.push(`list_${tasks.length}`) - 1;
    edges.push([0, list]);
    for (let i = 0; i < width; i++) {
      const load = tasks.push(`load_${tasks.length}`) - 1;
      const check = tasks.push(`check_${tasks.length}`) - 1;
      edges.push([list, load], [load, check], [check, 1]);
    }
  }
  return { tasks, edges };
}
