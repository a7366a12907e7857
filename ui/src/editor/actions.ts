// What is done to tasks by hand, as edits.

import type { Edit } from './edits';
import { upstreamOf } from './graph';
import type { Reading } from './reading';

/** An id that no task has: `wanted`, or that with the next number. */
export function freeId(wanted: string, taken: ReadonlyMap<string, unknown> | Set<string>): string {
  if (!taken.has(wanted)) return wanted;
  const stem = wanted.replace(/_\d+$/, '');
  for (let number = 2; ; number++) {
    const id = `${stem}_${number}`;
    if (!taken.has(id)) return id;
  }
}

/** Whether `task` waits for `upstream`, directly or not. */
export function waitsFor(reading: Reading, task: string, upstream: string): boolean {
  const seen = new Set([task]);
  for (const id of seen) {
    if (id === upstream) return true;
    const place = reading.index.get(id);
    if (place !== undefined) for (const next of upstreamOf(reading, place)) seen.add(next);
  }
  return false;
}

/** Lets `task` wait for `upstream`, or no longer if it does; a text: why that can't be. */
export function connection(reading: Reading, upstream: string, task: string): Edit[] | string {
  const place = reading.index.get(task);
  if (place === undefined || task === upstream) return 'A task can’t wait for itself.';
  if (upstreamOf(reading, place).includes(upstream)) {
    return [{ edit: 'remove_dependency', task, upstream }];
  }
  if (waitsFor(reading, upstream, task)) {
    return `${upstream} waits for ${task} already: this edge would close a circle.`;
  }
  return [{ edit: 'add_dependency', task, upstream }];
}
