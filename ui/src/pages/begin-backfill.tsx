// A form that begins a backfill, and says before how many runs that are.

import { useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import { get, part } from '../api/client';
import type { BackfillPreview } from '../api/types';
import { go, may } from '../app';
import { Action } from '../parts/action';
import { Wrong } from '../parts/basics';
import { useLoaded } from '../parts/loaded';
import { exact, plural, quoted } from '../text';

const AGAIN = { none: 'nothing', failed: 'what did not succeed', all: 'everything' } as const;

export function BeginBackfill({ dag, zone }: { dag: string; zone: string }) {
  const open = useSignal(false);
  const first = useSignal('');
  const last = useSignal('');
  const most = useSignal(1);
  const again = useSignal<keyof typeof AGAIN>('none');
  const here = useRef<HTMLElement | null>(null);
  /** Opens or closes the form; whoever works by keyboard goes on there. */
  const show = (form: boolean) => {
    open.value = form;
    requestAnimationFrame(() => here.current?.querySelector<HTMLElement>('input, button')?.focus());
  };
  const url = `/dags/${part(dag)}/backfills`;
  const isGiven = Boolean(first.value && last.value);
  const span = useLoaded(`${dag} ${first.value} ${last.value}`, async (signal) =>
    isGiven
      ? get<BackfillPreview>(`${url}/preview`, { first: first.value, last: last.value }, signal)
      : null,
  );
  if (!open.value) {
    return (
      <p
        ref={(made) => {
          here.current = made;
        }}
      >
        <button
          type="button"
          disabled={!may('operator')}
          title={may('operator') ? undefined : 'This needs the role operator.'}
          onClick={() => show(true)}
        >
          Backfill…
        </button>{' '}
        <span class="faint">runs it for due times in the past</span>
      </p>
    );
  }
  const found = isGiven ? span.value.value : null;
  const options = [
    `--from ${first.value || 'DAY'}`,
    `--to ${last.value || 'DAY'}`,
    ...(most.value > 1 ? [`--max-active ${most.value}`] : []),
    ...(again.value === 'none' ? [] : [`--again ${again.value}`]),
  ];
  const body = {
    first: first.value,
    last: last.value,
    max_active: most.value,
    again: again.value,
  };
  const day = (label: string, value: typeof first) => (
    <label>
      {label}{' '}
      <input
        type="date"
        value={value.value}
        onInput={(event) => {
          value.value = event.currentTarget.value;
        }}
      />
    </label>
  );
  return (
    <form
      class="panel"
      aria-label="Backfill"
      ref={(made) => {
        here.current = made;
      }}
      onSubmit={(event) => event.preventDefault()}
      onKeyDown={(event) => event.key === 'Escape' && show(false)}
    >
      <div class="filters">
        {day('From', first)}
        {day('to', last)}
        <label>
          Runs at once{' '}
          <input
            type="number"
            min={1}
            max={1000}
            value={most.value}
            onInput={(event) => {
              const given = event.currentTarget.valueAsNumber;
              most.value = Math.min(1000, Math.max(1, Math.round(given) || 1));
            }}
          />
        </label>
        <label>
          Run again{' '}
          <select
            value={again.value}
            onChange={(event) => {
              again.value = event.currentTarget.value as keyof typeof AGAIN;
            }}
          >
            {Object.entries(AGAIN).map(([value, says]) => (
              <option key={value} value={value}>
                {says}
              </option>
            ))}
          </select>
        </label>
      </div>
      {isGiven && span.error.value !== null && <Wrong error={span.error.value} />}
      <p role="status">
        {found
          ? `${plural(found.total, 'due time')}, from ${exact(found.first, zone)} to ${exact(found.last, zone)}.${
              again.value === 'all' ? '' : ' Those that have a run already may be left out.'
            }`
          : isGiven && span.error.value === null
            ? 'Counting the due times…'
            : `Both days are included, in the zone ${zone}.`}
      </p>
      {found?.left_to_schedule && (
        <p class="faint">
          Those from {exact(found.left_to_schedule, zone)} on are still to come, or the schedule
          runs them itself.
        </p>
      )}
      <span class="actions">
        <Action
          label="Begin the backfill"
          command={`pydag backfill ${quoted(dag)} ${options.join(' ')}`}
          request={{ method: 'POST', path: url, body }}
          disabled={!found}
          onDone={() => go('/schedules')}
        />
        <button type="button" class="plain" onClick={() => show(false)}>
          Close
        </button>
      </span>
    </form>
  );
}
