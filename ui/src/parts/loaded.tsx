// Data that a page loads and keeps fresh, and what is shown until it is there.

import { type Signal, useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { Problem } from '../api/client';
import { Waiting, Wrong } from './basics';

export interface Loaded<T> {
  value: Signal<T | null>;
  error: Signal<unknown>;
  reload: () => void;
}

/** What `load` gives, loaded anew when `key` changes and every so many seconds while it is looked at. */
export function useLoaded<T>(
  key: string,
  load: (signal: AbortSignal) => Promise<T>,
  every = 0,
): Loaded<T> {
  const value = useSignal<T | null>(null);
  const error = useSignal<unknown>(null);
  const turn = useSignal(0);
  const asked = turn.value;
  const pause = useRef(every);
  pause.current = every;
  useEffect(() => {
    value.value = null;
    error.value = null;
  }, [key]);
  useEffect(() => {
    const abort = new AbortController();
    let timer = 0;
    const again = (seconds: number) => {
      if (seconds > 0 && !abort.signal.aborted) timer = setTimeout(ask, seconds * 1000);
    };
    const ask = async () => {
      if (document.hidden) {
        again(1);
        return;
      }
      try {
        value.value = await load(abort.signal);
        error.value = null;
        again(pause.current);
      } catch (problem) {
        if (abort.signal.aborted) return;
        error.value = problem;
        if (problem instanceof Problem && [0, 429, 503].includes(problem.status)) again(3);
      }
    };
    ask();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [key, asked]);
  return {
    value,
    error,
    reload: () => {
      turn.value++;
    },
  };
}

/** The data once they are there. If they can't be had anew, the last ones stay, and it says so. */
export function Show<T>({
  of,
  what,
  children,
}: {
  of: Loaded<T>;
  what: string;
  children: (value: T) => ComponentChildren;
}) {
  const value = of.value.value;
  const error = of.error.value;
  return (
    <>
      {error !== null && <Wrong error={error} retry={of.reload} />}
      {value !== null ? children(value) : error === null && <Waiting what={what} />}
    </>
  );
}
