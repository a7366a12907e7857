// A task of a run, in a drawer: why it is where it is, its tries, params, result and log.

import { useLayoutEffect, useRef } from 'preact/hooks';
import { get, part } from '../api/client';
import type { Reason, Run, Task, TaskParams, Try } from '../api/types';
import { go, now, search } from '../app';
import type { LiveRun } from '../live/run';
import { Action } from '../parts/action';
import { Code, Copy, Link, State, Time } from '../parts/basics';
import { Show, useLoaded } from '../parts/loaded';
import { n, Table } from '../parts/table';
import { ENDED } from '../states';
import { bytes, duration, price, priceNote, quoted, shown } from '../text';
import { Log } from './log';

interface Props {
  run: Run;
  task: string;
  live: LiveRun;
  usual: number | undefined;
  url: string;
  again: () => void;
}

export function TaskDrawer({ run, task, live, usual, url, again }: Props) {
  live.version.value; // drawn anew when tasks change
  const known = live.tasks.get(task);
  const state = known?.state ?? 'none';
  const place = `${url}/tasks/${part(task)}`;
  const moment = `${place} ${state} ${known?.try_number} ${run.rounds}`;
  const isOn = !ENDED.has(state);
  const details = useLoaded(moment, (signal) => get<Task>(place, {}, signal));
  const tries = useLoaded(moment, (signal) => get<{ items: Try[] }>(`${place}/tries`, {}, signal));
  const why = useLoaded(
    moment,
    (signal) => get<{ reasons: Reason[] }>(`${place}/why`, {}, signal),
    isOn && run.ended_at === null ? 2 : 0,
  );
  const here = useRef<HTMLElement>(null);
  const close = () => {
    const isWithin = here.current?.contains(document.activeElement);
    go(url + (search.value.size > 0 ? `?${search.value}` : ''));
    // The graph, or the list: there the keyboard goes on.
    if (isWithin) document.querySelector<HTMLElement>('.upper [tabindex="0"]')?.focus();
  };
  // At once: an effect would come after the next picture, and a key before it would do nothing.
  useLayoutEffect(() => {
    const onEscape = (event: KeyboardEvent) => {
      if (event.key === 'Escape') close();
    };
    document.addEventListener('keydown', onEscape);
    return () => document.removeEventListener('keydown', onEscape);
  });
  return (
    <aside class="drawer" aria-label={`Task ${task}`} ref={here}>
      <header>
        <div class="title">
          <h2>{shown(task, 300)}</h2>
          <Copy text={task} what="the task's id" />
          <button type="button" class="plain close" onClick={close} aria-label="Close the task">
            ✕
          </button>
        </div>
        <p>
          <State state={state} />
          {usual !== undefined && <span class="faint">usually takes {duration(usual)}</span>}
        </p>
      </header>
      {why.value.value?.reasons.map((reason) => (
        <p key={reason.why} class="sentence" data-state={reason.state}>
          {shown(reason.why, 1000)}
        </p>
      ))}
      {run.ended_at !== null && (
        <Action
          label="Resume from here"
          command={`pydag resume ${quoted(run.run_id)} --from ${quoted(task)}`}
          request={{ method: 'POST', path: `${url}/resume`, body: { from_task: task } }}
          confirm="This task runs again, and all downstream of it, and whatever else did not succeed."
          onDone={again}
        />
      )}
      <Show of={details} what="the task">
        {(found) => <Details found={found} />}
      </Show>
      <h3>Tries</h3>
      <Show of={tries} what="its tries">
        {({ items }) => <Tries tries={items} />}
      </Show>
      <h3>Log</h3>
      <Log url={url} task={task} live={live} isOn={isOn} />
      <Params place={place} moment={moment} />
    </aside>
  );
}

function Details({ found }: { found: Task }) {
  return (
    <>
      {found.error && (
        <>
          <h3>{found.state === 'skipped' ? 'Why it was skipped' : 'Error'}</h3>
          <Code text={found.error} what="the error" />
        </>
      )}
      {found.cached_from && (
        <p>
          Nothing had changed since{' '}
          <Link to={`/runs/${part(found.cached_from)}`}>{found.cached_from}</Link>: its result was
          taken.
        </p>
      )}
      {found.result !== null && (
        <>
          <h3 title={found.bytes_billed === null ? undefined : priceNote}>
            Result
            {found.bytes_billed !== null &&
              `, ${bytes(found.bytes_billed)} billed: ${price(found.bytes_billed)}`}
          </h3>
          {linksIn(found.result).map((link) => (
            <p key={link}>
              <a href={link} target="_blank" rel="noreferrer">
                Open in Google Cloud
              </a>{' '}
              <Copy text={link} what="the link" />
            </p>
          ))}
          <Code text={JSON.stringify(found.result, null, 2)} what="the result" />
        </>
      )}
    </>
  );
}

/** Links to Google's console among a result's values. */
function linksIn(result: unknown): string[] {
  const values = typeof result === 'object' && result !== null ? Object.values(result) : [result];
  return values.filter(
    (value): value is string =>
      typeof value === 'string' && value.startsWith('https://console.cloud.google.com/'),
  );
}

function Tries({ tries }: { tries: Try[] }) {
  return (
    <Table heads={[n('Try'), 'State', 'Started', n('Took'), 'Worker']}>
      {tries.map((each) => {
        const end = each.ended_at ?? (ENDED.has(each.state) ? null : now.value);
        return (
          <tr key={each.try_number}>
            <td class="n">{each.try_number}</td>
            <td>
              <State state={each.state} />
            </td>
            <td>
              <Time at={each.started_at} />
            </td>
            <td class="n">
              {each.started_at !== null && end !== null ? duration(end - each.started_at) : ''}
            </td>
            <td>{each.worker}</td>
          </tr>
        );
      })}
    </Table>
  );
}

function Params({ place, moment }: { place: string; moment: string }) {
  const params = useLoaded(moment, (signal) => get<TaskParams>(`${place}/params`, {}, signal));
  return (
    <>
      <h3>Params</h3>
      <Show of={params} what="its params">
        {({ operator, script, try_number, params, rendered, why }) => {
          const [raw, made] = [jsonOf(params), jsonOf(rendered)];
          const hasTemplates = rendered === null || raw !== made;
          const ofDag = (
            <Code text={raw} what={hasTemplates ? 'the params of the DAG' : 'the params'} />
          );
          return (
            <>
              <p class="faint">
                of {script ?? operator}
                {rendered !== null && hasTemplates && `, as try ${try_number} has them`}
                {why && `, as the DAG has them: ${shown(why, 500)}`}
              </p>
              {rendered === null || !hasTemplates ? (
                ofDag
              ) : (
                <>
                  <Code text={made} what="the params" />
                  <details>
                    <summary>As the DAG has them, with templates</summary>
                    {ofDag}
                  </details>
                </>
              )}
            </>
          );
        }}
      </Show>
    </>
  );
}

const jsonOf = (value: unknown) => JSON.stringify(value, null, 2);
