// What a DAG file's text says, and where its tasks stand in it.

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type Fields = { [name: string]: Json };

/** One item of the list of tasks; its `fields` are empty if it is no object. */
export interface TaskItem {
  id: string;
  from: number;
  to: number;
  fields: Fields;
}

export interface Reading {
  /** The DAG's fields, its tasks too. */
  dag: Fields;
  tasks: readonly TaskItem[];
  /** Of each id the place of the first task that has it. */
  index: ReadonlyMap<string, number>;
}

export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Reads a text; the answer is why that is not possible, if it is none. */
export function read(text: string): Reading | string {
  let root: Json;
  try {
    root = JSON.parse(text.replace(/^\ufeff/, ' '));
  } catch (error) {
    return `The text is no JSON: ${(error as Error).message}.`;
  }
  if (isTooDeep(text)) return 'The text is nested too deeply.';
  // pyDag's files have the DAG within an object.
  const wraps = isFields(root) && 'dag' in root && !('tasks' in root);
  const dag = wraps ? (root as Fields).dag! : root;
  if (!isFields(dag)) return 'The text has no object with the fields of a DAG.';
  const items = Array.isArray(dag.tasks) ? dag.tasks : [];
  const spans = items.length > 0 ? spansOf(text, wraps ? ['dag', 'tasks'] : ['tasks']) : [];
  const index = new Map<string, number>();
  const tasks = items.map((item, place): TaskItem => {
    const fields = isFields(item) ? item : {};
    const id = typeof fields.task_id === 'string' ? fields.task_id : '';
    if (id && !index.has(id)) index.set(id, place);
    return { id, ...spans[place]!, fields };
  });
  return { dag, tasks, index };
}

// Of a text that is JSON: a string, a bracket, or another scalar.
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{}]|[^\s:,[\]{}"]+/gs;
const DEEPEST = 100; // lists and objects within each other
const BETWEEN = /[\s:,]*/y;

interface Span {
  from: number;
  to: number;
}

/** Where the items of the list at that path stand, in a text that is JSON. Of a name that an object
 * has several times the last one counts, as in JSON.parse. */
function spansOf(text: string, path: readonly string[]): Span[] {
  let at = next(text, text.startsWith('\ufeff') ? 1 : 0);
  for (const name of path) {
    at = members(text, at).findLast((member) => member.name === name)!.from;
  }
  return members(text, at);
}

/** The members of the object or list that begins there. */
function members(text: string, begin: number): (Span & { name: unknown })[] {
  const found = [];
  for (let at = next(text, begin + 1); text[at] !== '}' && text[at] !== ']'; at = next(text, at)) {
    let name: unknown;
    if (text[begin] === '{') {
      const end = endOf(text, at);
      name = JSON.parse(text.slice(at, end));
      at = next(text, end);
    }
    const from = at;
    at = endOf(text, from);
    found.push({ name, from, to: at });
  }
  return found;
}

function endOf(text: string, begin: number): number {
  TOKEN.lastIndex = begin;
  let depth = 0;
  do {
    const sign = TOKEN.exec(text)![0];
    if (sign === '{' || sign === '[') depth++;
    else if (sign === '}' || sign === ']') depth--;
  } while (depth > 0);
  return TOKEN.lastIndex;
}

function isTooDeep(text: string): boolean {
  TOKEN.lastIndex = 0;
  let depth = 0;
  for (let found = TOKEN.exec(text); found; found = TOKEN.exec(text)) {
    const [sign] = found;
    if (sign === '{' || sign === '[') depth++;
    else if (sign === '}' || sign === ']') depth--;
    if (depth > DEEPEST) return true;
  }
  return false;
}

function next(text: string, at: number): number {
  BETWEEN.lastIndex = at;
  BETWEEN.test(text);
  return BETWEEN.lastIndex;
}

/** The task whose text is around that place. */
export function taskAt({ tasks }: Reading, place: number): TaskItem | undefined {
  let low = 0;
  let high = tasks.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (tasks[middle]!.to < place) low = middle + 1;
    else high = middle;
  }
  const task = tasks[low];
  return task && task.from <= place ? task : undefined;
}
