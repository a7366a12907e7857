// Running what is edited: all of it or from a task on, in a new run with params and a date, or in the last
// run with what that has made.

import { type Signal, useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { get, Json, Problem, part, request } from '../api/client';
import type { Page, RunItem } from '../api/types';
import { may } from '../app';
import type { LiveRun } from '../live/run';
import { useRun } from '../live/use-run';
import { Action, curlOf } from '../parts/action';
import { Code, Link, State, StateBar, Wrong } from '../parts/basics';
import { useDoing } from '../parts/doing';
import { useLoaded } from '../parts/loaded';
import { plural, quoted, shown } from '../text';
import { Dialog } from './dialog';
import type { Edited } from './file';
import { dagIn, Param, paramsOf, readTyped, typedOf } from './run-params';
import type { Resumption } from './types';

interface RunProps {
  path: string;
  edited: Edited;
  /** The task that is chosen on the canvas. */
  task: string | undefined;
  /** The run that is watched: its states are drawn on the canvas. */
  onRun: (runId: string) => void;
  onClose: () => void;
}

export function RunDialog({ path, edited, task, onRun, onClose }: RunProps) {
  const text = useLoaded('', () => edited.text());
  const dag = useMemo(() => dagIn(text.value.value ?? ''), [text.value.value]);
  return (
    <Dialog title="Run what is edited" onClose={onClose}>
      {text.value.value !== null &&
        (dag ? (
          <Form
            path={path}
            text={text.value.value.replace(/^\ufeff/, '')}
            dag={dag}
            task={task}
            onRun={onRun}
          />
        ) : (
          <p class="bad">The text is no DAG: correct it first.</p>
        ))}
    </Dialog>
  );
}

interface FormProps {
  path: string;
  text: string;
  dag: NonNullable<ReturnType<typeof dagIn>>;
  task: string | undefined;
  onRun: (runId: string) => void;
}

function Form({ path, text, dag, task, onRun }: FormProps) {
  const params = useMemo(() => paramsOf(dag), [dag]);
  const typed = useSignal<ReadonlyMap<string, string>>(new Map());
  const date = useSignal('');
  const which = useSignal<'all' | 'new' | 'last'>('all');
  const { busy, error, act } = useDoing();
  const id = typeof dag.dag_id === 'string' ? dag.dag_id : '';
  const last = useLoaded(id, async (signal) => {
    if (!id || !task) return null;
    const { items } = await get<Page<RunItem>>('/runs', { dag_id: id, limit: 1 }, signal);
    return items[0] ?? null;
  });
  const earlier = last.value.value;
  const given: Record<string, unknown> = {};
  let isWrong = false;
  for (const [name, value] of typed.value) {
    const example = params.get(name);
    if (value === '' && example === undefined) continue;
    const read = readTyped(value, example);
    if (read === undefined) isWrong = true;
    else if (JSON.stringify(read) !== JSON.stringify(example)) given[name] = read;
  }
  const isLast = which.value === 'last' && earlier !== null && task !== undefined;
  const begins = which.value === 'new' ? task : undefined;
  const url = earlier && `/runs/${part(earlier.run_id)}`;
  const about = {
    params: given,
    ...(date.value ? { logical_date: date.value } : {}),
    ...(begins === undefined ? {} : { from_task: begins }),
  };
  const begin = (event: Event) => {
    event.preventDefault();
    return act(async () => {
      if (isLast) {
        await request('POST', `${url}/resume`, resumed(text, task, false));
        onRun(earlier.run_id);
      } else {
        const body = new Json(`{"dag":${text},${JSON.stringify(about).slice(1)}`);
        onRun((await request<{ run_id: string }>('POST', '/runs', body)).run_id);
      }
    });
  };
  const options = isLast
    ? ''
    : [
        ...Object.entries(given).map(
          ([name, value]) => ` --param ${quoted(`${name}=${typedOf(value)}`)}`,
        ),
        ...(date.value ? [` --logical-date ${date.value}`] : []),
        ...(begins === undefined ? [] : [` --from ${quoted(begins)}`]),
      ].join('');
  const sent = isLast
    ? { method: 'POST', path: `${url}/resume`, body: { from_task: task } }
    : { method: 'POST', path: '/runs', body: about };
  const command = isLast
    ? `pydag resume ${earlier.run_id} --with ${quoted(path)} --from ${quoted(task)}`
    : `pydag submit ${quoted(path)}${options}`;
  return (
    <form onSubmit={begin}>
      {task !== undefined && (
        <fieldset class="choose which">
          <legend>Which tasks</legend>
          <label>
            <input
              type="radio"
              name="which"
              checked={which.value === 'all'}
              onChange={() => {
                which.value = 'all';
              }}
            />{' '}
            All, in a new run
          </label>
          <label>
            <input
              type="radio"
              name="which"
              checked={which.value === 'new'}
              onChange={() => {
                which.value = 'new';
              }}
            />{' '}
            {shown(task, 100)} and what is downstream of it, in a new run: all others count as
            succeeded, with the results of earlier runs
          </label>
          <label>
            <input
              type="radio"
              name="which"
              checked={which.value === 'last'}
              disabled={!earlier || earlier.ended_at === null}
              onChange={() => {
                which.value = 'last';
              }}
            />{' '}
            From {shown(task, 100)} on,{' '}
            {!earlier
              ? 'once it has run'
              : earlier.ended_at === null
                ? `once the run ${earlier.run_id} has ended`
                : `with what the run ${earlier.run_id} has made of the others`}
          </label>
        </fieldset>
      )}
      {isLast ? (
        <Preview key={task} url={url!} text={text} task={task} />
      ) : (
        <>
          {[...params].map(([name, example]) => (
            <Param
              key={name}
              name={name}
              example={example}
              typed={typed.value.get(name) ?? typedOf(example)}
              onType={(value) => {
                typed.value = new Map(typed.value).set(name, value);
              }}
            />
          ))}
          <label class="block">
            Logical date{' '}
            <input
              type="datetime-local"
              value={date.value}
              onInput={(event) => {
                date.value = event.currentTarget.value;
              }}
            />{' '}
            <span class="faint">
              in the zone {typeof dag.timezone === 'string' ? shown(dag.timezone, 60) : 'UTC'}.
              Without one it is now.
            </span>
          </label>
        </>
      )}
      {error.value !== null && <Wrong error={error.value} />}
      <p>
        <button
          type="submit"
          disabled={busy.value || isWrong || !may('editor')}
          title={may('editor') ? undefined : 'This needs the role editor.'}
        >
          {busy.value ? 'Starting…' : 'Run'}
        </button>{' '}
        <span class="faint">What is in the editor runs, whether it is saved or not.</span>
      </p>
      <details>
        <summary>The same in a terminal, once it is saved</summary>
        <Code text={command} what="the command" />
        <Code text={curlOf(sent, path)} what="the curl line" />
      </details>
    </form>
  );
}

const resumed = (text: string, task: string, dryRun: boolean) =>
  new Json(`{"dag":${text},"from_task":${JSON.stringify(task)},"dry_run":${dryRun}}`);

/** What going on would run, and why. */
function Preview({ url, text, task }: { url: string; text: string; task: string }) {
  const plan = useLoaded(url + task, (signal) =>
    request<Resumption>('POST', `${url}/resume`, resumed(text, task, true), signal),
  );
  const found = plan.value.value;
  if (plan.error.value !== null) return <Wrong error={plan.error.value} />;
  if (!found) return null;
  const again = Object.entries(found.again);
  return (
    <>
      <p>
        {plural(again.length, 'task')} will run, {found.kept} keep what they have made:
      </p>
      <ul class="words">
        {again.slice(0, 50).map(([name, why]) => (
          <li key={name}>
            <span class="id">{shown(name, 100)}</span> <span class="faint">{shown(why, 200)}</span>
          </li>
        ))}
        {again.length > 50 && <li>and {again.length - 50} more</li>}
      </ul>
    </>
  );
}

interface WatchProps {
  runId: string;
  /** One more with each start of it, since a run may go on after its end. */
  turn: number;
  watched: Signal<LiveRun | null>;
  onClose: () => void;
}

/** A run that is drawn on the canvas: its state, and what can be done. */
export function Watch({ runId, turn, watched, onClose }: WatchProps) {
  const { live, error, again } = useRun(runId);
  useEffect(() => {
    watched.value = live;
    return () => {
      watched.value = null;
    };
  }, [live, watched]);
  useEffect(() => {
    if (turn > 1) again();
  }, [turn]);
  const run = live.head.value;
  const url = `/runs/${part(runId)}`;
  return (
    <section class="watch" aria-label="Run">
      {run && <State state={run.state} />}
      <Link to={url}>{runId}</Link>
      <StateBar counts={live.counts.value} />
      {run?.ended_at === null && (
        <Action
          label="Cancel"
          command={`pydag cancel ${quoted(runId)}`}
          request={{ method: 'POST', path: `${url}/cancel` }}
          disabled={run.state === 'cancelling'}
        />
      )}
      <button type="button" class="plain" onClick={onClose}>
        Stop watching
      </button>
      {error.value instanceof Problem && <span class="bad">{shown(error.value.message, 300)}</span>}
    </section>
  );
}
