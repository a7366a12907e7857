import { describe, expect, test } from 'vitest';
import { BoxCounts } from '../src/graph/counts';
import { STATES } from '../src/states';
import { random } from './graphs';

const GRAPH = { task: ['a', 'b', 'c', '__proto__', 'constructor'], expand: [1] };
const BOX_OF = Int32Array.from([0, 1, 1, 0, 2]); // a family of b, which expands, and c

describe.each([1, 2, 3])('counts after random changes, by seed %i', (seed) => {
  const next = random(seed);
  const pick = <T>(items: readonly T[]) => items[Math.floor(next() * items.length)]!;
  const counts = new BoxCounts(GRAPH, BOX_OF, 3);
  const now = new Map<string, string>(GRAPH.task.map((name) => [name, 'none']));

  test('are those that counting all anew gives', () => {
    for (let step = 0; step < 300; step++) {
      const child = step > 100 && next() < 0.5;
      const name = child ? `b.${Math.floor(next() * 20)}` : pick(GRAPH.task);
      const state = pick(STATES);
      now.set(name, state);
      counts.set(name, state);
      const children = [...now].filter(([each]) => each.startsWith('b.'));
      const expected = [0, 1, 2].map(() => STATES.map(() => 0));
      for (const [each, its] of now) {
        const place = STATES.indexOf(its as (typeof STATES)[number]);
        if (each.startsWith('b.')) expected[1]![place]!++;
        else if (each !== 'b' || children.length === 0)
          expected[BOX_OF[GRAPH.task.indexOf(each)]!]![place]!++;
      }
      expect([0, 1, 2].map((box) => [...counts.of(box)])).toEqual(expected);
      expect(counts.stateOf(1)).toBe(expected[1]!.findIndex((n) => n > 0));
    }
  });
});

test('an unknown state, and a task that is not in the graph, break nothing', () => {
  const counts = new BoxCounts(GRAPH, BOX_OF, 3);
  counts.set('a', 'from-a-newer-version');
  counts.set('elsewhere.7', 'failed');
  expect(counts.of(0)[STATES.indexOf('none')]).toBe(2);
  expect(counts.of(1)[STATES.indexOf('failed')]).toBe(0);
});
