// What the text has otherwise than a run of it had, or a published version.

import { useSignal } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import { get, Problem, part, request } from '../api/client';
import type { DagVersion, Page, RunItem } from '../api/types';
import { now } from '../app';
import { Empty, Link } from '../parts/basics';
import { Show, useLoaded } from '../parts/loaded';
import { ago } from '../text';
import { Beside, Words } from './beside';
import { Dialog } from './dialog';
import type { Edited } from './file';
import { GraphDifference } from './graph-difference';
import { dagIn } from './run-params';
import type { Compared } from './types';

const RUNS = 20;

interface Known {
  text: string;
  runs: RunItem[];
  versions: DagVersion[];
}

export function ChangedDialog({ edited, onClose }: { edited: Edited; onClose: () => void }) {
  const chosen = useSignal('');
  const known = useLoaded('', async (signal): Promise<Known> => {
    const text = await edited.text();
    const id = dagIn(text)?.dag_id;
    if (typeof id !== 'string') return { text, runs: [], versions: [] };
    const [runs, versions] = await Promise.all([
      get<Page<RunItem>>('/runs', { dag_id: id, limit: RUNS }, signal),
      get<{ items: DagVersion[] }>(`/dags/${part(id)}/versions`, {}, signal).catch((problem) => {
        if (problem instanceof Problem && problem.status === 404) return { items: [] };
        throw problem;
      }),
    ]);
    return { text, runs: runs.items, versions: versions.items };
  });
  return (
    <Dialog title="What has changed since it ran" wide onClose={onClose}>
      <Show of={known} what="its runs and versions">
        {({ text, runs, versions }) =>
          runs.length + versions.length === 0 ? (
            <Empty title="It has not run yet">
              <p>Nothing is there to compare it with: run it, or publish it.</p>
            </Empty>
          ) : (
            <>
              <label>
                Compare it with{' '}
                <select
                  value={chosen.value || first(runs, versions)}
                  onChange={(event) => {
                    chosen.value = event.currentTarget.value;
                  }}
                >
                  {runs.map(({ run_id, state, submitted_at }) => (
                    <option key={run_id} value={`run_id ${run_id}`}>
                      run {run_id} ({state}
                      {submitted_at !== null && `, ${ago(submitted_at, now.peek())}`})
                    </option>
                  ))}
                  {versions.map(({ number }) => (
                    <option key={number} value={`version ${number}`}>
                      published version {number}
                    </option>
                  ))}
                </select>
              </label>
              <With text={text} other={chosen.value || first(runs, versions)} />
            </>
          )
        }
      </Show>
    </Dialog>
  );
}

const first = (runs: readonly RunItem[], versions: readonly DagVersion[]) =>
  runs[0] ? `run_id ${runs[0].run_id}` : `version ${versions[0]!.number}`;

function With({ text, other }: { text: string; other: string }) {
  const [kind, name] = other.split(' ') as ['run_id' | 'version', string];
  const found = useLoaded(other, (signal) =>
    request<Compared>(
      'POST',
      '/compare',
      { text, [kind]: kind === 'version' ? Number(name) : name },
      signal,
    ),
  );
  return (
    <Show of={found} what="what differs">
      {(compared) => (
        <>
          {compared.run_id && (
            <p>
              <Link to={`/runs/${part(compared.run_id)}`}>The run</Link>
            </p>
          )}
          <Words of={compared} />
          <Graphs text={text} compared={compared} />
          <Beside
            before={compared.before}
            after={text}
            names={[compared.run_id ? 'As it ran' : 'As it was published', 'Now']}
          />
        </>
      )}
    </Show>
  );
}

function Graphs({ text, compared }: { text: string; compared: Compared }) {
  const both = useMemo(() => [dagIn(compared.before), dagIn(text)], [compared, text]);
  const [before, after] = both;
  return before && after && <GraphDifference before={before} after={after} compared={compared} />;
}
