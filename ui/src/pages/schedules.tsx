// What is due when, of all published DAGs: the next week as a calendar; and backfills.

import { useComputed } from '@preact/signals';
import { get, part } from '../api/client';
import type { Dags, Preview } from '../api/types';
import { now } from '../app';
import { Empty, Link, Time } from '../parts/basics';
import { Show, useLoaded } from '../parts/loaded';
import { DagLink, Due, n, Table } from '../parts/table';
import { useTitle } from '../shell';
import { clock, exact } from '../text';
import { Backfills } from './backfills';

const DAYS = 7;
const MOST = 200; // due times of a DAG that are asked for
const MOST_DAGS = 100; // in the calendar

/** How often a DAG is due in a day, if that is not once. */
const often = (count: number, hasMore: boolean) => {
  if (hasMore) return count > 0 ? ` ×${count} or more` : ' often';
  return count > 1 ? ` ×${count}` : '';
};

interface DueTimes extends Preview {
  dag: string;
}

export function SchedulesPage() {
  useTitle('Schedules');
  const schedules = useLoaded(
    '',
    async (signal) => {
      const { items } = await get<Dags>('/dags', {}, signal);
      const scheduled = items.filter((dag) => dag.schedule_text);
      const previews = await Promise.all(
        scheduled
          .filter((dag) => !dag.paused_at)
          .slice(0, MOST_DAGS)
          .map(async ({ dag_id }) => ({
            dag: dag_id,
            ...(await get<Preview>(
              `/dags/${part(dag_id)}/schedule/preview`,
              { limit: MOST },
              signal,
            )),
          })),
      );
      return { scheduled, previews };
    },
    30,
  );
  return (
    <div class="page">
      <div class="head">
        <h1>Schedules</h1>
        <span class="faint">
          times in your zone, {Intl.DateTimeFormat().resolvedOptions().timeZone}
        </span>
      </div>
      <Show of={schedules} what="the schedules">
        {({ scheduled, previews }) =>
          scheduled.length === 0 ? (
            <Empty title="No DAG has a schedule">
              <p>
                A DAG whose file says <code>schedule_interval</code> is started when it is due, once
                it is published:
              </p>
              <pre>pydag publish FILE</pre>
            </Empty>
          ) : (
            <>
              <Calendar of={previews} />
              {scheduled.length > MOST_DAGS && (
                <p class="faint">The calendar has the first {MOST_DAGS} of them.</p>
              )}
              <Table heads={['DAG', 'Schedule', 'Due next', n('Missed'), 'Last missed']}>
                {scheduled.map((dag) => (
                  <tr key={dag.dag_id}>
                    <td>
                      <DagLink dag={dag.dag_id} />
                    </td>
                    <td>{dag.schedule_text}</td>
                    <td>
                      <Due dag={dag} />
                    </td>
                    <td class={`n ${dag.missed ? 'bad' : 'faint'}`}>{dag.missed}</td>
                    <td>
                      <Time at={dag.missed_last} />
                    </td>
                  </tr>
                ))}
              </Table>
            </>
          )
        }
      </Show>
      <Backfills />
    </div>
  );
}

function Calendar({ of }: { of: DueTimes[] }) {
  const today = useComputed(() => new Date(now.value * 1000).setHours(0, 0, 0, 0)).value;
  const days = Array.from({ length: DAYS }, (_, i) => {
    const day = new Date(today);
    day.setDate(day.getDate() + i);
    return day;
  });
  return (
    <ol class="calendar" aria-label={`What is due in the next ${DAYS} days`}>
      {days.map((day) => {
        const from = day.getTime() / 1000;
        const next = new Date(day);
        next.setDate(next.getDate() + 1);
        const until = next.getTime() / 1000;
        const here = of
          .map(({ dag, zone, due }) => ({
            dag,
            zone,
            times: due.filter((at) => at >= from && at < until),
            hasMore: due.length === MOST && due.at(-1)! < until, // than were asked for
          }))
          .filter(({ times, hasMore }) => times.length > 0 || hasMore)
          .sort((a, b) => (a.times[0] ?? from) - (b.times[0] ?? from));
        return (
          <li key={from} class={day.getTime() === today ? 'today' : ''}>
            <h2>
              {day.toLocaleDateString('en', { weekday: 'short', day: 'numeric', month: 'short' })}
            </h2>
            {here.length === 0 && <p class="faint">nothing</p>}
            {here.map(({ dag, zone, times, hasMore }) => (
              <Link
                key={dag}
                to={`/dags/${part(dag)}`}
                title={times
                  .slice(0, 12)
                  .map((at) => exact(at, zone))
                  .join('\n')}
              >
                {times[0] && <span class="n">{clock(times[0]).slice(0, 5)} </span>}
                {dag}
                <span class="faint">{often(times.length, hasMore)}</span>
              </Link>
            ))}
          </li>
        );
      })}
    </ol>
  );
}
