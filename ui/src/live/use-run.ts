// A run that is looked at, kept up until it no longer is.

import { type Signal, useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { get, Problem, part } from '../api/client';
import type { Columns, Run } from '../api/types';
import { LiveRun } from './run';
import { followRun, live as stream } from './stream';

interface Looked {
  live: LiveRun;
  error: Signal<unknown>;
  /** Loads it anew: it goes on, or it may be there by now. */
  again: () => void;
}

/** Asks for all of the run, unless its stream has told of it meanwhile. */
export async function loadRun(url: string, live: LiveRun, signal: AbortSignal): Promise<void> {
  const { heard } = live;
  // One after the other: of a run that has ended, all tasks are known as they have ended.
  const run = await get<Run>(url, {}, signal);
  const tasks = await get<Columns>(`${url}/tasks`, { as: 'columns' }, signal);
  if (live.heard === heard) live.snapshot(run, tasks);
}

/** The run, with the log of a task of it if one is looked at. */
export function useRun(runId: string, task?: string): Looked {
  const live = useMemo(() => new LiveRun(), [runId]);
  const error = useSignal<unknown>(null);
  const turn = useSignal(0);
  const url = `/runs/${part(runId)}`;
  const asked = turn.value;
  useEffect(() => {
    const abort = new AbortController();
    const load = async () => {
      try {
        await loadRun(url, live, abort.signal);
        error.value = null;
        if (isMissing) turn.value++; // it is there by now, and can be followed
      } catch (problem) {
        if (abort.signal.aborted) return;
        error.value = problem;
        isMissing = problem instanceof Problem && problem.status === 404;
        if (isMissing) stop();
      }
    };
    let isMissing = false;
    const stop = followRun(url, live, task);
    load();
    // What no stream tells: that an ended run was resumed, or all, if no stream can be had.
    const timer = setInterval(async () => {
      if (document.hidden) return;
      const known = live.head.value;
      if (known?.ended_at == null) {
        if (stream.value !== 'live') load();
        return;
      }
      // Whatever is done to an ended run is in its head.
      const found = await get<Run>(url, {}, abort.signal).catch(() => null);
      if (found && (found.state !== known.state || found.acts.length !== known.acts.length)) load();
    }, 4000);
    return () => {
      abort.abort();
      clearInterval(timer);
      stop();
    };
  }, [url, live, task, asked]);
  return {
    live,
    error,
    again: () => {
      turn.value++;
    },
  };
}
