// The published DAGs.

import { get, part } from '../api/client';
import type { Dags } from '../api/types';
import { Code, Empty, Link, State, Time } from '../parts/basics';
import { Show, useLoaded } from '../parts/loaded';
import { DagLink, Due, n, roomy, Table } from '../parts/table';
import { useTitle } from '../shell';
import { shown } from '../text';

export function DagsPage() {
  useTitle('DAGs');
  const dags = useLoaded('', (signal) => get<Dags>('/dags', {}, signal), 5);
  return (
    <div class="page">
      <div class="head">
        <h1>DAGs</h1>
      </div>
      <Show of={dags} what="the published DAGs">
        {({ items, problems }) => (
          <>
            {Object.entries(problems).map(([file, problem]) => (
              <div key={file} class="note wrong" role="alert">
                <h2>{shown(file, 500)} can't be published</h2>
                <Code text={problem} what="the problem" />
              </div>
            ))}
            {items.length === 0 ? (
              <Empty title="No published DAGs">
                <p>
                  Files that are submitted by hand need not be published. A DAG that shall be
                  started by its name, or by its schedule, is made known by:
                </p>
                <pre>pydag publish FILE</pre>
              </Empty>
            ) : (
              <Table
                heads={[
                  'DAG',
                  'Last run',
                  roomy('Ended'),
                  'Schedule',
                  'Due',
                  n('Version', 'roomy'),
                  roomy('Published'),
                  roomy('File'),
                ]}
              >
                {items.map((dag) => (
                  <tr key={dag.dag_id}>
                    <td>
                      <DagLink dag={dag.dag_id} />
                    </td>
                    <td>
                      {dag.last_run ? (
                        <Link to={`/runs/${part(dag.last_run)}`}>
                          <State state={dag.last_state ?? 'running'} />
                        </Link>
                      ) : (
                        <span class="faint">none yet</span>
                      )}
                    </td>
                    <td class="roomy">
                      <Time at={dag.last_ended} />
                    </td>
                    <td>{dag.schedule_text ?? <span class="faint">by hand</span>}</td>
                    <td>
                      <Due dag={dag} />
                    </td>
                    <td class="n roomy">{dag.version}</td>
                    <td class="roomy">
                      <Time at={dag.published_at} />
                    </td>
                    <td class="id roomy">{shown(dag.source, 500)}</td>
                  </tr>
                ))}
              </Table>
            )}
          </>
        )}
      </Show>
    </div>
  );
}
