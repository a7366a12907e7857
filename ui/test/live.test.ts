import { describe, expect, test, vi } from 'vitest';
import type { Columns, Graph, Run, TaskNow } from '../src/api/types';
import { criticalPath, expectedEnd, parentOf } from '../src/live/plan';
import { LiveRun } from '../src/live/run';
import { isLate, STATES } from '../src/states';
import { random } from './graphs';

const RUN: Run = {
  run_id: 'r',
  dag_id: 'd',
  state: 'running',
  submitted_at: 1,
  started_at: 2,
  ended_at: null,
  round_at: 2,
  spent: 0,
  rounds: 1,
  submitted_by: null,
  logical_date: null,
  run_type: null,
  version: null,
  expected_at: null,
  took: null,
  reason: null,
  error: null,
  total: 0,
  counts: {},
  bytes_billed: null,
  params: {},
  tags: [],
  acts: [],
  dag_hash: 'h',
};

function columns(tasks: ReadonlyMap<string, TaskNow>): Columns {
  const rows = [...tasks.values()];
  const workers = [...new Set(rows.flatMap((row) => row.worker ?? []))];
  return {
    states: [...STATES],
    workers,
    task: [...tasks.keys()],
    state: rows.map((row) => (STATES as readonly string[]).indexOf(row.state)),
    try_number: rows.map((row) => row.try_number),
    ready_at: rows.map((row) => row.ready_at),
    queued_at: rows.map((row) => row.queued_at),
    started_at: rows.map((row) => row.started_at),
    ended_at: rows.map((row) => row.ended_at),
    worker: rows.map((row) => (row.worker === null ? -1 : workers.indexOf(row.worker))),
  };
}

const task = (state: string, started_at: number | null = null, ended_at: number | null = null) => ({
  state,
  try_number: 1,
  ready_at: null,
  queued_at: null,
  started_at,
  ended_at,
  worker: null,
});

describe.each([1, 2, 3, 4, 5])('frames of random changes, by seed %i', (seed) => {
  const next = random(seed);
  const pick = <T>(items: readonly T[]) => items[Math.floor(next() * items.length)]!;
  const truth = new Map<string, TaskNow>();
  const any = (): TaskNow => ({
    ...task(pick(STATES), next() < 0.5 ? next() * 1e9 : null),
    try_number: 1 + Math.floor(next() * 3),
    worker: pick(['w1@a', 'w2@b', null]),
  });
  for (let i = 0; i < 200; i++) truth.set(`t${i}`, any());
  const live = new LiveRun();
  live.snapshot(RUN, columns(truth));

  test('what is known is what a new snapshot would say', () => {
    for (let frame = 0; frame < 50; frame++) {
      const changed = new Map<string, TaskNow>();
      // Children of an expansion come later.
      for (let i = 0; i < 8; i++) changed.set(`t${Math.floor(next() * 220)}`, any());
      for (const [name, row] of changed) truth.set(name, row);
      const before = live.version.value;
      live.changes(columns(changed));
      expect(live.version.value).toBe(before + 1);
    }
    expect(new Map([...live.tasks].sort())).toEqual(new Map([...truth].sort()));
    const total = [...live.counts.value.values()].reduce((sum, n) => sum + n, 0);
    expect(total).toBe(truth.size);
    for (const [state, n] of live.counts.value) {
      expect([...truth.values()].filter((row) => row.state === state).length).toBe(n);
    }
  });

  test('a snapshot forgets what is gone', () => {
    live.snapshot(RUN, columns(new Map([['only', task('success')]])));
    expect([...live.tasks.keys()]).toEqual(['only']);
    expect([...live.counts.value]).toEqual([['success', 1]]);
  });
});

test('what the stream has told is not overwritten by an older answer', async () => {
  vi.stubGlobal('document', { baseURI: 'http://localhost/' });
  const { loadRun } = await import('../src/live/use-run');
  const live = new LiveRun();
  const answers: unknown[] = [RUN, columns(new Map([['a', task('running')]]))];
  let meanwhile = () => {};
  const asked: string[] = [];
  vi.stubGlobal('fetch', async (url: string) => {
    asked.push(url);
    if (asked.length % 2 === 0) meanwhile();
    return new Response(JSON.stringify(answers[(asked.length - 1) % 2]));
  });
  try {
    await loadRun('/runs/r', live, AbortSignal.any([]));
    expect(live.tasks.get('a')?.state).toBe('running');
    expect(asked.map((url) => url.includes('/tasks'))).toEqual([false, true]);
    meanwhile = () => {
      live.heard++;
      live.changes(columns(new Map([['a', task('success')]])));
    };
    await loadRun('/runs/r', live, AbortSignal.any([]));
    expect(live.tasks.get('a')?.state).toBe('success');
  } finally {
    vi.unstubAllGlobals();
  }
});

test('news of the run keep what they do not name', () => {
  const live = new LiveRun();
  live.run({ state: 'failed' }); // before there is a snapshot
  expect(live.head.value).toBeNull();
  live.snapshot(RUN, columns(new Map()));
  live.run({ state: 'success', ended_at: 9 });
  expect(live.head.value).toEqual({ ...RUN, state: 'success', ended_at: 9 });
});

test('a log goes on with what was written since, and begins anew with a start', () => {
  const live = new LiveRun();
  const line = (text: string) => ({ at: 1, task: 't', try_number: 1, level: 'INFO', line: text });
  const texts = () => live.log.value?.lines.map((each) => each.line);
  live.logged({ items: [line('a')], start: true });
  live.logged({ items: [line('b'), line('c')], start: false });
  expect(texts()).toEqual(['a', 'b', 'c']);
  expect(live.log.value?.leftOut).toBe(false);
  live.logged({ items: Array.from({ length: 5000 }, () => line('x')), start: false });
  expect(texts()?.length).toBe(5000);
  expect(live.log.value?.leftOut).toBe(true);
  live.logged({ items: [line('again')], start: true, left_out: false });
  expect(texts()).toEqual(['again']);
  expect(live.log.value?.leftOut).toBe(false);
});

// a ─▶ b ─▶ d, a ─▶ c ─▶ d
const GRAPH: Graph = {
  dag_id: 'd',
  dag_hash: 'h',
  operators: ['python.call'],
  queues: ['python'],
  task: ['a', 'b', 'c', 'd'],
  operator: [0, 0, 0, 0],
  queue: [0, 0, 0, 0],
  upstream: [[], [0], [0], [1, 2]],
  expand: [],
  branch: [],
  teardown_of: [],
};

describe('when a run will end', () => {
  const usual = new Map(Object.entries({ a: 10, b: 20, c: 5, d: 10 }));

  test('by the usual times of what is still to come', () => {
    const tasks = new Map([
      ['a', task('success', 0, 10)],
      ['b', task('running', 10)],
    ]);
    expect(expectedEnd(GRAPH, tasks, usual, 15)).toBe(40);
    expect(expectedEnd(GRAPH, tasks, usual, 50)).toBe(65); // b takes longer than usual, then c
    expect(expectedEnd(GRAPH, new Map(), usual, 100)).toBe(140);
  });

  test('is not known of a task that never ran', () => {
    expect(expectedEnd(GRAPH, new Map(), new Map([['a', 1]]), 0)).toBeNull();
  });

  test('is when it has', () => {
    const all = new Map(GRAPH.task.map((name) => [name, task('success', 1, 7)]));
    expect(expectedEnd(GRAPH, all, new Map(), 100)).toBe(7);
  });
});

test('the critical path leads back from the last end over the latest upstream ends', () => {
  const tasks = new Map([
    ['a', task('success', 0, 10)],
    ['b', task('success', 10, 30)],
    ['c', task('success', 10, 12)],
    ['d', task('success', 30, 31)],
  ]);
  expect([...criticalPath(GRAPH, tasks)]).toEqual(['d', 'b', 'a']);
  expect(criticalPath(GRAPH, new Map()).size).toBe(0);
});

test('children belong to the task that was expanded', () => {
  const expanded = new Set(['load', 'a.b']);
  expect(parentOf('load.12', expanded)).toBe('load');
  expect(parentOf('a.b.3', expanded)).toBe('a.b');
  expect(parentOf('a.b', expanded)).toBe('a.b');
  expect(parentOf('other.1', expanded)).toBe('other.1');
});

test('what looks at all of many tasks is told of changes once a second', () => {
  vi.useFakeTimers();
  try {
    const live = new LiveRun();
    const names = Array.from({ length: 5000 }, (_, i) => `t${i}`);
    live.snapshot(RUN, columns(new Map(names.map((name) => [name, task('none')]))));
    const told: number[] = [];
    live.calm.subscribe((version) => told.push(version));
    let touched = 0;
    const stop = live.watch(() => touched++);
    touched = 0;
    for (let frame = 0; frame < 25; frame++) {
      vi.advanceTimersByTime(100);
      const some = names.slice(frame * 50, frame * 50 + 50);
      live.changes(columns(new Map(some.map((name) => [name, task('running', 1)]))));
    }
    vi.advanceTimersByTime(1000);
    expect(touched).toBe(25 * 50); // as many as have changed, not as many as there are
    expect(told.length).toBeLessThanOrEqual(5);
    expect(told.at(-1)).toBe(live.version.value);
    stop();
    live.changes(columns(new Map([['t0', task('success', 1, 2)]])));
    expect(touched).toBe(25 * 50);
  } finally {
    vi.useRealTimers();
  }
});

test('children that a new snapshot lacks are gone, and it is told', () => {
  const live = new LiveRun();
  live.snapshot(
    RUN,
    columns(
      new Map([
        ['a', task('success')],
        ['a.0', task('failed')],
      ]),
    ),
  );
  expect(live.lost.value).toBe(0);
  live.snapshot(RUN, columns(new Map([['a', task('running')]])));
  expect(live.lost.value).toBe(1);
  expect([...live.tasks.keys()]).toEqual(['a']);
  expect(new Map(live.counts.value)).toEqual(new Map([['running', 1]]));
});

test('a run is late if it should have ended, or ended later', () => {
  expect(isLate({ expected_at: null, ended_at: null }, 9)).toBe(false);
  expect(isLate({ expected_at: 10, ended_at: null }, 9)).toBe(false);
  expect(isLate({ expected_at: 10, ended_at: null }, 11)).toBe(true);
  expect(isLate({ expected_at: 10, ended_at: 9 }, 11)).toBe(false);
  expect(isLate({ expected_at: 10, ended_at: 11 }, 99)).toBe(true);
});
