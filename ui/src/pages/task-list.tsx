// All tasks of a run as a list: it says what the graph says.

import { useSignal } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import type { Graph, TaskNow } from '../api/types';
import { now } from '../app';
import type { LiveRun } from '../live/run';
import { Glyph } from '../parts/basics';
import { Rows } from '../parts/rows';
import { byImportance, ENDED, lookOf } from '../states';
import { duration, plural } from '../text';

const byName = new Intl.Collator('en', { numeric: true });

interface Props {
  live: LiveRun;
  graph: Graph | null;
  selected?: string | undefined;
  onPick: (task: string) => void;
}

export function TaskList({ live, graph, selected, onPick }: Props) {
  const text = useSignal('');
  const state = useSignal('');
  const version = live.calm.value;
  live.version.value; // the rows that are seen are drawn anew with each change
  const wanted = text.value.toLowerCase();
  const only = state.value;
  const names = useMemo(() => {
    const fits = ([name, task]: [string, TaskNow]) =>
      name.toLowerCase().includes(wanted) && (!only || task.state === only);
    return [...live.tasks]
      .filter(fits)
      .sort(([a, x], [b, y]) => byImportance(x.state, y.state) || byName.compare(a, b))
      .map(([name]) => name);
  }, [live, version, wanted, only]);
  const upstream = useMemo(
    () =>
      new Map(
        graph?.task.map((name, i) => [name, graph.upstream[i]!.map((up) => graph.task[up]!)]),
      ),
    [graph],
  );
  const states = [...live.counts.value.keys()].sort(byImportance);
  return (
    <div class="task-list">
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <label>
          Task contains{' '}
          <input
            value={text.value}
            spellcheck={false}
            onInput={(event) => {
              text.value = event.currentTarget.value;
            }}
          />
        </label>
        <label>
          State{' '}
          <select
            value={only}
            onChange={(event) => {
              state.value = event.currentTarget.value;
            }}
          >
            <option value="">any</option>
            {states.map((each) => (
              <option key={each} value={each}>
                {lookOf(each).says}
              </option>
            ))}
          </select>
        </label>
        <span class="faint" role="status">
          {plural(names.length, 'task')}
        </span>
      </form>
      <Rows
        class="tasks"
        label="Tasks, the most important states first"
        count={names.length}
        height={28}
        focus={{ name: selected, row: selected === undefined ? -1 : names.indexOf(selected) }}
      >
        {(index) => {
          const name = names[index]!;
          const task = live.tasks.get(name)!;
          const waits = upstream.get(name) ?? [];
          return (
            <button
              type="button"
              key={name}
              class={name === selected ? 'line selected' : 'line'}
              onClick={() => onPick(name)}
            >
              <span class="state">
                <Glyph state={task.state} />
                {lookOf(task.state).says}
              </span>
              <span class="label">{name}</span>
              <span class="n">{tookOf(task)}</span>
              <span class="faint try">{task.try_number > 1 ? `try ${task.try_number}` : ''}</span>
              <span class="faint after">
                {waits.length === 0
                  ? ''
                  : `after ${waits.slice(0, 3).join(', ')}${waits.length > 3 ? ` and ${waits.length - 3} more` : ''}`}
              </span>
            </button>
          );
        }}
      </Rows>
    </div>
  );
}

function tookOf(task: TaskNow): string {
  if (task.started_at === null) return '';
  const end = ENDED.has(task.state) ? (task.ended_at ?? task.started_at) : now.value;
  return duration(end - task.started_at);
}
