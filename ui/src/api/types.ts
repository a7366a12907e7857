// What the API answers (docs/openapi.json), as far as the pages use it. Times are epoch seconds by
// Redis's clock, lengths of time are seconds.

export interface Page<T> {
  items: T[];
  next: string | null;
}

export interface RunHead {
  run_id: string;
  dag_id: string;
  state: string;
  submitted_at: number | null;
  started_at: number | null;
  ended_at: number | null;
  round_at: number | null;
  spent: number;
  rounds: number;
  submitted_by: string | null;
  logical_date: string | null;
  run_type: string | null;
  version: number | null;
  expected_at: number | null;
  took: number | null;
}

export interface RunItem extends RunHead {
  counts: { total: number; ended: number; active: number; failed: number };
  bytes_billed: number | null;
}

/** What somebody did to a run by hand: from which task it was resumed, or which was marked as what. */
export interface Act {
  at: number;
  act: 'cancel' | 'resume' | 'mark';
  by: string;
  task: string | null;
  state: string | null;
}

export interface Run extends RunHead {
  reason: string | null;
  error: string | null;
  total: number;
  counts: Record<string, number>;
  bytes_billed: number | null;
  params: Record<string, unknown>;
  tags: string[];
  dag_hash: string;
  acts: Act[];
}

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

export interface Task extends TaskNow {
  task: string;
  result: unknown;
  error: string | null;
  children: number | null;
  refused: string | null;
  bytes_billed: number | null;
  cached_from: string | null;
}

/** Tasks by columns; `state` and `worker` are places in `states` and `workers`, -1 is none. */
export interface Columns {
  states: string[];
  workers: string[];
  task: string[];
  state: number[];
  try_number: number[];
  ready_at: (number | null)[];
  queued_at: (number | null)[];
  started_at: (number | null)[];
  ended_at: (number | null)[];
  worker: number[];
}

/** A DAG by columns, in the order of a walk; `upstream` are places of tasks. */
export interface Graph {
  dag_id: string;
  dag_hash: string;
  operators: string[];
  queues: string[];
  task: string[];
  operator: number[];
  queue: number[];
  upstream: number[][];
  expand: number[];
  branch: number[];
  teardown_of: [number, number][];
}

export interface Reason {
  task: string | null;
  state: string;
  why: string;
}

export interface Try extends TaskNow {
  error: string | null;
  reason: string | null;
}

/** Params as the DAG has them, and with values in the place of templates; else why they aren't known. */
export interface TaskParams {
  try_number: number;
  operator: string;
  script: string | null;
  params: unknown;
  rendered: unknown;
  why: string | null;
}

export interface LogLine {
  at: number;
  task: string;
  try_number: number;
  level: string;
  line: string;
}

export interface Logs {
  items: LogLine[];
  next: number;
  ended: boolean;
}

export interface Dag {
  dag_id: string;
  version: number;
  hash: string;
  schedule: Record<string, unknown> | null;
  schedule_text: string | null;
  source: string;
  published_at: number | null;
  published_by: string;
  due: number | null;
  held: boolean;
  paused_at: number | null;
  paused_by: string;
  max_active: number;
  missed: number;
  missed_last: number | null;
  last_run: string | null;
  last_state: string | null;
  last_ended: number | null;
}

/** A published DAG, and what its newest version says for people. */
export interface DescribedDag extends Dag {
  owner: string;
  description: string;
  tags: string[];
}

export interface Dags {
  items: Dag[];
  problems: Record<string, string>;
}

export interface DagVersion {
  number: number;
  at: number | null;
  by: string;
  hash: string;
  difference: string[];
}

/** What somebody did to a published DAG, or how many due times it missed. */
export interface DagChange {
  at: number;
  kind: 'published' | 'moved' | 'paused' | 'unpaused' | 'unpublished' | 'missed';
  by: string;
  version: number | null;
  source: string;
  missed: number;
}

export interface Preview {
  zone: string;
  due: number[];
}

interface Member {
  name: string;
  process: string;
  busy: number;
  heard_at: number;
  info: Record<string, unknown>;
}

export interface Workers {
  workers: (Member & { running: string[] })[];
  coordinators: Member[];
}

export interface Queue {
  name: string;
  slots: number;
  workers: string[];
  messages: number;
  waiting_runs: string[];
  refusals: { worker: string; need: string; reason: string }[];
}

export interface Me {
  user: string;
  role: 'viewer' | 'operator' | 'editor' | 'admin';
  mode: 'local' | 'tokens' | 'proxy';
  version: string;
  prefix: string;
  history: boolean;
  now: number;
}

export interface Backfill {
  backfill_id: string;
  dag_id: string;
  state: string;
  first: number;
  last: number;
  total: number;
  left_out: number;
  made: number;
  success: number;
  failed: number;
  cancelled: number;
  active: number;
  max_active: number;
  created_at: number;
  created_by: string;
  why: string;
  ended_at: number | null;
}

/** How many runs a backfill would have, and from which due time on it would have none. */
export interface BackfillPreview {
  total: number;
  first: number;
  last: number;
  left_to_schedule: number | null;
}

export interface Token {
  name: string;
  role: string;
  created_at: number;
  created_by: string;
}
