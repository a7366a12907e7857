// When each task waited and ran, on one time for all: a Gantt chart.

import { useMemo } from 'preact/hooks';
import type { Graph, Run } from '../api/types';
import { now } from '../app';
import { criticalPath, type Durations } from '../live/plan';
import type { LiveRun } from '../live/run';
import { Rows } from '../parts/rows';
import { ENDED, lookOf } from '../states';
import { clock, duration } from '../text';

interface Props {
  live: LiveRun;
  run: Run;
  graph: Graph | null;
  usual: Durations;
  selected?: string | undefined;
  onPick: (task: string) => void;
}

export function Timeline({ live, run, graph, usual, selected, onPick }: Props) {
  const version = live.calm.value;
  live.version.value; // the rows that are seen are drawn anew with each change
  const since = run.round_at ?? run.started_at;
  const { names, path } = useMemo(() => {
    const start = (name: string) => {
      const { started_at, ready_at } = live.tasks.get(name)!;
      return started_at ?? ready_at ?? Number.POSITIVE_INFINITY;
    };
    const starts = new Map([...live.tasks.keys()].map((name) => [name, start(name)]));
    const begun = [...starts].filter(([, at]) => Number.isFinite(at));
    return {
      names: begun.sort(([, a], [, b]) => a - b).map(([name]) => name),
      path: graph ? criticalPath(graph, live.tasks) : new Set<string>(),
    };
  }, [live, version, graph]);
  if (since === null) return <p class="note">No task has begun.</p>;
  const end = run.ended_at === null ? Math.max(now.value, since + 1) : run.ended_at;
  const whole = Math.max(0.001, end - since);
  const at = (moment: number) => Math.min(100, Math.max(0, ((moment - since) / whole) * 100));
  const share = (from: number, to: number) => ({
    left: `${at(from)}%`,
    width: `${Math.max(0, at(to) - at(from))}%`,
  });
  const head = (
    <div class="axis" aria-hidden="true">
      <span />
      <span class="track">
        {[0, 0.25, 0.5, 0.75].map((part) => (
          <span key={part} style={{ left: `${part * 100}%` }}>
            {part === 0 ? clock(since) : `+${duration(whole * part)}`}
          </span>
        ))}
      </span>
      <span class="n">{duration(whole)}</span>
    </div>
  );
  return (
    <Rows
      class="timeline"
      label="Timeline of the tasks, in the order in which they began"
      count={names.length}
      height={22}
      head={head}
      focus={{ name: selected, row: selected === undefined ? -1 : names.indexOf(selected) }}
    >
      {(index) => {
        const name = names[index]!;
        const task = live.tasks.get(name)!;
        const ended = ENDED.has(task.state) ? (task.ended_at ?? end) : end;
        const waited = task.ready_at ?? task.queued_at;
        const usually = usual.get(name);
        const took = task.started_at === null ? null : ended - task.started_at;
        const says = [
          lookOf(task.state).says,
          took === null ? '' : `took ${duration(took)}`,
          usually === undefined ? '' : `usually ${duration(usually)}`,
          path.has(name) ? 'on the critical path' : '',
        ];
        return (
          <button
            type="button"
            key={name}
            class={name === selected ? 'line selected' : 'line'}
            onClick={() => onPick(name)}
            title={`${name}: ${says.filter(Boolean).join(', ')}`}
          >
            <span class="label">
              {path.has(name) && <span class="critical" title="on the critical path" />}
              {name}
            </span>
            <span class="track">
              {waited !== null && (
                <i class="waited" style={share(waited, task.started_at ?? ended)} />
              )}
              {usually !== undefined && task.started_at !== null && (
                <i class="usual" style={share(task.started_at, task.started_at + usually)} />
              )}
              {task.started_at !== null && (
                <i
                  class={`ran ${lookOf(task.state).fill}`}
                  data-state={task.state}
                  style={share(task.started_at, ended)}
                />
              )}
            </span>
            <span class="n">{took === null ? '' : duration(took)}</span>
          </button>
        );
      }}
    </Rows>
  );
}
