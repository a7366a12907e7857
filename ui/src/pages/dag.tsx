// One DAG: its last runs, what its tasks did in them, when it is due, and its versions.

import { get, Problem, part } from '../api/client';
import type { DescribedDag, Page, Preview, RunItem } from '../api/types';
import { go } from '../app';
import { Action } from '../parts/action';
import { Empty, Link, Time } from '../parts/basics';
import { Show, useLoaded } from '../parts/loaded';
import { useTitle } from '../shell';
import { exact, quoted, shown } from '../text';
import { BeginBackfill } from './begin-backfill';
import { Changes, Versions } from './dag-past';
import { Matrix, readable, Strip } from './dag-runs';

const RUNS = 20;

export function DagPage({ dagId }: { dagId: string }) {
  useTitle(dagId);
  const url = `/dags/${part(dagId)}`;
  const dag = useLoaded(dagId, async (signal) => {
    try {
      return { found: await get<DescribedDag>(url, {}, signal) };
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
  const hasRuns = (runs.value.value?.items.length ?? 0) > 0;
  return (
    <div class="page">
      <Show of={dag} what={`the DAG ${dagId}`}>
        {({ found }) => (
          <div class="head">
            <h1>{dagId}</h1>
            {found ? (
              <Actions dag={found} url={url} reload={dag.reload} />
            ) : (
              hasRuns && <span class="faint">not published: it is submitted as a file</span>
            )}
          </div>
        )}
      </Show>
      {dag.value.value?.found && <About dag={dag.value.value.found} url={url} />}
      <Show of={runs} what="its runs">
        {({ items }) =>
          items.length === 0 ? (
            <NoRuns dagId={dagId} isKnown={dag.value.value?.found !== null} />
          ) : (
            <>
              <h2>
                Last runs <Link to={`/?dag=${part(dagId)}`}>all its runs</Link>
              </h2>
              <Strip runs={items.toReversed()} />
              <Matrix runs={readable(items).toReversed()} />
            </>
          )
        }
      </Show>
      {dag.value.value?.found && <Versions url={url} version={dag.value.value.found.version} />}
      {dag.value.value?.found && <Changes url={url} />}
    </div>
  );
}

function NoRuns({ dagId, isKnown }: { dagId: string; isKnown: boolean }) {
  return isKnown ? (
    <Empty title="It has no runs yet">
      <pre>pydag run {quoted(dagId)}</pre>
    </Empty>
  ) : (
    <Empty title="Nothing is known under this name">
      <p>
        No DAG of this name is published, and no run has it. Look at its spelling, or at{' '}
        <Link to="/dags">all DAGs</Link>.
      </p>
    </Empty>
  );
}

function Actions({ dag, url, reload }: { dag: DescribedDag; url: string; reload: () => void }) {
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

function About({ dag, url }: { dag: DescribedDag; url: string }) {
  const preview = useLoaded(`${url} ${dag.version}`, (signal) =>
    dag.schedule_text
      ? get<Preview>(`${url}/schedule/preview`, { limit: 5 }, signal)
      : Promise.resolve<Preview>({ zone: '', due: [] }),
  );
  const { zone, due } = preview.value.value ?? { zone: '', due: [] };
  return (
    <>
      {dag.description && <p>{shown(dag.description, 5000)}</p>}
      <ul class="facts-line">
        {dag.owner && <li>owned by {shown(dag.owner, 200)}</li>}
        {dag.tags.length > 0 && <li>tagged {shown(dag.tags.join(', '), 1000)}</li>}
        <li>version {dag.version}</li>
        <li>
          published <Time at={dag.published_at} /> by {dag.published_by}
        </li>
        {dag.source && <li>from {shown(dag.source, 500)}</li>}
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
