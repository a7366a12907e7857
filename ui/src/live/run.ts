// One run as it is now: its tasks as objects, kept up by the frames of its live stream.

import { batch, signal } from '@preact/signals';
import type { Columns, LogLine, Run, TaskNow } from '../api/types';

/** The newest lines of the log of the task that is looked at. */
export interface LiveLog {
  lines: readonly LogLine[];
  /** Whether there are older ones that are not among them. */
  leftOut: boolean;
}

/** What the stream tells of a log. */
export interface LogFrame {
  items: LogLine[];
  start: boolean;
  left_out?: boolean;
}

const MOST_LINES = 5000;
const FEW = 500; // tasks that can be looked at with each change
const CALM_MS = 1000;

type Watcher = (name: string, task: TaskNow) => void;

export class LiveRun {
  /** The run without its tasks; null until it is known. */
  readonly head = signal<Run | null>(null);
  readonly tasks = new Map<string, TaskNow>();
  /** How often its stream has told something: whatever was asked for before that is older. */
  heard = 0;
  /** One more with each change of a task. */
  readonly version = signal(0);
  /** The same, but of many tasks not more than once a second: for what looks at all of them. */
  readonly calm = signal(0);
  /** One more when tasks are gone, such as the children of a task that expands anew. */
  readonly lost = signal(0);
  /** How many tasks are in each state. */
  readonly counts = signal<ReadonlyMap<string, number>>(new Map());

  readonly log = signal<LiveLog | null>(null);

  private readonly watchers = new Set<Watcher>();
  private readonly counted = new Map<string, number>();
  private next = 0;
  private timer: ReturnType<typeof setTimeout> | 0 = 0;

  /** Lines that were written, `start`: all that are known, and nothing of before counts. */
  logged({ items, start, left_out }: LogFrame): void {
    const before = start ? null : this.log.value;
    const lines = [...(before?.lines ?? []), ...items];
    this.log.value = {
      lines: lines.slice(-MOST_LINES),
      leftOut: Boolean(left_out || before?.leftOut || lines.length > MOST_LINES),
    };
  }

  /** Calls back for each task, and whenever one has changed, until the function that it gives is
   * called. */
  watch(changed: Watcher): () => void {
    this.watchers.add(changed);
    for (const [name, task] of this.tasks) changed(name, task);
    return () => this.watchers.delete(changed);
  }

  /** All of the run, whatever was known before. */
  snapshot(run: Run, tasks: Columns): void {
    batch(() => {
      const kept = new Set(tasks.task);
      const gone = [...this.tasks.keys()].filter((name) => !kept.has(name));
      for (const name of gone) this.tasks.delete(name);
      if (gone.length > 0) this.lost.value++;
      this.counted.clear();
      for (const { state } of this.tasks.values()) this.count(state, 1);
      this.head.value = run;
      this.changes(tasks);
    });
  }

  /** What is new of some tasks. */
  changes(columns: Columns): void {
    columns.task.forEach((name, i) => {
      const task = {
        state: columns.states[columns.state[i]!] ?? 'none',
        try_number: columns.try_number[i]!,
        ready_at: columns.ready_at[i]!,
        queued_at: columns.queued_at[i]!,
        started_at: columns.started_at[i]!,
        ended_at: columns.ended_at[i]!,
        worker: columns.workers[columns.worker[i]!] ?? null,
      };
      const before = this.tasks.get(name);
      if (before) this.count(before.state, -1);
      this.count(task.state, 1);
      this.tasks.set(name, task);
      for (const changed of this.watchers) changed(name, task);
    });
    batch(() => {
      this.counts.value = new Map([...this.counted].filter(([, n]) => n > 0));
      this.version.value++;
      this.calmly();
    });
  }

  private count(state: string, by: number): void {
    this.counted.set(state, (this.counted.get(state) ?? 0) + by);
  }

  private calmly(): void {
    const wait = this.tasks.size > FEW ? this.next - Date.now() : 0;
    if (wait <= 0) {
      this.next = Date.now() + CALM_MS;
      this.calm.value = this.version.value;
    } else {
      this.timer ||= setTimeout(() => {
        this.timer = 0;
        this.calmly();
      }, wait);
    }
  }

  /** What is new of the run itself. */
  run(news: Partial<Run>): void {
    if (this.head.value) this.head.value = { ...this.head.value, ...news };
  }
}
