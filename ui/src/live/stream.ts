// The live stream of a page: one connection, none while nobody looks, opened again by itself.

import { signal } from '@preact/signals';
import { API, query } from '../api/client';
import type { Columns, Run } from '../api/types';
import type { LiveRun, LogFrame } from './run';

/** Whether what is shown is live: the stream is open. */
export const live = signal<'live' | 'away' | 'closed'>('closed');

const SILENCE_MS = 40_000; // the server says each 15 s that it is there

type Handlers = Record<string, (data: unknown) => void>;

/** Follow a stream of server-sent events until the function that it gives back is called. */
export function follow(path: string, handlers: Handlers): () => void {
  let source: EventSource | null = null;
  let timer = 0;
  let silence = 0;
  let wait = 1000;
  let ended = false;
  const close = () => {
    source?.close();
    source = null;
    clearTimeout(timer);
    clearTimeout(silence);
  };
  // A connection that leads nowhere by now may look open for minutes.
  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(() => {
      live.value = 'away';
      open();
    }, SILENCE_MS);
  };
  const open = () => {
    close();
    const mine = new EventSource(API + path);
    source = mine;
    heard();
    mine.onopen = () => {
      wait = 1000;
      live.value = 'live';
      heard();
    };
    mine.onerror = () => {
      live.value = 'away';
      // The browser goes on by itself, unless the server has said no.
      if (mine.readyState !== EventSource.CLOSED) return;
      timer = setTimeout(open, wait);
      wait = Math.min(30_000, wait * 2);
    };
    mine.addEventListener('here', heard);
    for (const [kind, handle] of Object.entries(handlers)) {
      mine.addEventListener(kind, (event: MessageEvent<string>) => {
        live.value = 'live';
        heard();
        handle(event.data ? JSON.parse(event.data) : null);
        if (kind === 'end') {
          ended = true;
          close();
          live.value = 'closed';
        }
      });
    }
  };
  const seen = () => {
    if (document.hidden) close();
    else if (source === null && !ended) open();
  };
  document.addEventListener('visibilitychange', seen);
  seen();
  return () => {
    document.removeEventListener('visibilitychange', seen);
    close();
    live.value = 'closed';
  };
}

/** Keep a run up as its live stream tells, and the log of a task of it, if one is looked at. */
export function followRun(url: string, run: LiveRun, task: string | undefined): () => void {
  run.log.value = null;
  return follow(`${url}/events${query({ log: task })}`, {
    log: (data) => run.logged(data as LogFrame),
    snapshot: (data) => {
      run.heard++;
      const all = data as { run: Run; tasks: Columns };
      run.snapshot(all.run, all.tasks);
    },
    changes: (data) => {
      run.heard++;
      run.changes(data as Columns);
    },
    run: (data) => {
      run.heard++;
      run.run(data as Partial<Run>);
    },
    end: () => {},
  });
}
