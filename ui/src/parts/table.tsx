// Tables of lists, and what several of them have in common.

import type { ComponentChildren } from 'preact';
import { part } from '../api/client';
import type { Dag } from '../api/types';
import { Link, Time } from './basics';

/** What a column is called; `n` has numbers, `hidden` is only said. */
type Head = string | { says: string; class?: string; hidden?: boolean; title?: string };

interface TableProps {
  heads: readonly Head[];
  /** Of a list that may be long: it scrolls. */
  tall?: boolean;
  children: ComponentChildren;
}

export function Table({ heads, tall, children }: TableProps) {
  return (
    <div class={tall ? 'tall scroll' : 'scroll'}>
      <table class="list">
        <thead>
          <tr>
            {heads.map((head) => {
              const { says, hidden, ...others } = typeof head === 'string' ? { says: head } : head;
              return (
                <th key={says} {...others}>
                  {hidden ? <span class="hidden">{says}</span> : says}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

/** Of numbers. */
export const n = (says: string, more = ''): Head => ({ says, class: `n ${more}`.trim() });
/** Not there on a phone. */
export const roomy = (says: string): Head => ({ says, class: 'roomy' });

export function DagLink({ dag }: { dag: string }) {
  return <Link to={`/dags/${part(dag)}`}>{dag}</Link>;
}

/** When a DAG is due next, or why it isn't. */
export function Due({ dag }: { dag: Dag }) {
  if (dag.paused_at) {
    return (
      <>
        paused <Time at={dag.paused_at} /> by {dag.paused_by}
      </>
    );
  }
  return dag.held ? <>held back by runs that go on</> : <Time at={dag.due} />;
}
