import { describe, expect, test } from 'vitest';
import { BOX, layersOf, layOut } from '../src/graph/layout';
import { anyDag, batches } from './graphs';

const SEEDS = Array.from({ length: 40 }, (_, seed) => seed);

describe.each(SEEDS)('any DAG, by seed %i', (seed) => {
  const { tasks, edges } = anyDag(5 + seed * 8, seed);
  const layout = layOut(tasks.length, edges);

  test('every edge leads to the right', () => {
    for (const [from, to] of edges) {
      expect(layout.x[to]! - layout.x[from]!).toBeGreaterThanOrEqual(BOX.width + BOX.gapX);
    }
  });

  test('no box overlaps another, and no edge passes through one', () => {
    const columns = Map.groupBy(tasks.keys(), (task) => layout.x[task]!);
    for (const column of columns.values()) {
      column.sort((a, b) => layout.y[a]! - layout.y[b]!);
      for (let i = 1; i < column.length; i++) {
        const gap = layout.y[column[i]!]! - layout.y[column[i - 1]!]!;
        expect(gap).toBeGreaterThanOrEqual(BOX.height + BOX.gapY - 1e-6);
      }
    }
    for (const [x, y] of layout.bends.flat()) {
      for (const task of columns.get(x) ?? []) {
        expect(Math.abs(layout.y[task]! + BOX.height / 2 - y)).toBeGreaterThan(BOX.height / 2);
      }
    }
  });

  test('the same graph gets the same layout', () => {
    expect(layOut(tasks.length, edges)).toEqual(layout);
  });
});

test('what waits for nothing stands next to what waits for it', () => {
  // 0 → 1 → 2 ← 3
  expect([
    ...layersOf(4, [
      [0, 1],
      [1, 2],
      [3, 2],
    ]),
  ]).toEqual([0, 1, 2, 1]);
});

test('a tree has no crossing', () => {
  const edges = Array.from({ length: 126 }, (_, i) => [i >> 1, i + 1] as const);
  expect(layOut(127, edges).crossings).toBe(0);
});

// What the layout reached when it was written; more would be a loss.
test.each([
  [60, 41],
  [300, 378],
  [1000, 3369],
])('crossings of any DAG of %i tasks', (count, most) => {
  const { tasks, edges } = anyDag(count, 1);
  expect(layOut(tasks.length, edges).crossings).toBeLessThanOrEqual(most);
});

test('nothing at all, one task, and no edges', () => {
  expect(layOut(0, []).x.length).toBe(0);
  expect([...layOut(1, []).y]).toEqual([-BOX.height / 2]);
  expect(new Set(layOut(5, []).y).size).toBe(5);
});

test('more long edges than virtual nodes are good for', () => {
  const chain = Array.from({ length: 400 }, (_, i) => [i, i + 1] as const);
  const long = Array.from({ length: 300 }, (_, i) => [i, 400] as const);
  const layout = layOut(401, [...chain, ...long]);
  expect(layout.x[400]).toBe(400 * (BOX.width + BOX.gapX));
});

test('a DAG of batches keeps each batch together', () => {
  const { tasks, edges } = batches(1000);
  expect(layOut(tasks.length, edges).crossings).toBe(0);
});

test('boxes keep their order when an edge is added', () => {
  const dag = anyDag(40, 3);
  const before = layOut(40, dag.edges);
  const [from, to] = [0, 39];
  const after = layOut(40, [...dag.edges, [from, to]], [...before.y]);
  const columns = new Set(before.x);
  for (const x of columns) {
    const order = (layout: typeof before) =>
      [...layout.x.keys()]
        .filter((i) => layout.x[i] === x && before.x[i] === x)
        .sort((a, b) => layout.y[a]! - layout.y[b]!);
    expect(order(after)).toEqual(order(before));
  }
  // Unless that is a mess.
  const mess = layOut(
    40,
    dag.edges,
    [...before.y.keys()].map((i) => (i * 7) % 40),
  );
  expect(mess.crossings).toBeLessThan(before.crossings * 1.7);
});
