// Two runs side by side: what got slower, and what ended otherwise.

import { get, part } from '../api/client';
import type { Columns, Run } from '../api/types';
import { LiveRun, type TaskNow } from '../live/run';
import { Link, State, Time } from '../parts/basics';
import { Show, useLoaded } from '../parts/loaded';
import { useTitle } from '../shell';
import { bytes, duration } from '../text';

const MOST = 200; // tasks that are shown

export function ComparePage({ a, b }: { a: string; b: string }) {
  useTitle('Compare');
  const both = useLoaded(`${a} ${b}`, (signal) =>
    Promise.all([a, b].map((run) => load(run, signal))),
  );
  return (
    <div class="page">
      <div class="head">
        <h1>Two runs beside each other</h1>
      </div>
      <Show of={both} what="both runs">
        {([first, second]) => <Beside first={first!} second={second!} />}
      </Show>
    </div>
  );
}

async function load(run: string, signal: AbortSignal): Promise<LiveRun> {
  const url = `/runs/${part(run)}`;
  const loaded = new LiveRun();
  const [head, tasks] = await Promise.all([
    get<Run>(url, {}, signal),
    get<Columns>(`${url}/tasks`, { as: 'columns' }, signal),
  ]);
  loaded.snapshot(head, tasks);
  return loaded;
}

function Beside({ first, second }: { first: LiveRun; second: LiveRun }) {
  const heads = [first.head.value!, second.head.value!];
  const names = [...new Set([...first.tasks.keys(), ...second.tasks.keys()])];
  const rows = names
    .map((name) => {
      const [x, y] = [first.tasks.get(name), second.tasks.get(name)];
      const [before, after] = [took(x), took(y)];
      const isOther = x?.state !== y?.state;
      return { name, x, y, before, after, isOther, more: (after ?? 0) - (before ?? 0) };
    })
    .sort((x, y) => Number(y.isOther) - Number(x.isOther) || Math.abs(y.more) - Math.abs(x.more));
  return (
    <>
      <div class="scroll">
        <table class="list">
          <thead>
            <tr>
              <th>Run</th>
              <th>State</th>
              <th>Submitted</th>
              <th class="n">Took</th>
              <th class="n">Billed</th>
            </tr>
          </thead>
          <tbody>
            {heads.map((run) => (
              <tr key={run.run_id}>
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
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <h2>Tasks, those that differ most first</h2>
      <div class="scroll">
        <table class="list">
          <thead>
            <tr>
              <th>Task</th>
              <th>First</th>
              <th class="n">Took</th>
              <th>Second</th>
              <th class="n">Took</th>
              <th class="n">Difference</th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, MOST).map(({ name, x, y, before, after, more }) => (
              <tr key={name}>
                <td>{name}</td>
                <td>{x ? <State state={x.state} /> : <span class="faint">not in it</span>}</td>
                <td class="n">{before === null ? '' : duration(before)}</td>
                <td>{y ? <State state={y.state} /> : <span class="faint">not in it</span>}</td>
                <td class="n">{after === null ? '' : duration(after)}</td>
                <td
                  class={`n ${before !== null && after !== null && more > 1 && more > before / 4 ? 'bad' : ''}`}
                >
                  {before === null || after === null
                    ? ''
                    : `${more < 0 ? '−' : '+'}${duration(Math.abs(more))}`}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > MOST && <p class="faint">{rows.length - MOST} more differ less.</p>}
    </>
  );
}

function took(task: TaskNow | undefined): number | null {
  return task?.started_at && task.ended_at ? task.ended_at - task.started_at : null;
}
