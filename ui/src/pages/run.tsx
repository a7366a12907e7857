// One run, live: what it is, why it isn't further, its graph or list, its timeline, and a task.

import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { get, part } from '../api/client';
import type { Columns, Graph, Reason, Run } from '../api/types';
import { go, goWith, now, search } from '../app';
import { type Durations, expectedEnd } from '../live/plan';
import { LiveRun } from '../live/run';
import { followRun, live as stream } from '../live/stream';
import { Action } from '../parts/action';
import { Copy, Link, State, StateBar, Time, Waiting, Wrong } from '../parts/basics';
import { useLoaded } from '../parts/loaded';
import { useTitle } from '../shell';
import { byImportance, lookOf } from '../states';
import { ago, bytes, clock, duration, number, price, priceNote, quoted, shown } from '../text';
import { GraphView } from './graph-view';
import { TaskDrawer } from './task';
import { TaskList } from './task-list';
import { Timeline } from './timeline';

const NARROW = matchMedia('(max-width: 640px)');

export function RunPage({ runId, task }: { runId: string; task?: string }) {
  useTitle(task ? `${task} · ${runId}` : runId);
  const live = useMemo(() => new LiveRun(), []);
  const error = useSignal<unknown>(null);
  const turn = useSignal(0);
  const url = `/runs/${part(runId)}`;
  const asked = turn.value;
  useEffect(() => {
    const abort = new AbortController();
    const load = async () => {
      try {
        const [run, tasks] = await Promise.all([
          get<Run>(url, {}, abort.signal),
          get<Columns>(`${url}/tasks`, { as: 'columns' }, abort.signal),
        ]);
        live.snapshot(run, tasks);
        error.value = null;
      } catch (problem) {
        if (!abort.signal.aborted) error.value = problem;
      }
    };
    load();
    const stop = followRun(url, live, task);
    // What no stream tells: that an ended run was resumed, or all, if no stream can be had.
    const timer = setInterval(() => {
      const isQuiet = stream.value !== 'live' || live.head.value?.ended_at != null;
      if (isQuiet && !document.hidden) load();
    }, 4000);
    return () => {
      abort.abort();
      clearInterval(timer);
      stop();
    };
  }, [url, live, task, asked]);
  const again = () => {
    turn.value++;
  };
  const run = live.head.value;
  if (run === null) {
    return error.value ? (
      <Wrong error={error.value} retry={again} />
    ) : (
      <Waiting what={`run ${runId}`} />
    );
  }
  return <Shown run={run} live={live} task={task} again={again} url={url} />;
}

interface ShownProps {
  run: Run;
  live: LiveRun;
  task: string | undefined;
  again: () => void;
  url: string;
}

function Shown({ run, live, task, again, url }: ShownProps) {
  const graph = useLoaded(`${url} ${run.dag_hash}`, (signal) =>
    get<Graph>(`${url}/graph`, {}, signal),
  );
  const usual = useLoaded(run.dag_id, (signal) =>
    get<{ durations: Record<string, number> }>(`/dags/${part(run.dag_id)}/durations`, {}, signal),
  );
  const found = usual.value.value;
  const durations = useMemo(() => new Map(Object.entries(found?.durations ?? {})), [found]);
  const pick = (name: string) => go(`${url}/tasks/${part(name)}${location.search}`);
  const view = search.value.get('view') ?? (NARROW.matches ? 'list' : 'graph');
  const dag = graph.value.value;
  const version = live.version.value;
  return (
    <div class={task ? 'run with-task' : 'run'}>
      <RunHead run={run} live={live} graph={dag} durations={durations} again={again} url={url} />
      <Why run={run} url={url} version={version} />
      <div class="views">
        <nav aria-label="View">
          {(['graph', 'list'] as const).map((each) => (
            <button
              key={each}
              type="button"
              class="tab"
              aria-pressed={view === each}
              onClick={() => goWith({ view: each })}
            >
              {each === 'graph' ? 'Graph' : 'List'}
            </button>
          ))}
        </nav>
        <Legend counts={live.counts.value} />
      </div>
      <section class="upper" aria-label="Tasks">
        {view === 'list' ? (
          <TaskList live={live} graph={dag} selected={task} onPick={pick} />
        ) : dag ? (
          <GraphView graph={dag} live={live} selected={task} onPick={pick} />
        ) : graph.error.value ? (
          <Wrong error={graph.error.value} retry={graph.reload} />
        ) : (
          <Waiting what="the graph" />
        )}
      </section>
      <section class="lower" aria-label="Timeline">
        <Timeline
          live={live}
          run={run}
          graph={dag}
          usual={durations}
          selected={task}
          onPick={pick}
        />
      </section>
      {task && (
        <TaskDrawer
          key={task}
          run={run}
          task={task}
          live={live}
          usual={durations.get(task)}
          url={url}
          again={again}
        />
      )}
    </div>
  );
}

interface HeadProps {
  run: Run;
  live: LiveRun;
  graph: Graph | null;
  durations: Durations;
  again: () => void;
  url: string;
}

function RunHead({ run, live, graph, durations, again, url }: HeadProps) {
  const isOn = run.ended_at === null;
  const since = run.round_at ?? run.started_at;
  const took = isOn && since !== null ? run.spent + Math.max(0, now.value - since) : run.took;
  const due = useMemo(
    () => (isOn && graph ? expectedEnd(graph, live.tasks, durations, now.value) : null),
    [isOn, graph, live, durations, now.value, live.calm.value],
  );
  const ended = [...live.counts.value]
    .filter(([state]) =>
      ['success', 'failed', 'skipped', 'upstream_failed', 'cancelled'].includes(state),
    )
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
      {run.error && <pre class="error">{shown(run.error, 1000)}</pre>}
    </header>
  );
}

/** What keeps the run from its success; the most important first. */
function Why({ run, url, version }: { run: Run; url: string; version: number }) {
  const wants = run.state !== 'success';
  // While much changes it is asked every two seconds at most.
  const why = useLoaded(
    `${url} ${run.state} ${run.rounds}`,
    (signal) =>
      wants
        ? get<{ reasons: Reason[] }>(`${url}/why`, {}, signal)
        : Promise.resolve({ reasons: [] }),
    wants && run.ended_at === null ? 2 : 0,
  );
  const reasons = why.value.value?.reasons ?? [];
  if (!wants || version < 0 || reasons.length === 0) return null;
  return (
    <ul class="why" aria-label="Why">
      {reasons.slice(0, 3).map(({ task, state, why }) => (
        <li key={task ?? ''} data-state={state}>
          {task ? (
            <Link to={`${url}/tasks/${part(task)}`}>{shown(why, 1000)}</Link>
          ) : (
            shown(why, 1000)
          )}
        </li>
      ))}
    </ul>
  );
}

function Legend({ counts }: { counts: ReadonlyMap<string, number> }) {
  const present = [...counts].filter(([, n]) => n > 0).sort(([a], [b]) => byImportance(a, b));
  return (
    <ul class="legend" aria-label="Tasks by state">
      {present.map(([state, n]) => (
        <li key={state}>
          <State state={state} /> <b class="n">{number(n)}</b>
          <span class="hidden"> {lookOf(state).says}</span>
        </li>
      ))}
    </ul>
  );
}
