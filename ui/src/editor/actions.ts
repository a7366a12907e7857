// What is done to tasks by hand, as edits.

import { changesOf, type Edit, type TextChange } from './edits';
import { upstreamOf } from './graph';
import type { Operator } from './known';
import { type Fields, isFields, type Json, type Reading } from './reading';
import type { Post } from './session';

interface Taken {
  has(id: string): boolean;
}

/** An id that no task has: `wanted`, or that with the next number. */
export function freeId(wanted: string, taken: Taken): string {
  if (!taken.has(wanted)) return wanted;
  const stem = wanted.replace(/_\d+$/, '');
  for (let number = 2; ; number++) {
    const id = `${stem}_${number}`;
    if (!taken.has(id)) return id;
  }
}

/** Adds a task that runs an operator; it waits for `upstream`. */
export function addition(
  { index }: Reading,
  { name, is_script }: Operator,
  upstream: readonly string[],
): { edit: Edit; id: string } {
  const [, kind = name] = name.split('.');
  const id = freeId(is_script ? `${kind}_script` : kind, index);
  const task: Fields = {
    task_id: id,
    ...(is_script ? { script: `gcs.bucket.folder.${kind}.name` } : { operator: name }),
    params: {},
    ...(upstream.length > 0 ? { dependencies: [...upstream] } : {}),
  };
  return { id, edit: { edit: 'add_task', task } };
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
  if (place === undefined || task === upstream) return "A task can't wait for itself.";
  if (upstreamOf(reading, place).includes(upstream)) {
    return [{ edit: 'remove_dependency', task, upstream }];
  }
  if (waitsFor(reading, upstream, task)) {
    return `${upstream} waits for ${task} already: this edge would close a circle.`;
  }
  return [{ edit: 'add_dependency', task, upstream }];
}

/** Tasks as text: a JSON list of them, as the file has them. */
export function copied(reading: Reading, ids: readonly string[]): string {
  const places = ids.flatMap((id) => reading.index.get(id) ?? []).sort((a, b) => a - b);
  const tasks = places.map((place) => reading.tasks[place]!.fields);
  return `${JSON.stringify(tasks, null, 2)}\n`;
}

/** The tasks that a text has: a list of them, one of them, or a DAG. */
export function tasksIn(text: string): Fields[] {
  let found: Json;
  try {
    found = JSON.parse(text);
  } catch {
    return [];
  }
  if (isFields(found) && isFields(found.dag)) found = found.dag;
  if (isFields(found) && Array.isArray(found.tasks)) found = found.tasks;
  const items = Array.isArray(found) ? found : [found];
  return items
    .filter((item) => isFields(item))
    .filter(({ task_id }) => typeof task_id === 'string');
}

/** Adds tasks under ids that are free here, by which they name each other; other tasks that are not
 * here they no longer wait for. */
export async function pasted(
  reading: Reading,
  tasks: readonly Fields[],
  post: Post,
): Promise<{ edits: Edit[]; ids: string[] }> {
  const taken = new Set([...reading.index.keys(), ...tasks.map((task) => task.task_id as string)]);
  const here = new Set(reading.index.keys());
  const renames: Edit[] = [];
  const ids: string[] = [];
  for (const { task_id } of tasks) {
    const task = task_id as string;
    const to = here.has(task) ? freeId(task, taken) : task;
    here.add(to);
    taken.add(to);
    ids.push(to);
    if (to !== task) renames.push({ edit: 'rename_task', task, to });
  }
  let made = tasks;
  if (renames.length > 0) {
    const text = JSON.stringify({ dag_id: 'pasted', tasks });
    const { changes } = await post<{ changes: TextChange[] }>('/edit', { text, edits: renames });
    let renamed = text;
    for (const { from, to, insert } of changesOf(changes, text, '\n').reverse()) {
      renamed = renamed.slice(0, from) + insert + renamed.slice(to);
    }
    made = JSON.parse(renamed).tasks;
  }
  const edits = made.map((task): Edit => {
    if (!Array.isArray(task.dependencies)) return { edit: 'add_task', task };
    const dependencies = task.dependencies.filter((id) => here.has(id as string));
    return { edit: 'add_task', task: { ...task, dependencies } };
  });
  return { edits, ids };
}
