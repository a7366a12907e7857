// The head of a run's page: what it is, how far it is, what people did to it.

import { useMemo } from 'preact/hooks';
import { part } from '../api/client';
import type { Act, Graph, Run } from '../api/types';
import { now } from '../app';
import { type Durations, expectedEnd } from '../live/plan';
import type { LiveRun } from '../live/run';
import { Action } from '../parts/action';
import { Copy, Link, State, StateBar, Time } from '../parts/basics';
import { ENDED, isLate } from '../states';
import { ago, bytes, clock, duration, number, price, priceNote, quoted, shown } from '../text';

const DONE = { cancel: 'cancelled', resume: 'resumed', mark: 'marked' } as const;

interface HeadProps {
  run: Run;
  live: LiveRun;
  graph: Graph | null;
  durations: Durations;
  again: () => void;
  url: string;
}

export function RunHead({ run, live, graph, durations, again, url }: HeadProps) {
  const isOn = run.ended_at === null;
  const since = run.round_at ?? run.started_at;
  const took = isOn && since !== null ? run.spent + Math.max(0, now.value - since) : run.took;
  const due = useMemo(
    () => (isOn && graph ? expectedEnd(graph, live.tasks, durations, now.value) : null),
    [isOn, graph, live, durations, now.value, live.calm.value],
  );
  const ended = [...live.counts.value]
    .filter(([state]) => ENDED.has(state))
    .reduce((sum, [, n]) => sum + n, 0);
  return (
    <header class="run-head">
      <div class="title">
        <State state={run.state} />
        <h1>{run.run_id}</h1>
        <Copy text={run.run_id} what="the run's id" />
        <span class="actions">
          {isOn ? (
            <Action
              label="Cancel"
              command={`pydag cancel ${quoted(run.run_id)}`}
              request={{ method: 'POST', path: `${url}/cancel` }}
              confirm="Tasks that have not started never will, those that run are stopped."
              disabled={run.state === 'cancelling'}
              onDone={again}
            />
          ) : (
            <Action
              label="Resume"
              command={`pydag resume ${quoted(run.run_id)}`}
              request={{ method: 'POST', path: `${url}/resume`, body: {} }}
              disabled={run.state === 'success'}
              onDone={again}
            />
          )}
        </span>
      </div>
      <StateBar counts={live.counts.value} />
      <ul class="facts-line">
        <li>
          <Link to={`/dags/${part(run.dag_id)}`}>{run.dag_id}</Link>
          {run.version !== null && ` version ${run.version}`}
        </li>
        {run.logical_date && <li>for {run.logical_date.slice(0, 16).replace('T', ' ')} UTC</li>}
        <li>
          submitted <Time at={run.submitted_at} />
          {run.submitted_by && ` by ${run.submitted_by}`}
        </li>
        <li>
          {number(ended)} of {number(live.tasks.size || run.total)} tasks have ended
        </li>
        {took !== null && (
          <li>
            {isOn ? 'has taken' : 'took'} <b class="n">{duration(took)}</b>
            {run.rounds > 1 && `, round ${run.rounds}`}
          </li>
        )}
        {isLate(run, now.value) && (
          <li>
            <b>late</b>: its end was expected at <Time at={run.expected_at} />
          </li>
        )}
        {due !== null && (
          <li title="If each task takes its usual time and none waits for a slot">
            expected to end {ago(due, now.value)}, at {clock(due)}
          </li>
        )}
        {run.bytes_billed !== null && run.bytes_billed > 0 && (
          <li title={priceNote}>
            {bytes(run.bytes_billed)} billed: {price(run.bytes_billed)}
          </li>
        )}
      </ul>
      <Acts acts={run.acts} />
      {run.error && <pre class="error">{shown(run.error, 1000)}</pre>}
    </header>
  );
}

/** What people did to the run: the last of it, and all of it if one asks. */
function Acts({ acts }: { acts: readonly Act[] }) {
  const last = acts.at(-1);
  if (!last) return null;
  const line = ({ at, act, by, task, state }: Act) => (
    <>
      {DONE[act]}
      {act === 'mark' ? ` ${task} as ${state}` : task && ` from ${task}`} by {shown(by)}{' '}
      <Time at={at} />
    </>
  );
  if (acts.length === 1) return <p class="acts">{line(last)}</p>;
  return (
    <details class="acts">
      <summary>
        {line(last)} <span class="faint">and {acts.length - 1} before</span>
      </summary>
      <ol>
        {acts
          .slice(0, -1)
          .toReversed()
          .map((each) => (
            <li key={`${each.at} ${each.act}`}>{line(each)}</li>
          ))}
      </ol>
    </details>
  );
}
