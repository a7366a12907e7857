// One DAG: its last runs, what its tasks did in them, when it is due, and its versions.

import { get, Problem, part } from '../api/client';
import type { Columns, Dag, DagVersion, Page, Preview, RunItem } from '../api/types';
import { go } from '../app';
import { Action } from '../parts/action';
import { Empty, Glyph, Link, Time } from '../parts/basics';
import { Show, useLoaded } from '../parts/loaded';
import { useTitle } from '../shell';
import { byImportance, lookOf } from '../states';
import { duration, exact, quoted } from '../text';
import { BeginBackfill } from './begin-backfill';

const RUNS = 20;
const MATRIX_RUNS = 12;
const MATRIX_ROWS = 60;
const MATRIX_TASKS = 60_000; // of all its runs together

export function DagPage({ dagId }: { dagId: string }) {
  useTitle(dagId);
  const url = `/dags/${part(dagId)}`;
  const dag = useLoaded(dagId, async (signal) => {
    try {
      return { found: await get<Dag>(url, {}, signal) };
    } catch (problem) {
      // Runs of a DAG may be there though it was never published.
      if (problem instanceof Problem && problem.status === 404) return { found: null };
      throw problem;
    }
  });
  const runs = useLoaded(
    dagId,
    (signal) => get<Page<RunItem>>('/runs', { dag_id: dagId, limit: RUNS }, signal),
    5,
  );
  return (
    <div class="page">
      <Show of={dag} what={`the DAG ${dagId}`}>
        {({ found }) => (
          <div class="head">
            <h1>{dagId}</h1>
            {found ? (
              <Actions dag={found} url={url} reload={dag.reload} />
            ) : (
              <span class="faint">not published: it is submitted as a file</span>
            )}
          </div>
        )}
      </Show>
      {dag.value.value?.found && <Due dag={dag.value.value.found} url={url} />}
      <h2>Last runs</h2>
      <Show of={runs} what="its runs">
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="It has no runs yet">
              <pre>pydag run {quoted(dagId)}</pre>
            </Empty>
          ) : (
            <>
              <Strip runs={items.toReversed()} />
              <Matrix runs={readable(items).toReversed()} />
            </>
          )
        }
      </Show>
      {dag.value.value?.found && <Versions url={url} version={dag.value.value.found.version} />}
    </div>
  );
}

function Actions({ dag, url, reload }: { dag: Dag; url: string; reload: () => void }) {
  const name = quoted(dag.dag_id);
  return (
    <span class="actions">
      <Action
        label="Run"
        command={`pydag run ${name}`}
        request={{ method: 'POST', path: '/runs', body: { dag_id: dag.dag_id } }}
        onDone={(answer) => go(`/runs/${part((answer as { run_id: string }).run_id)}`)}
      />
      {dag.schedule_text &&
        (dag.paused_at ? (
          <Action
            label="Unpause"
            command={`pydag unpause ${name}`}
            request={{ method: 'PATCH', path: url, body: { paused: false } }}
            onDone={reload}
          />
        ) : (
          <Action
            label="Pause"
            command={`pydag pause ${name}`}
            request={{ method: 'PATCH', path: url, body: { paused: true } }}
            onDone={reload}
          />
        ))}
    </span>
  );
}

function Due({ dag, url }: { dag: Dag; url: string }) {
  const preview = useLoaded(`${url} ${dag.version}`, (signal) =>
    dag.schedule_text
      ? get<Preview>(`${url}/schedule/preview`, { n: 5 }, signal)
      : Promise.resolve<Preview>({ zone: '', due: [] }),
  );
  const { zone, due } = preview.value.value ?? { zone: '', due: [] };
  return (
    <>
      <ul class="facts-line">
        <li>version {dag.version}</li>
        <li>
          published <Time at={dag.published_at} /> by {dag.published_by}
        </li>
        {dag.source && <li>from {dag.source}</li>}
        <li>{dag.schedule_text ?? 'no schedule: it only runs by hand'}</li>
        {dag.paused_at && (
          <li>
            paused <Time at={dag.paused_at} /> by {dag.paused_by}
          </li>
        )}
        {dag.missed > 0 && <li class="bad">{dag.missed} due times were missed</li>}
        {due.length > 0 && !dag.paused_at && (
          <li title={due.map((at) => exact(at, zone)).join('\n')}>
            due <Time at={due[0]} zone={zone} />, in the zone {zone}
          </li>
        )}
      </ul>
      {zone && <BeginBackfill dag={dag.dag_id} zone={zone} />}
    </>
  );
}

/** The runs as bars: what each took, and how it ended. */
function Strip({ runs }: { runs: RunItem[] }) {
  const longest = Math.max(1, ...runs.map((run) => run.took ?? 0));
  return (
    <>
      <ol class="strip" aria-label="The last runs, the newest at the right: what each took">
        {runs.map((run) => (
          <li key={run.run_id}>
            <Link
              to={`/runs/${part(run.run_id)}`}
              title={`${run.run_id}: ${run.state}${run.took === null ? '' : `, ${duration(run.took)}`}`}
              aria-label={`${run.run_id}: ${run.state}`}
            >
              <i
                class={lookOf(run.state).fill}
                data-state={run.state}
                style={{ height: `${Math.max(4, ((run.took ?? 0) / longest) * 100)}%` }}
              />
              <Glyph state={run.state} />
            </Link>
          </li>
        ))}
      </ol>
      <p class="faint">the longest took {duration(longest)}</p>
    </>
  );
}

/** The newest runs, not more than have so many tasks together. */
function readable(runs: RunItem[]): RunItem[] {
  let tasks = 0;
  return runs.slice(0, MATRIX_RUNS).filter((run, i) => {
    tasks += run.counts.total;
    return i === 0 || tasks <= MATRIX_TASKS;
  });
}

const familyOf = (task: string) => task.replace(/\d+/g, '#');

/** A run's tasks in the order in which they began; those that never did come last. */
function inOrder({ task, started_at }: Columns): string[] {
  const at = (i: number) => started_at[i] ?? Number.POSITIVE_INFINITY;
  return [...task.keys()].sort((a, b) => at(a) - at(b) || a - b).map((i) => task[i]!);
}

/** Runs beside families: the most important state that the tasks of a family had. */
function Matrix({ runs }: { runs: RunItem[] }) {
  const key = runs.map((run) => run.run_id + run.state).join();
  const all = useLoaded(key, (signal) =>
    Promise.all(
      runs.map((run) => get<Columns>(`/runs/${part(run.run_id)}/tasks`, { as: 'columns' }, signal)),
    ),
  );
  return (
    <Show of={all} what="what its tasks did">
      {(columns) => {
        const rows = new Map<string, Map<number, string>>();
        for (const name of inOrder(columns.at(-1)!)) rows.set(familyOf(name), new Map());
        columns.forEach(({ task, state, states }, run) => {
          task.forEach((name, i) => {
            const family = familyOf(name);
            const row = rows.get(family) ?? new Map<number, string>();
            rows.set(family, row);
            const now = states[state[i]!] ?? 'none';
            const before = row.get(run);
            if (before === undefined || byImportance(now, before) < 0) row.set(run, now);
          });
        });
        return (
          <div class="scroll">
            <table class="matrix">
              <thead>
                <tr>
                  <th>Tasks by name</th>
                  {runs.map((run) => (
                    <th key={run.run_id}>
                      <Link
                        to={`/runs/${part(run.run_id)}`}
                        title={run.run_id}
                        aria-label={run.run_id}
                      >
                        <Glyph state={run.state} />
                      </Link>
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {[...rows].slice(0, MATRIX_ROWS).map(([family, row]) => (
                  <tr key={family}>
                    <th scope="row" title={family}>
                      {family}
                    </th>
                    {runs.map((run, i) => {
                      const state = row.get(i);
                      return (
                        <td key={run.run_id} title={state && lookOf(state).says}>
                          {state && (
                            <>
                              <Glyph state={state} />
                              <span class="hidden">{lookOf(state).says}</span>
                            </>
                          )}
                        </td>
                      );
                    })}
                  </tr>
                ))}
              </tbody>
            </table>
            {rows.size > MATRIX_ROWS && <p class="faint">and {rows.size - MATRIX_ROWS} more</p>}
          </div>
        );
      }}
    </Show>
  );
}

function Versions({ url, version }: { url: string; version: number }) {
  const versions = useLoaded(`${url} ${version}`, (signal) =>
    get<{ items: DagVersion[] }>(`${url}/versions`, {}, signal),
  );
  return (
    <>
      <h2>Versions</h2>
      <Show of={versions} what="its versions">
        {({ items }) => (
          <ol class="versions">
            {items.map(({ number, at, by, difference }) => (
              <li key={number}>
                <b>{number}</b> <Time at={at} /> by {by}
                {difference.length > 0 && (
                  <ul>
                    {difference.map((line) => (
                      <li key={line}>{line}</li>
                    ))}
                  </ul>
                )}
              </li>
            ))}
          </ol>
        )}
      </Show>
    </>
  );
}
