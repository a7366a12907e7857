// Backfills: how far each is, and its buttons.

import { get, part } from '../api/client';
import type { Backfill } from '../api/types';
import { Action } from '../parts/action';
import { StateBar, Time } from '../parts/basics';
import { Show, useLoaded } from '../parts/loaded';
import { DagLink, n, Table } from '../parts/table';
import { quoted, shown } from '../text';

export function Backfills() {
  const backfills = useLoaded(
    '',
    (signal) => get<{ items: Backfill[] }>('/backfills', {}, signal),
    3,
  );
  return (
    <>
      <h2>Backfills</h2>
      <Show of={backfills} what="the backfills">
        {({ items }) =>
          items.length === 0 ? (
            <p class="faint">
              None. A DAG's page, or <code>pydag backfill DAG --from DAY --to DAY</code>, makes a
              run for each due time in the past.
            </p>
          ) : (
            <Table
              tall
              heads={[
                'DAG',
                'State',
                'For',
                { says: 'Runs', class: 'wide' },
                n('Left'),
                'Begun',
                { says: 'Do', hidden: true },
              ]}
            >
              {items.map((each) => (
                <Row key={each.backfill_id} backfill={each} reload={backfills.reload} />
              ))}
            </Table>
          )
        }
      </Show>
    </>
  );
}

const day = (at: number) => new Date(at * 1000).toISOString().slice(0, 10);

function Row({ backfill, reload }: { backfill: Backfill; reload: () => void }) {
  const { backfill_id: id, state } = backfill;
  const url = `/backfills/${part(id)}`;
  const isPaused = state === 'paused';
  const left = backfill.total - backfill.made - backfill.left_out;
  return (
    <tr>
      <td>
        <DagLink dag={backfill.dag_id} />
      </td>
      <td title={backfill.why ? shown(backfill.why, 1000) : undefined}>{state}</td>
      <td>
        {day(backfill.first)} to {day(backfill.last)}
      </td>
      <td class="wide">
        <StateBar
          counts={
            new Map([
              ['failed', backfill.failed],
              ['cancelled', backfill.cancelled],
              ['success', backfill.success],
              ['running', backfill.active],
              ['none', left],
            ])
          }
        />
      </td>
      <td class="n">
        {left}/{backfill.total}
      </td>
      <td>
        <Time at={backfill.created_at} /> by {backfill.created_by}
      </td>
      <td>
        {backfill.ended_at === null && (
          <span class="actions">
            <Action
              label={isPaused ? 'Go on' : 'Pause'}
              command={`pydag backfills ${isPaused ? 'unpause' : 'pause'} ${quoted(id)}`}
              request={{ method: 'PATCH', path: url, body: { paused: !isPaused } }}
              onDone={reload}
            />
            <Action
              label="Cancel"
              command={`pydag backfills cancel ${quoted(id)}`}
              request={{ method: 'DELETE', path: url }}
              confirm="It makes no more runs. Those that go on are cancelled."
              onDone={reload}
            />
          </span>
        )}
      </td>
    </tr>
  );
}
