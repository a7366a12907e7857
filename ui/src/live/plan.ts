// What follows from a run's DAG and what is known of its tasks: when it ends, and what that hangs on.

import type { Graph, TaskNow } from '../api/types';
import { ENDED } from '../states';

/** Of tasks how many seconds each usually takes. */
export type Durations = ReadonlyMap<string, number>;
type Tasks = ReadonlyMap<string, TaskNow>;

/** When the run will end if each task takes its usual time and none waits for a slot; null if one that
 * is still to end has no usual time. */
export function expectedEnd(
  graph: Graph,
  tasks: Tasks,
  usual: Durations,
  now: number,
): number | null {
  const ends: number[] = [];
  let last = 0;
  for (let i = 0; i < graph.task.length; i++) {
    const name = graph.task[i]!;
    const task = tasks.get(name);
    let end = task?.ended_at ?? 0;
    if (!task || !ENDED.has(task.state)) {
      const usually = usual.get(name);
      if (usually === undefined) return null;
      const since = task?.started_at ?? null;
      const ready = Math.max(now, ...graph.upstream[i]!.map((up) => ends[up] ?? now));
      end =
        since !== null && task?.state === 'running'
          ? Math.max(now, since + usually)
          : ready + usually;
    }
    ends.push(end);
    last = Math.max(last, end);
  }
  return last || null;
}

/** The tasks that the end hung on: from the one that ended last, each time the upstream one that did. */
export function criticalPath(graph: Graph, tasks: Tasks): Set<string> {
  const place = new Map(graph.task.map((name, i) => [name, i]));
  const end = (name: string) => tasks.get(name)?.ended_at ?? -1;
  const latest = (names: string[]) =>
    names.reduce((a, b) => (end(b) > end(a) ? b : a), names[0] ?? '');
  const path = new Set<string>();
  for (let name = latest(graph.task); name && end(name) >= 0 && !path.has(name); ) {
    path.add(name);
    name = latest((graph.upstream[place.get(name)!] ?? []).map((up) => graph.task[up]!));
  }
  return path;
}

/** Of a child of an expanded task, the task that it is of; else the task itself. */
export function parentOf(task: string, expanded: ReadonlySet<string>): string {
  const dot = task.lastIndexOf('.');
  const parent = dot > 0 ? task.slice(0, dot) : task;
  return expanded.has(parent) ? parent : task;
}
