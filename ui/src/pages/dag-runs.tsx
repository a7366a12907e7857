// The last runs of a DAG: what each took, and what its tasks did in them.

import { get, part } from '../api/client';
import type { Columns, RunItem } from '../api/types';
import { familyOf } from '../graph/families';
import { Glyph, Link } from '../parts/basics';
import { Show, useLoaded } from '../parts/loaded';
import { byImportance, lookOf } from '../states';
import { duration } from '../text';

const MATRIX_RUNS = 12;
const MATRIX_ROWS = 60;
const MATRIX_TASKS = 60_000; // of all its runs together

/** The runs as bars: what each took, and how it ended. */
export function Strip({ runs }: { runs: RunItem[] }) {
  const longest = Math.max(0.001, ...runs.map((run) => run.took ?? 0));
  return (
    <>
      <ol class="strip" aria-label="The last runs, the newest at the right: what each took">
        {runs.map((run) => (
          <li key={run.run_id}>
            <Link
              to={`/runs/${part(run.run_id)}`}
              title={`${run.run_id}: ${run.state}${run.took === null ? '' : `, ${duration(run.took)}`}`}
              aria-label={`${run.run_id}: ${run.state}`}
            >
              <i
                class={lookOf(run.state).fill}
                data-state={run.state}
                style={{ height: `${Math.max(4, ((run.took ?? 0) / longest) * 100)}%` }}
              />
              <Glyph state={run.state} />
            </Link>
          </li>
        ))}
      </ol>
      <p class="faint">the longest took {duration(longest)}</p>
    </>
  );
}

/** The newest runs, not more than have so many tasks together. */
export function readable(runs: RunItem[]): RunItem[] {
  let tasks = 0;
  return runs.slice(0, MATRIX_RUNS).filter((run, i) => {
    tasks += run.counts.total;
    return i === 0 || tasks <= MATRIX_TASKS;
  });
}

/** A run's tasks in the order in which they began; those that never did come last. */
function inOrder({ task, started_at }: Columns): string[] {
  const at = (i: number) => started_at[i] ?? Number.POSITIVE_INFINITY;
  return [...task.keys()].sort((a, b) => at(a) - at(b) || a - b).map((i) => task[i]!);
}

/** Runs beside families: the most important state that the tasks of a family had. */
export function Matrix({ runs }: { runs: RunItem[] }) {
  const key = runs.map((run) => run.run_id + run.state).join();
  const all = useLoaded(key, (signal) =>
    Promise.all(
      runs.map((run) => get<Columns>(`/runs/${part(run.run_id)}/tasks`, { as: 'columns' }, signal)),
    ),
  );
  return (
    <Show of={all} what="what its tasks did">
      {(columns) => {
        const rows = new Map<string, Map<number, string>>();
        for (const name of inOrder(columns.at(-1)!)) rows.set(familyOf(name), new Map());
        columns.forEach(({ task, state, states }, run) => {
          task.forEach((name, i) => {
            const family = familyOf(name);
            const row = rows.get(family) ?? new Map<number, string>();
            rows.set(family, row);
            const now = states[state[i]!] ?? 'none';
            const before = row.get(run);
            if (before === undefined || byImportance(now, before) < 0) row.set(run, now);
          });
        });
        return (
          <div class="scroll">
            <table class="matrix">
              <thead>
                <tr>
                  <th>Tasks by name</th>
                  {runs.map((run) => (
                    <th key={run.run_id}>
                      <Link
                        to={`/runs/${part(run.run_id)}`}
                        title={run.run_id}
                        aria-label={run.run_id}
                      >
                        <Glyph state={run.state} />
                      </Link>
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {[...rows].slice(0, MATRIX_ROWS).map(([family, row]) => (
                  <tr key={family}>
                    <th scope="row" title={family}>
                      {family}
                    </th>
                    {runs.map((run, i) => {
                      const state = row.get(i);
                      return (
                        <td key={run.run_id} title={state && lookOf(state).says}>
                          {state && (
                            <>
                              <Glyph state={state} />
                              <span class="hidden">{lookOf(state).says}</span>
                            </>
                          )}
                        </td>
                      );
                    })}
                  </tr>
                ))}
              </tbody>
            </table>
            {rows.size > MATRIX_ROWS && <p class="faint">and {rows.size - MATRIX_ROWS} more</p>}
          </div>
        );
      }}
    </Show>
  );
}
