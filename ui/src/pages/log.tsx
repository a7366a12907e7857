// What a task wrote; its end stays in sight while it goes on, if that is wanted.

import { useSignal } from '@preact/signals';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { get } from '../api/client';
import type { LogLine, Logs } from '../api/types';
import { Wrong } from '../parts/basics';
import { clock, number } from '../text';

const AT_ONCE = 1000;
const MOST = 5000; // lines that are kept
const EVERY = 1500; // ms

interface Props {
  url: string;
  task: string;
  isOn: boolean;
  round: number;
}

export function Log({ url, task, isOn, round }: Props) {
  const lines = useSignal<LogLine[]>([]);
  const left = useSignal(0); // lines that were too many
  const error = useSignal<unknown>(null);
  const isRead = useSignal(false);
  const follows = useSignal(true);
  const wanted = useSignal('');
  const next = useRef(0);
  const box = useRef<HTMLPreElement>(null);

  useEffect(() => {
    const abort = new AbortController();
    let timer = 0;
    const read = async () => {
      try {
        const found = await get<Logs>(
          `${url}/logs`,
          { task, after: next.current, limit: AT_ONCE },
          abort.signal,
        );
        next.current = found.next;
        isRead.value = true;
        error.value = null;
        if (found.items.length > 0) {
          const all = [...lines.value, ...found.items];
          left.value += Math.max(0, all.length - MOST);
          lines.value = all.slice(-MOST);
        }
        if (found.items.length === AT_ONCE) read();
        else if (isOn) timer = setTimeout(read, EVERY);
      } catch (problem) {
        if (abort.signal.aborted) return;
        error.value = problem;
        if (isOn) timer = setTimeout(read, 2 * EVERY);
      }
    };
    read();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [url, task, isOn, round]);

  const text = wanted.value.toLowerCase();
  const shown = text
    ? lines.value.filter(({ line }) => line.toLowerCase().includes(text))
    : lines.value;
  useLayoutEffect(() => {
    if (follows.value && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines.value, follows.value]);
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
      {left.value > 0 && <p class="faint">{number(left.value)} older lines are not shown.</p>}
      {isRead.value && shown.length === 0 && (
        <p class="faint">
          {text
            ? 'No line is like that.'
            : isOn
              ? 'Nothing was written yet.'
              : 'Nothing was written.'}
        </p>
      )}
      {shown.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by keyboard
        <pre ref={box} tabIndex={0}>
          {shown.map(({ at, level, line, try_number }, index) => (
            <span key={index} data-level={level}>
              <i>{clock(at)}</i> {try_number > 1 && <i>try {try_number} </i>}
              {line}
              {'\n'}
            </span>
          ))}
        </pre>
      )}
    </div>
  );
}
