import { expect, test } from 'vitest';
import type { RunItem } from '../src/api/types';
import { LIMIT, withNews } from '../src/live/newest';

const run = (submitted_at: number, state = 'success') =>
  ({ run_id: `r${submitted_at}`, submitted_at, state }) as RunItem;

test('news of a page replace what is known, come first, and bring no older runs', () => {
  const items = Array.from({ length: LIMIT }, (_, i) => run(100 - i));
  const found = withNews({ items, next: 'c' }, [run(101), run(99, 'failed'), run(3)]);
  expect(found.next).toBe('c');
  expect(found.items.map(({ submitted_at }) => submitted_at)).toEqual([
    101,
    ...items.map(({ submitted_at }) => submitted_at),
  ]);
  expect(found.items[2]!.state).toBe('failed');
  const few = withNews({ items: items.slice(0, 2), next: null }, [run(3)]);
  expect(few.items.map(({ submitted_at }) => submitted_at)).toEqual([100, 99, 3]);
});
