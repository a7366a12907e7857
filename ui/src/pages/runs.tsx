// All runs: those that go on first, then the newest. What is asked for stands in the address.

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { get, part, query } from '../api/client';
import type { Page, RunItem } from '../api/types';
import { go, goWith, now, search } from '../app';
import { LIMIT, withNews } from '../live/newest';
import { follow, live } from '../live/stream';
import { Empty, Link, State, StateBar, Time } from '../parts/basics';
import { Show, useLoaded } from '../parts/loaded';
import { n, Table } from '../parts/table';
import { useTitle } from '../shell';
import { ENDED, isLate } from '../states';
import { bytes, duration, plural, price, priceNote } from '../text';

const HEADS = [
  { says: 'Compare', class: 'roomy', hidden: true },
  'State',
  'DAG',
  'Run',
  { says: 'Tasks', class: 'wide roomy' },
  n('Ended', 'roomy'),
  n('Failed', 'roomy'),
  { says: 'For', class: 'roomy', title: 'Its logical date, in UTC' },
  'Submitted',
  n('Took', 'roomy'),
  { says: 'Billed', class: 'n roomy', title: priceNote },
];
const STATES = ['queued', 'running', 'cancelling', 'success', 'failed', 'cancelled'];

export function RunsPage() {
  useTitle('Runs');
  const dag = search.value.get('dag') ?? '';
  const state = search.value.get('state') ?? '';
  const q = search.value.get('q') ?? '';
  const cursor = search.value.get('cursor') ?? '';
  const isFiltered = Boolean(dag || state || q || cursor);
  const runs = useLoaded(
    `${dag} ${state} ${q} ${cursor}`,
    (signal) =>
      get<Page<RunItem>>('/runs', { dag_id: dag, state, q, cursor, limit: LIMIT }, signal),
    live.value === 'live' ? 20 : 2,
  );
  const isNewest = !(state || q || cursor);
  useEffect(() => {
    if (!isNewest) return;
    const tell = (data: unknown) => {
      const page = runs.value.value;
      if (page) runs.value.value = withNews(page, (data as { items: RunItem[] }).items);
    };
    return follow(`/events${query({ dag_id: dag })}`, { snapshot: tell, changes: tell });
  }, [dag, isNewest]);
  return (
    <div class="page">
      <div class="head">
        <h1>Runs</h1>
        <form class="filters" onSubmit={(event) => event.preventDefault()}>
          <label>
            DAG{' '}
            <input
              value={dag}
              onChange={(event) => goWith({ dag: event.currentTarget.value.trim(), cursor: '' })}
              placeholder="any"
              spellcheck={false}
            />
          </label>
          <label>
            State{' '}
            <select
              value={state}
              onChange={(event) => goWith({ state: event.currentTarget.value, cursor: '' })}
            >
              <option value="">any</option>
              {STATES.map((each) => (
                <option key={each}>{each}</option>
              ))}
            </select>
          </label>
          <label>
            Id contains{' '}
            <input
              value={q}
              onChange={(event) => goWith({ q: event.currentTarget.value.trim(), cursor: '' })}
              spellcheck={false}
            />
          </label>
          {isFiltered && (
            <button
              type="button"
              class="plain"
              onClick={() => goWith({ dag: '', state: '', q: '', cursor: '' })}
            >
              All runs
            </button>
          )}
        </form>
      </div>
      <Show of={runs} what="the list of runs">
        {({ items, next }) =>
          items.length > 0 ? (
            <>
              <Runs runs={items} />
              {next && (
                <p>
                  <button
                    type="button"
                    onClick={() => goWith({ cursor: next }, { replace: false })}
                  >
                    Older runs
                  </button>
                </p>
              )}
            </>
          ) : isFiltered ? (
            <Empty title="No run is like that" />
          ) : (
            <Empty title="No runs yet">
              <p>This command starts the first one:</p>
              <pre>pydag submit examples/pipeline/pipeline.json</pre>
            </Empty>
          )
        }
      </Show>
    </div>
  );
}

function Runs({ runs }: { runs: RunItem[] }) {
  const chosen = useSignal<string[]>([]);
  const sorted = runs.toSorted((a, b) => Number(ENDED.has(a.state)) - Number(ENDED.has(b.state)));
  const toggle = (run: string) => {
    const others = chosen.value.filter((each) => each !== run);
    chosen.value = others.length < chosen.value.length ? others : [...others, run].slice(-2);
  };
  const [a, b] = chosen.value;
  return (
    <>
      <Table heads={HEADS}>
        {sorted.map((run) => (
          <tr key={run.run_id}>
            <td class="roomy">
              <input
                type="checkbox"
                checked={chosen.value.includes(run.run_id)}
                onChange={() => toggle(run.run_id)}
                aria-label={`Compare ${run.run_id}`}
              />
            </td>
            <td>
              <State state={run.state} />
              {isLate(run, now.value) && run.ended_at === null && <b> late</b>}
            </td>
            <td>
              <Link to={`/?dag=${part(run.dag_id)}`}>{run.dag_id}</Link>
            </td>
            <td class="id">
              <Link to={`/runs/${part(run.run_id)}`}>{shortId(run)}</Link>
            </td>
            <td class="wide roomy">
              <StateBar counts={countsOf(run)} />
            </td>
            <td class="n roomy">
              {run.counts.ended}/{run.counts.total}
            </td>
            <td class={`n roomy ${run.counts.failed ? 'bad' : 'faint'}`}>{run.counts.failed}</td>
            <td class="roomy">{run.logical_date?.slice(0, 16).replace('T', ' ') ?? ''}</td>
            <td>
              <Time at={run.submitted_at} />
            </td>
            <td class="n roomy">{took(run)}</td>
            <td class="n roomy" title={run.bytes_billed ? price(run.bytes_billed) : undefined}>
              {run.bytes_billed === null ? '' : bytes(run.bytes_billed)}
            </td>
          </tr>
        ))}
      </Table>
      <p class="compare">
        <button
          type="button"
          disabled={!a || !b}
          onClick={() => go(`/runs/${part(a!)}/compare/${part(b!)}`)}
        >
          Compare two runs
        </button>{' '}
        <span class="faint">{plural(chosen.value.length, 'run')} chosen</span>
      </p>
    </>
  );
}

/** The end of an id that the DAG's name need not be repeated for. */
const shortId = ({ run_id, dag_id }: RunItem) =>
  run_id.startsWith(`${dag_id}-`) ? run_id.slice(dag_id.length + 1) : run_id;

function countsOf({ counts }: RunItem): Map<string, number> {
  return new Map([
    ['failed', counts.failed],
    ['success', counts.ended - counts.failed],
    ['running', counts.active],
    ['none', counts.total - counts.ended - counts.active],
  ]);
}

/** What a run took, or takes until now. */
export function took(run: RunItem): string {
  if (run.took === null) return '–';
  const since = run.round_at ?? run.started_at;
  const isOn = run.ended_at === null && since !== null;
  return duration(isOn ? run.spent + Math.max(0, now.value - since) : run.took);
}
