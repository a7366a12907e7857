// One run, live: what it is, why it isn't further, its graph or list, its timeline, and a task.

import { useMemo } from 'preact/hooks';
import { get, part } from '../api/client';
import type { Graph, Reason, Run } from '../api/types';
import { go, goWith, search } from '../app';
import type { LiveRun } from '../live/run';
import { useRun } from '../live/use-run';
import { Link, State, Waiting, Wrong } from '../parts/basics';
import { useLoaded } from '../parts/loaded';
import { useTitle } from '../shell';
import { byImportance, lookOf } from '../states';
import { number, shown } from '../text';
import { GraphView } from './graph-view';
import { RunHead } from './run-head';
import { TaskDrawer } from './task';
import { TaskList } from './task-list';
import { Timeline } from './timeline';

const NARROW = matchMedia('(max-width: 640px)');

export function RunPage({ runId, task }: { runId: string; task?: string }) {
  useTitle(task ? `${task} · ${runId}` : runId);
  const { live, error, again } = useRun(runId, task);
  const run = live.head.value;
  if (run === null) {
    return error.value ? (
      <Wrong error={error.value} retry={again} />
    ) : (
      <Waiting what={`run ${runId}`} />
    );
  }
  return <Shown run={run} live={live} task={task} again={again} url={`/runs/${part(runId)}`} />;
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
