import { CompletionContext } from '@codemirror/autocomplete';
import { EditorState } from '@codemirror/state';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  addition,
  connection,
  copied,
  freeId,
  pasted,
  tasksIn,
  waitsFor,
} from '../src/editor/actions';
import { completeTables, inTemplate, tablesIn, templateOptions } from '../src/editor/completing';
import { lineEndOf, pointsIn } from '../src/editor/edits';
import type { Known } from '../src/editor/known';
import { type Reading, read } from '../src/editor/reading';
import { beginningOf, kindOf, kindsOf, type Schema, shownFields } from '../src/editor/schema';
import { editorOf, python } from './editing';

const TEXT = JSON.stringify({
  dag_id: 'd',
  params: { country: 'pe' },
  tasks: [
    { task_id: 'a', operator: 'bigquery.query', params: { sql: 'SELECT * FROM shop.sales' } },
    {
      task_id: 'b',
      operator: 'python.call',
      params: { callable: 'etl:f', args: ['{{ tasks.a.result }}'] },
      dependencies: ['a'],
    },
    { task_id: 'c-1', operator: 'python.call', dependencies: ['b'] },
  ],
});
const reading = read(TEXT) as Reading;

let served: ReturnType<typeof python>;
beforeAll(() => {
  served = python();
});
afterAll(() => served.end());

test('a new task has an id that is free', () => {
  expect(freeId('x', reading.index)).toBe('x');
  expect(freeId('a', reading.index)).toBe('a_2');
  expect(freeId('a_2', new Set(['a_2', 'a_3']))).toBe('a_4');
  const query = { name: 'bigquery.query', help: '', queue: '', is_script: false, params: null };
  expect(addition(reading, query, ['b'])).toEqual({
    id: 'query',
    edit: {
      edit: 'add_task',
      task: { task_id: 'query', operator: 'bigquery.query', params: {}, dependencies: ['b'] },
    },
  });
});

test('an edge that would close a circle is refused, and one that is there is taken away', () => {
  expect(waitsFor(reading, 'c-1', 'a')).toBe(true);
  expect(waitsFor(reading, 'a', 'c-1')).toBe(false);
  expect(connection(reading, 'a', 'c-1')).toEqual([
    { edit: 'add_dependency', task: 'c-1', upstream: 'a' },
  ]);
  expect(connection(reading, 'c-1', 'a')).toMatch('close a circle');
  expect(connection(reading, 'a', 'a')).toMatch('itself');
  expect(connection(reading, 'a', 'b')).toEqual([
    { edit: 'remove_dependency', task: 'b', upstream: 'a' },
  ]);
});

test('tasks are copied as text, and pasted under free ids by which they name each other', async () => {
  const text = copied(reading, ['b', 'a']);
  expect(tasksIn(text).map(({ task_id }) => task_id)).toEqual(['a', 'b']);
  expect(tasksIn(TEXT)).toHaveLength(3);
  expect(tasksIn(`{"dag": ${TEXT}}`)).toHaveLength(3);
  expect(tasksIn('{"task_id": "x"}')).toHaveLength(1);
  expect(tasksIn('[1, {"x": 1}]')).toEqual([]);
  expect(tasksIn('SELECT 1')).toEqual([]);

  const editor = editorOf(TEXT, served.post);
  const { edits, ids } = await pasted(editor.session.reading.value, tasksIn(text), served.post);
  expect(ids).toEqual(['a_2', 'b_2']);
  expect(await editor.edit(...edits)).toBe(true);
  expect(JSON.parse(editor.text()).tasks.slice(3)).toEqual([
    { task_id: 'a_2', operator: 'bigquery.query', params: { sql: 'SELECT * FROM shop.sales' } },
    {
      task_id: 'b_2',
      operator: 'python.call',
      params: { callable: 'etl:f', args: ['{{ tasks.a_2.result }}'] },
      dependencies: ['a_2'],
    },
  ]);

  // Elsewhere they no longer wait for what is not there.
  const other = editorOf('{"dag_id": "e", "tasks": []}', served.post);
  const there = await pasted(
    other.session.reading.value,
    tasksIn(copied(reading, ['b'])),
    served.post,
  );
  expect(await other.edit(...there.edits)).toBe(true);
  expect(JSON.parse(other.text()).tasks[0].dependencies).toEqual([]);
});

test('of each param and field there is a control, and what it begins with is of its kind', async () => {
  const { items } = await served.post<{ items: { name: string; params: Schema | null }[] }>(
    '/operators',
    {},
  );
  const { $defs } = await served.post<{ $defs: Record<string, Schema> }>('/schema', {});
  const schemas = [
    ...items.map(({ params }) => params!),
    { ...$defs.Task!, $defs },
    { ...$defs.Dag!, $defs },
  ];
  const seen = new Set<string>();
  for (const schema of schemas) {
    for (const [name, field] of Object.entries(schema.properties ?? {})) {
      const kinds = kindsOf(field, schema.$defs ?? {});
      expect(kinds.length, name).toBeGreaterThan(0);
      kinds.forEach((kind, place) => {
        seen.add(kind.kind);
        expect(kindOf(beginningOf(kind), kinds), `${name} ${kind.kind}`).toBe(place);
      });
    }
  }
  expect([...seen].sort()).toEqual(['boolean', 'enum', 'fields', 'list', 'map', 'number', 'text']);
  const query = items.find(({ name }) => name === 'bigquery.query')!.params!;
  expect(kindsOf(query.properties!.sql!, {})).toEqual([{ kind: 'text', sql: true }]);
  const { shown, left } = shownFields(query, { labels: {}, other: 1 }, new Set(['location']));
  expect(shown).toEqual(['sql', 'labels', 'location', 'other']);
  expect(left).toContain('parameters');
});

test('templates are completed with what the server and the file know', () => {
  const known = {
    templates: {
      names: ['tasks', 'params', 'ds'],
      filters: [{ name: 'add_days', arguments: ['days'] }],
    },
  } as unknown as Known;
  const labels = (inside: string) =>
    templateOptions(inside, known, reading)?.options.map(({ label }) => label);
  expect(inTemplate('x {{ a }} {{ b')).toBe(' b');
  expect(inTemplate('x {{ a }} b')).toBeNull();
  expect(labels(' ')).toEqual(['tasks', 'params', 'ds']);
  expect(labels(' tasks.')).toEqual(['a', 'b', 'c-1']);
  expect(labels(' params.co')).toEqual(['country']);
  expect(labels(' ds | add')).toEqual(['add_days']);
  expect(labels(' tasks.a.result.')).toBeUndefined();
  expect(tablesIn(reading)).toEqual(['shop.sales']);
});

test('places are found in any text', () => {
  expect(lineEndOf('a\r\nb\r\n')).toBe('\r\n');
  expect(lineEndOf('a\r\nb\n')).toBe('\n');
  expect(lineEndOf('a')).toBe('\n');
  const at = pointsIn('a🚀b');
  expect([0, 1, 2, 3, 9].map(at)).toEqual([0, 1, 3, 4, 4]);
});

test('in a query what dry runs have told is completed, too', () => {
  const told = {
    reading: { value: reading },
    tables: new Set(['p.d.t', 'shop.sales']),
    columns: new Set(['day']),
  };
  const context = (text: string) =>
    new CompletionContext(EditorState.create({ doc: text }), text.length, false);
  const found = completeTables(told as never)(context('SELECT d FROM p.d'));
  expect(found).toMatchObject({ from: 14 });
  expect(found?.options.map(({ label }) => label)).toEqual(['p.d.t', 'shop.sales', 'day']);
  expect(completeTables(told as never)(context('SELECT '))).toBe(null);
});
