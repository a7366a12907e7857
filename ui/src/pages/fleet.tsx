// Who is there to run tasks, what they run, and which runs wait for whom.

import { get, part } from '../api/client';
import type { Page, Queue, Workers } from '../api/types';
import { now } from '../app';
import { Empty, Link, Time } from '../parts/basics';
import { Show, useLoaded } from '../parts/loaded';
import { n, Table } from '../parts/table';
import { useTitle } from '../shell';
import { plural, shown } from '../text';

export function FleetPage() {
  useTitle('Fleet');
  const fleet = useLoaded(
    '',
    async (signal) => {
      const [members, queues] = await Promise.all([
        get<Workers>('/workers', {}, signal),
        get<Page<Queue>>('/queues', {}, signal),
      ]);
      return { ...members, queues: queues.items };
    },
    2,
  );
  return (
    <div class="page">
      <div class="head">
        <h1>Fleet</h1>
      </div>
      <Show of={fleet} what="the list of workers">
        {({ workers, coordinators, queues }) => (
          <>
            <h2>Queues</h2>
            {queues.length === 0 ? (
              <p class="faint">No worker listens to any queue.</p>
            ) : (
              <Queues queues={queues} />
            )}
            <h2>Workers</h2>
            {workers.length === 0 ? (
              <Empty title="No worker is there">
                <p>Runs wait until one is. On a host that shall run tasks:</p>
                <pre>pydag worker -c 8</pre>
              </Empty>
            ) : (
              <Members members={workers} are="workers" />
            )}
            <h2>Coordinators</h2>
            {coordinators.length === 0 ? (
              <Empty title="No coordinator is there">
                <p>Runs that have begun go on; new ones wait to be planned. On one host:</p>
                <pre>pydag coordinator</pre>
              </Empty>
            ) : (
              <Members members={coordinators} are="coordinators" />
            )}
          </>
        )}
      </Show>
    </div>
  );
}

type Anybody = Workers['workers'][number] | Workers['coordinators'][number];

function Queues({ queues }: { queues: Queue[] }) {
  return (
    <Table heads={['Queue', n('Slots'), n('Messages'), 'Workers', 'Runs that wait']}>
      {queues.map((queue) => (
        <tr key={queue.name}>
          <td>
            {queue.name}
            {queue.refusals.slice(0, 3).map(({ worker, need, reason }) => (
              <span key={`${worker} ${need}`} class="bad block">
                {worker} gave tasks back: {shown(reason, 200)}
              </span>
            ))}
          </td>
          <td class="n">{queue.slots}</td>
          <td class="n">{queue.messages}</td>
          <td>{queue.workers.join(', ') || <span class="bad">no worker listens to it</span>}</td>
          <td>
            {queue.waiting_runs.slice(0, 3).map((run) => (
              <Link key={run} to={`/runs/${part(run)}`} class="block">
                {run}
              </Link>
            ))}
            {queue.waiting_runs.length > 3 && `and ${queue.waiting_runs.length - 3} more`}
          </td>
        </tr>
      ))}
    </Table>
  );
}

function Members({ members, are }: { members: Anybody[]; are: 'workers' | 'coordinators' }) {
  return (
    <Table
      heads={[
        'Name',
        ...(are === 'workers' ? ['Slots', 'What it runs'] : []),
        'Heard of',
        'Can do',
      ]}
    >
      {members.map((member) => (
        <tr key={`${member.name} ${member.process}`}>
          <td>{member.name}</td>
          {'running' in member && <Work worker={member} />}
          <td class={now.value - member.heard_at > 10 ? 'bad' : ''}>
            <Time at={member.heard_at} />
          </td>
          <td>
            <Abilities info={member.info} />
          </td>
        </tr>
      ))}
    </Table>
  );
}

function Work({ worker }: { worker: Workers['workers'][number] }) {
  const slots = Number(worker.info.slots ?? 0);
  return (
    <>
      <td>
        <span class="slots" aria-hidden="true">
          {Array.from({ length: Math.min(slots, 32) }, (_, i) => (
            <i key={i} class={i < worker.busy ? 'busy' : ''} />
          ))}
        </span>{' '}
        {worker.busy} of {slots} busy
      </td>
      <td>
        {worker.running.map((each) => {
          const [run = '', task = ''] = each.split('/');
          return (
            <Link key={each} to={`/runs/${part(run)}/tasks/${part(task)}`} class="block">
              {task}
            </Link>
          );
        })}
      </td>
    </>
  );
}

function Abilities({ info }: { info: Record<string, unknown> }) {
  const entries = Object.entries(info).filter(([, value]) => value !== null && value !== '');
  if (entries.length === 0) return null;
  return (
    <details>
      <summary>{plural(entries.length, 'fact')}</summary>
      <dl>
        {entries.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              {Array.isArray(value)
                ? shown(value.join(', '))
                : typeof value === 'object'
                  ? shown(JSON.stringify(value))
                  : shown(String(value))}
            </dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
