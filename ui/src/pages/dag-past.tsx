// What became of a DAG: its versions, and what people did to it.

import { get } from '../api/client';
import type { DagChange, DagVersion } from '../api/types';
import { Time } from '../parts/basics';
import { Show, useLoaded } from '../parts/loaded';
import { Table } from '../parts/table';
import { plural, shown } from '../text';

export function Versions({ url, version }: { url: string; version: number }) {
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
                      <li key={line}>{shown(line, 1000)}</li>
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

const DONE: Record<DagChange['kind'], (change: DagChange) => string> = {
  published: ({ version }) => `published version ${version}`,
  moved: ({ source }) => `published again${source && ` from ${source}`}`,
  paused: () => 'paused',
  unpaused: () => 'unpaused',
  unpublished: () => 'unpublished',
  missed: ({ missed }) => `${plural(missed, 'due time')} missed`,
};

/** Who published, paused and unpublished it, and what it missed. */
export function Changes({ url }: { url: string }) {
  const changes = useLoaded(
    url,
    (signal) => get<{ items: DagChange[]; missing: string | null }>(`${url}/changes`, {}, signal),
    10,
  );
  return (
    <>
      <h2>What was done to it</h2>
      <Show of={changes} what="what was done to it">
        {({ items, missing }) =>
          items.length === 0 ? (
            <p class="faint">
              {missing ? `It can't be said: ${missing}` : 'The history has nothing of it yet.'}
            </p>
          ) : (
            <Table heads={['What', 'When', 'Who']}>
              {items.map((change) => (
                <tr key={`${change.at} ${change.kind}`}>
                  <td>{shown(DONE[change.kind](change))}</td>
                  <td>
                    <Time at={change.at} />
                  </td>
                  <td>{shown(change.by)}</td>
                </tr>
              ))}
            </Table>
          )
        }
      </Show>
    </>
  );
}
