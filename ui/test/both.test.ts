import { expect, test } from 'vitest';
import { together } from '../src/saving/both';
import type { Compared } from '../src/saving/types';

const dag = (tasks: Record<string, string[]>) => ({
  tasks: Object.entries(tasks).map(([task_id, dependencies]) => ({ task_id, dependencies })),
});

const compared = (of: Pick<Compared, 'tasks' | 'edges'>): Compared => ({
  run_id: null,
  version: null,
  before: '',
  fields: [],
  ...of,
});

test('what is gone stands where it was, and what is new is there', () => {
  const both = together(
    dag({ a: [], old: ['a'], b: ['old'] }),
    dag({ a: [], b: ['new'], new: ['a'] }),
    compared({
      tasks: [
        { task: 'new', what: 'added', fields: [] },
        { task: 'old', what: 'removed', fields: [] },
        { task: 'b', what: 'changed', fields: ['dependencies'] },
      ],
      edges: [
        { upstream: 'a', task: 'new', what: 'added' },
        { upstream: 'a', task: 'old', what: 'removed' },
        { upstream: 'old', task: 'b', what: 'removed' },
      ],
    }),
  );
  expect(both.names).toEqual(['a', 'b', 'new', 'old']);
  expect(both.edges.map(([from, to]) => both.names[from]! + both.names[to]!).sort()).toEqual(
    ['anew', 'aold', 'newb', 'oldb'].sort(),
  );
  expect(both.what.get('b')).toEqual({ what: 'changed', fields: ['dependencies'] });
  const marks = both.edges.map(([from, to], i) => [
    both.names[from]! + both.names[to]!,
    both.marked.get(i),
  ]);
  expect(Object.fromEntries(marks)).toEqual({
    anew: 'added',
    newb: undefined, // nobody has told of it
    aold: 'removed',
    oldb: 'removed',
  });
});

test('an edge that was turned around is drawn as it is now', () => {
  const both = together(
    dag({ a: [], b: ['a'] }),
    dag({ a: ['b'], b: [] }),
    compared({ tasks: [], edges: [{ upstream: 'a', task: 'b', what: 'removed' }] }),
  );
  expect(both.edges).toEqual([[1, 0]]);
});
