// What a task's queries will read and cost, as a worker's dry run says, once typing stops.

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { Problem, request } from '../api/client';
import { bytes, price, shown } from '../text';
import { upstreamOf } from './graph';
import type { Reading } from './reading';
import type { Session } from './session';

const PAUSE_MS = 800;

interface Estimated {
  tasks: Record<
    string,
    {
      bytes: number | null;
      billed: number | null;
      note: string;
      wrong: boolean;
      price: number | null;
      tables: string[];
      columns: string[];
    }
  >;
}

/** A DAG of that task, and of those whose results it names. */
function dagOf({ dag, tasks, index }: Reading, id: string): string | null {
  const place = index.get(id);
  if (place === undefined) return null;
  const { fields } = tasks[place]!;
  const wanted = new Set([place]);
  if (JSON.stringify(fields.params ?? {}).includes('tasks')) {
    for (const each of wanted) {
      for (const upstream of upstreamOf({ dag, tasks, index }, each)) {
        const found = index.get(upstream);
        if (found !== undefined) wanted.add(found);
      }
    }
  }
  const alone = wanted.size === 1;
  const some = [...wanted].map((each) => tasks[each]!.fields);
  return JSON.stringify({ ...dag, tasks: alone ? [{ ...fields, dependencies: [] }] : some });
}

export function Estimate({ session, task }: { session: Session; task: string }) {
  const said = useSignal<{ text: string; wrong: boolean } | null>(null);
  const text = dagOf(session.reading.value, task);
  const checked = session.checked.value;
  useEffect(() => {
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      if (session.problems.value !== 0 || session.isReadOnly) return;
      try {
        const found = await request<Estimated>('POST', '/estimate', { text }, abort.signal);
        const of = found.tasks[task];
        for (const name of of?.tables ?? []) session.tables.add(name);
        for (const name of of?.columns ?? []) session.columns.add(name);
        said.value = of ? { text: wordsOf(of), wrong: of.wrong } : null;
      } catch (problem) {
        if (abort.signal.aborted) return;
        const isBusy = problem instanceof Problem && problem.status !== 422;
        said.value = isBusy ? { text: `No estimate: ${problem.message}`, wrong: false } : null;
      }
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [session, text, task, checked, said]);
  return (
    <p class={said.value?.wrong ? 'bad' : 'faint'} role="status">
      {said.value
        ? shown(said.value.text, 1000)
        : session.isReadOnly
          ? ''
          : 'Bytes and price are told once it has no problems.'}
    </p>
  );
}

function wordsOf({ bytes: read, billed, note }: Estimated['tasks'][string]): string {
  const parts = [];
  if (read !== null) parts.push(`It will read ${bytes(read)}`);
  if (billed !== null) parts.push(`${bytes(billed)} are billed: ${price(billed)}`);
  if (note) parts.push(note);
  return parts.join('; ');
}
