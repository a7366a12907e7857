// What a task wrote: as the stream tells it while the task goes on, and all of it afterwards.

import { useSignal } from '@preact/signals';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { get } from '../api/client';
import type { Logs } from '../api/types';
import type { LiveLog, LiveRun } from '../live/run';
import { Wrong } from '../parts/basics';
import { clock, shown } from '../text';

const MOST = 10_000; // lines of an ended task

interface Props {
  url: string;
  task: string;
  live: LiveRun;
  isOn: boolean;
}

export function Log({ url, task, live, isOn }: Props) {
  const whole = useSignal<LiveLog | null>(null);
  const error = useSignal<unknown>(null);
  const follows = useSignal(true);
  const wanted = useSignal('');
  const box = useRef<HTMLPreElement>(null);

  useEffect(() => {
    whole.value = null;
    if (isOn) return;
    const abort = new AbortController();
    get<Logs>(`${url}/logs`, { task, last: true, limit: MOST }, abort.signal).then(
      ({ items, next }) => {
        whole.value = { lines: items, leftOut: next > items.length };
        error.value = null;
      },
      (problem) => {
        if (!abort.signal.aborted) error.value = problem;
      },
    );
    return () => abort.abort();
  }, [url, task, isOn, whole, error]);

  const log = whole.value ?? live.log.value;
  useLayoutEffect(() => {
    if (follows.value && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [log, follows.value]);
  const text = wanted.value.toLowerCase();
  const lines = log?.lines ?? [];
  const wantedLines = text ? lines.filter(({ line }) => line.toLowerCase().includes(text)) : lines;
  return (
    <div class="log">
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <label>
          Line contains{' '}
          <input
            value={wanted.value}
            spellcheck={false}
            onInput={(event) => {
              wanted.value = event.currentTarget.value;
            }}
          />
        </label>
        <label>
          <input
            type="checkbox"
            checked={follows.value}
            onChange={(event) => {
              follows.value = event.currentTarget.checked;
            }}
          />{' '}
          stay at the end
        </label>
      </form>
      {error.value !== null && <Wrong error={error.value} />}
      {log?.leftOut && (
        <p class="faint">
          Older lines are not shown: <code>pydag logs</code> prints all of them.
        </p>
      )}
      {wantedLines.length > 0 ? (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by keyboard
        <pre ref={box} tabIndex={0}>
          {wantedLines.map(({ at, level, line, try_number }, index) => (
            <span key={index} data-level={level}>
              <i>{clock(at)}</i> {try_number > 1 && <i>try {try_number} </i>}
              {shown(line)}
              {'\n'}
            </span>
          ))}
        </pre>
      ) : (
        log && (
          <p class="faint">
            {text
              ? 'No line is like that.'
              : isOn
                ? 'Nothing was written yet.'
                : 'Nothing was written.'}
          </p>
        )
      )}
    </div>
  );
}
