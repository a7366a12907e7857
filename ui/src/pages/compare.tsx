// Two runs side by side: what got slower, what got dearer, and what ended otherwise.

import { get, part } from '../api/client';
import type { Columns, Run, TaskNow } from '../api/types';
import { LiveRun } from '../live/run';
import { Link, State, Time } from '../parts/basics';
import { Show, useLoaded } from '../parts/loaded';
import { n, Table } from '../parts/table';
import { useTitle } from '../shell';
import { bytes, duration, price, priceNote } from '../text';

const MOST = 200; // tasks that are shown

interface Loaded {
  run: Run;
  tasks: ReadonlyMap<string, TaskNow>;
  billed: ReadonlyMap<string, number>;
}

export function ComparePage({ a, b }: { a: string; b: string }) {
  useTitle('Compare');
  const both = useLoaded(`${a} ${b}`, (signal) => Promise.all([load(a, signal), load(b, signal)]));
  return (
    <div class="page">
      <div class="head">
        <h1>Two runs beside each other</h1>
      </div>
      <Show of={both} what="both runs">
        {([first, second]) => <Beside first={first} second={second} />}
      </Show>
    </div>
  );
}

async function load(name: string, signal: AbortSignal): Promise<Loaded> {
  const url = `/runs/${part(name)}`;
  const [run, tasks, costs] = await Promise.all([
    get<Run>(url, {}, signal),
    get<Columns>(`${url}/tasks`, { as: 'columns' }, signal),
    get<{ bytes_billed: Record<string, number> }>(`${url}/costs`, {}, signal),
  ]);
  const loaded = new LiveRun();
  loaded.snapshot(run, tasks);
  return { run, tasks: loaded.tasks, billed: new Map(Object.entries(costs.bytes_billed)) };
}

function Beside({ first, second }: { first: Loaded; second: Loaded }) {
  const names = [...new Set([...first.tasks.keys(), ...second.tasks.keys()])];
  const isBilled = first.billed.size + second.billed.size > 0;
  const rows = names.map((name) => {
    const [x, y] = [first.tasks.get(name), second.tasks.get(name)];
    const seconds: Pair = [took(x), took(y)];
    const billed: Pair = [cost(first, name), cost(second, name)];
    return { name, x, y, seconds, billed, isOther: x?.state !== y?.state };
  });
  // Seconds and bytes count alike: each as a part of the greatest difference.
  const greatest = (of: 'seconds' | 'billed') =>
    rows.reduce((most, row) => Math.max(most, Math.abs(more(row[of]))), 1);
  const [slower, dearer] = [greatest('seconds'), greatest('billed')];
  const weight = (row: (typeof rows)[number]) =>
    Math.abs(more(row.seconds)) / slower + Math.abs(more(row.billed)) / dearer;
  rows.sort((x, y) => Number(y.isOther) - Number(x.isOther) || weight(y) - weight(x));
  return (
    <>
      <Table
        heads={[
          { says: 'Which', hidden: true },
          'Run',
          'State',
          'Submitted',
          n('Took'),
          n('Billed'),
          n('Price'),
        ]}
      >
        {[first.run, second.run].map((run, i) => (
          <tr key={`${i} ${run.run_id}`}>
            <td>{i === 0 ? 'First' : 'Second'}</td>
            <td class="id">
              <Link to={`/runs/${part(run.run_id)}`}>{run.run_id}</Link>
            </td>
            <td>
              <State state={run.state} />
            </td>
            <td>
              <Time at={run.submitted_at} />
            </td>
            <td class="n">{run.took === null ? '–' : duration(run.took)}</td>
            <td class="n">{run.bytes_billed === null ? '–' : bytes(run.bytes_billed)}</td>
            <td class="n" title={priceNote}>
              {run.bytes_billed === null ? '–' : price(run.bytes_billed)}
            </td>
          </tr>
        ))}
      </Table>
      <h2>Tasks, those that differ most first</h2>
      <Table
        heads={[
          'Task',
          'First',
          n('Took'),
          'Second',
          n('Then took'),
          n('Difference'),
          ...(isBilled ? [n('Billed'), n('Then billed'), n('Cost more')] : []),
        ]}
      >
        {rows.slice(0, MOST).map(({ name, x, y, seconds, billed }) => (
          <tr key={name}>
            <td class="id">{name}</td>
            <td>{x ? <State state={x.state} /> : <span class="faint">not in it</span>}</td>
            <td class="n">{seconds[0] === null ? '' : duration(seconds[0])}</td>
            <td>{y ? <State state={y.state} /> : <span class="faint">not in it</span>}</td>
            <td class="n">{seconds[1] === null ? '' : duration(seconds[1])}</td>
            <Difference of={seconds} says={duration} least={1} />
            {isBilled && (
              <>
                <td class="n">{billed[0] === null ? '' : bytes(billed[0])}</td>
                <td class="n">{billed[1] === null ? '' : bytes(billed[1])}</td>
                <Difference of={billed} says={price} least={1e6} />
              </>
            )}
          </tr>
        ))}
      </Table>
      {rows.length > MOST && <p class="faint">{rows.length - MOST} more differ less.</p>}
    </>
  );
}

/** A number of the first run and of the second; null if it has none. */
type Pair = [before: number | null, after: number | null];

const more = ([before, after]: Pair) => (after ?? 0) - (before ?? 0);

/** By how much the second run's number is greater; red if that is a quarter and `least` or more. */
function Difference({
  of,
  says,
  least,
}: {
  of: Pair;
  says: (amount: number) => string;
  least: number;
}) {
  const [before, after] = of;
  if (before === null || after === null || before === after) return <td class="n" />;
  const by = after - before;
  return (
    <td class={by >= least && by > before / 4 ? 'n bad' : 'n'}>
      {by < 0 ? '−' : '+'}
      {says(Math.abs(by))}
    </td>
  );
}

function took(task: TaskNow | undefined): number | null {
  return task?.started_at && task.ended_at ? task.ended_at - task.started_at : null;
}

function cost({ tasks, billed }: Loaded, name: string): number | null {
  return tasks.has(name) ? (billed.get(name) ?? null) : null;
}
