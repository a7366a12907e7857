import { describe, expect, test } from 'vitest';
import { boxesOf, MOST_SINGLE } from '../src/graph/families';
import { layersOf } from '../src/graph/layout';
import { anyDag, batches } from './graphs';

const NONE = new Set<string>();

describe.each([1, 2, 3, 4, 5, 6, 7, 8])('any big DAG, by seed %i', (seed) => {
  const dag = anyDag(400, seed, 60);
  const closed = boxesOf(dag, NONE);
  const some = new Set(closed.boxes.filter((_, i) => i % 3 === 0).map((box) => box.key));

  test.each([
    ['closed', NONE],
    ['some opened', some],
  ])('boxes have no circle, %s', (_, open) => {
    const { boxes, edges } = boxesOf(dag, open);
    const layer = layersOf(boxes.length, edges);
    for (const [from, to] of edges) expect(layer[to]).toBeGreaterThan(layer[from]!);
  });

  test('every task is in exactly one box', () => {
    const { boxes, boxOf } = boxesOf(dag, some);
    const all = boxes.flatMap((box) => [...box.tasks]).sort((a, b) => a - b);
    expect(all).toEqual([...dag.tasks.keys()]);
    boxes.forEach((box, index) => {
      for (const task of box.tasks) expect(boxOf[task]).toBe(index);
    });
  });
});

test('few tasks are a box each', () => {
  const dag = anyDag(MOST_SINGLE, 1);
  expect(boxesOf(dag, NONE).boxes.map((box) => box.label)).toEqual(dag.tasks);
});

test('5,000 tasks in batches become five boxes, and one that is opened shows its tasks', () => {
  const dag = batches(5000);
  const { boxes, edges } = boxesOf(dag, NONE);
  expect(boxes.map((box) => box.label)).toEqual([
    'start',
    'end',
    'list × 50',
    'load × 2,500',
    'check × 2,500',
  ]);
  expect(edges.length).toBe(4);
  const opened = boxesOf(dag, new Set([boxes[2]!.key]));
  expect(opened.boxes.length).toBe(54);
});
