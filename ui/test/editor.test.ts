import { globSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Edit, TextChange } from '../src/editor/edits';
import { excerptOf } from '../src/editor/excerpt';
import { graphOf, upstreamOf } from '../src/editor/graph';
import { type Reading, read, taskAt } from '../src/editor/reading';
import { editorOf, PROJECT, python } from './editing';
import { random } from './graphs';

const FILES = [
  ...globSync(`${PROJECT}/examples/**/*.json`),
  ...globSync(`${PROJECT}/tests/unit/dag/good/**/*.json`),
];
const STYLES: [name: string, style: (text: string) => string][] = [
  ['as it is', (text) => text],
  ['in one line', (text) => JSON.stringify(JSON.parse(text))],
  ['by tabs', (text) => JSON.stringify(JSON.parse(text), null, '\t')],
  ['with Windows ends', (text) => text.replace(/\r?\n/g, '\r\n')],
];

let served: ReturnType<typeof python>;
beforeAll(() => {
  served = python();
});
afterAll(() => served.end());

const reading = (text: string) => {
  const found = read(text);
  if (typeof found === 'string') throw new Error(found);
  return found;
};

test('each task is found in the text, whatever it looks like', () => {
  expect(FILES.length).toBeGreaterThan(20);
  for (const file of FILES) {
    const original = readFileSync(file, 'utf8');
    for (const [, style] of STYLES) {
      const text = style(original);
      const found = read(text);
      if (typeof found === 'string') continue;
      for (const { from, to, id, fields } of found.tasks) {
        expect(JSON.parse(text.slice(from, to)), `${file} ${id}`).toEqual(fields);
        expect(taskAt(found, (from + to) >> 1)?.id).toBe(id);
      }
    }
  }
});

test('of names that are there twice the last one counts, as in JSON', () => {
  const text =
    '\ufeff{"tasks": [{"task_id": "no"}], "dag_id": "x", "tasks": ["]", 7, {"task_id": "a\\"{"}]}';
  const found = reading(text);
  expect(found.tasks.map(({ id }) => id)).toEqual(['', '', 'a"{']);
  expect(found.tasks.map(({ from, to }) => text.slice(from, to))).toEqual([
    '"]"',
    '7',
    '{"task_id": "a\\"{"}',
  ]);
});

test('a text that is none says why, and what is odd is left out', () => {
  expect(read('{"tasks": [')).toMatch('no JSON');
  expect(read('[]')).toMatch('no object');
  expect(read(`{"x": ${'['.repeat(9000)}${']'.repeat(9000)}}`)).toMatch('too deeply');
  expect(reading('{}').tasks).toEqual([]);
  const odd = graphOf(
    reading(
      '{"tasks": [{"task_id": "a", "dependencies": ["a", "b", 7, "x"]}, {"task_id": "b", "dependencies": ["a"]}, {"task_id": "b"}]}',
    ),
  );
  expect(odd.names).toEqual(['a', 'b', 'b']);
  expect(odd.edges.length + odd.loops.length).toBe(2);
  expect(odd.loops.length).toBe(1);
});

/** A text after changes, whose places are in code points. */
function applied(text: string, changes: readonly TextChange[]): string {
  const points = [...text];
  for (const { begin, end, text: made } of changes.toReversed()) {
    points.splice(begin, end - begin, made);
  }
  return points.join('');
}

/** An edit that somebody might make of such a file. */
function anyEdit({ tasks, dag }: Reading, next: () => number): Edit {
  const any = <T>(of: readonly T[]): T => of[Math.floor(next() * of.length)]!;
  const task = any(tasks).id;
  const other = any(tasks).id;
  const field = any(Object.keys(any(tasks).fields).filter((name) => name !== 'task_id'));
  const edits: Edit[] = [
    { edit: 'set', path: ['retries'], value: Math.floor(next() * 9), task },
    { edit: 'set', path: ['description'], value: any(['', 'a "b" \\ 🚀 é', '{{ ds }}\n']) },
    {
      edit: 'set',
      path: ['params', any(['sql', 'x', '🚀'])],
      value: any(['SELECT 1', [1, { a: null }], true]),
      task,
    },
    { edit: 'remove', path: [field ?? 'retries'], task },
    {
      edit: 'add_task',
      task: { task_id: `new_${Math.floor(next() * 1e9)}`, operator: 'python.call' },
      after: other,
    },
    { edit: 'add_task', task: { task_id: `new_${Math.floor(next() * 1e9)}`, params: {} } },
    { edit: 'remove_task', task },
    { edit: 'rename_task', task, to: `other_${Math.floor(next() * 1e9)}` },
    { edit: 'add_dependency', task, upstream: other },
    {
      edit: 'remove_dependency',
      task,
      upstream:
        upstreamOf(
          { tasks, dag, index: new Map() },
          tasks.findIndex(({ id }) => id === task),
        )[0] ?? other,
    },
  ];
  return any(edits);
}

describe.each(STYLES)('a file %s', (_, style) => {
  test('is what its graph shows after any edits, keys, undo and redo, and undo is exact', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const next = random(7);
    for (const file of FILES) {
      const original = style(readFileSync(file, 'utf8'));
      const found = read(original);
      if (typeof found === 'string' || found.tasks.length === 0 || found.tasks.length > 60)
        continue;
      let expected: string | null = null; // after an edit, as the server means it
      const post: typeof served.post = async (path, body) => {
        const answer = await served.post<{ changes?: TextChange[] }>(path, body);
        const { text } = body as { text: string };
        if (answer.changes) expected = applied(text, answer.changes);
        return answer as never;
      };
      const { session, text, type, edit } = editorOf(original, post);
      const past: string[] = [];
      for (let step = 0; step < 12; step++) {
        const before = text();
        const kind = next();
        if (kind < 0.15) session.undo();
        else if (kind < 0.25) session.redo();
        else if (kind < 0.5) {
          const at = Math.floor(next() * session.state.doc.length);
          type({
            changes: { from: at, insert: next() < 0.8 ? ' ' : '"' },
            userEvent: 'input.type',
          });
        } else if (session.reading.value.tasks.length > 0) {
          expected = null;
          await edit(anyEdit(session.reading.value, next));
          expect(text()).toBe(expected ?? before);
        }
        vi.runAllTimers();
        const now = read(session.state.doc.toString());
        expect(session.unread.value).toBe(typeof now === 'string' ? now : '');
        if (typeof now !== 'string') {
          expect(session.reading.value.tasks).toEqual(now.tasks);
          expect(graphOf(session.reading.value)).toEqual(graphOf(reading(text())));
        }
        past.push(before);
      }
      const last = text();
      let steps = 0;
      while (session.undo()) steps++;
      expect(text()).toBe(original);
      while (steps-- > 0) session.redo();
      expect(text()).toBe(last);
    }
    vi.useRealTimers();
  });
});

test('an edit of an excerpt changes the whole file as an edit of all of it does', async () => {
  const next = random(11);
  let excerpts = 0;
  for (const file of FILES) {
    for (const [, style] of STYLES) {
      const text = style(readFileSync(file, 'utf8'));
      const found = read(text);
      if (typeof found === 'string' || found.tasks.length < 4 || found.tasks.length > 60) continue;
      for (let step = 0; step < 4; step++) {
        const edits = [anyEdit(found, next)];
        const part = excerptOf(text, found, edits, 0, 2);
        if (!part) continue;
        const all = editorOf(text, served.post);
        const done = await all.edit(...edits);
        const short = editorOf(text, async <T>(path: string, body: unknown) => {
          const asked = body as { text: string; edits: Edit[] };
          const { changes } = await served.post<{ changes: TextChange[] }>(path, {
            ...asked,
            text: part.text,
          });
          const whole = part.whole(changes);
          return {
            changes: whole.map(({ from, to, insert }) => ({ begin: from, end: to, text: insert })),
          } as T;
        });
        if (!/[\ud800-\udfff]/.test(text)) {
          expect(await short.edit(...edits)).toBe(done);
          expect(short.text(), `${file} ${JSON.stringify(edits)}`).toBe(all.text());
          excerpts++;
        }
      }
    }
  }
  expect(excerpts).toBeGreaterThan(50);
});

test('an edit that is refused changes nothing and says why', async () => {
  const { session, text, edit } = editorOf('{"dag_id": "d", "tasks": []}', served.post);
  expect(await edit({ edit: 'remove_task', task: 'x' })).toBe(false);
  expect(session.refused.value).toMatch('no task of this DAG');
  expect(text()).toBe('{"dag_id": "d", "tasks": []}');
});

test('edits that are made at once follow each other, and keys that come meanwhile stay', async () => {
  const { session, text, type } = editorOf('{"dag_id": "d", "tasks": []}', served.post);
  const first = session.edit([{ edit: 'add_task', task: { task_id: 'a' } }]);
  const second = session.edit([{ edit: 'set', path: ['retries'], value: 1, task: 'a' }]);
  type({ changes: { from: 1, insert: ' ' } });
  expect(await first).toBe(true);
  expect(await second).toBe(true);
  expect(text()).toMatch(/^\{ "dag_id"/);
  expect(JSON.parse(text()).tasks).toEqual([{ task_id: 'a', retries: 1 }]);
});

test('what is typed and not told yet comes before the next edit, and is there when the page is left', async () => {
  const text = '{"dag_id": "d", "tasks": []}';
  const { session } = editorOf(text, served.post);
  session.isSaved(text);
  let typed: string | null = 'typed'; // as a field of the form has it
  session.before(() => {
    if (typed === null) return;
    const value = typed;
    typed = null;
    session.edit([{ edit: 'set', path: ['owner'], value }]);
  });
  await session.edit([{ edit: 'set', path: ['retries'], value: 1 }]);
  expect(JSON.parse(session.whole())).toEqual({
    dag_id: 'd',
    owner: 'typed',
    retries: 1,
    tasks: [],
  });
  expect(Object.keys(JSON.parse(session.whole()))).toEqual(['dag_id', 'owner', 'retries', 'tasks']);
  expect(session.isUnsettled()).toBe(false);
  typed = 'at the end';
  expect(session.isUnsettled()).toBe(true);
  typed = 'at the very end';
  const left = await session.close();
  expect(JSON.parse(left!)).toMatchObject({ owner: 'at the very end' });
  session.isSaved(left);
  expect(await session.close()).toBe(null);
});
