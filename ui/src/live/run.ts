// One run as it is now: its tasks as objects, kept up by the frames of its live stream.

import { batch, signal } from '@preact/signals';
import type { Columns, LogLine, Run } from '../api/types';

/** What changes of a task while its run goes on. */
export interface TaskNow {
  state: string;
  try_number: number;
  ready_at: number | null;
  queued_at: number | null;
  started_at: number | null;
  ended_at: number | null;
  worker: string | null;
}

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

export class LiveRun {
  /** The run without its tasks; null until it is known. */
  readonly head = signal<Run | null>(null);
  readonly tasks = new Map<string, TaskNow>();
  /** One more with each change of a task. */
  readonly version = signal(0);
  /** How many tasks are in each state. */
  readonly counts = signal<ReadonlyMap<string, number>>(new Map());

  readonly log = signal<LiveLog | null>(null);

  /** Lines that were written, `start`: all that are known, and nothing of before counts. */
  logged({ items, start, left_out }: LogFrame): void {
    const before = start ? null : this.log.value;
    const lines = [...(before?.lines ?? []), ...items];
    this.log.value = {
      lines: lines.slice(-MOST_LINES),
      leftOut: Boolean(left_out || before?.leftOut || lines.length > MOST_LINES),
    };
  }

  /** All of the run, whatever was known before. */
  snapshot(run: Run, tasks: Columns): void {
    batch(() => {
      this.tasks.clear();
      this.head.value = run;
      this.changes(tasks);
    });
  }

  /** What is new of some tasks. */
  changes(columns: Columns): void {
    columns.task.forEach((task, i) => {
      this.tasks.set(task, {
        state: columns.states[columns.state[i]!] ?? 'none',
        try_number: columns.try_number[i]!,
        ready_at: columns.ready_at[i]!,
        queued_at: columns.queued_at[i]!,
        started_at: columns.started_at[i]!,
        ended_at: columns.ended_at[i]!,
        worker: columns.workers[columns.worker[i]!] ?? null,
      });
    });
    const counts = new Map<string, number>();
    for (const { state } of this.tasks.values()) counts.set(state, (counts.get(state) ?? 0) + 1);
    batch(() => {
      this.counts.value = counts;
      this.version.value++;
    });
  }

  /** What is new of the run itself. */
  run(news: Partial<Run>): void {
    if (this.head.value) this.head.value = { ...this.head.value, ...news };
  }
}
