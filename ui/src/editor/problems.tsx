// What is wrong with the text, each with a way to its place.

import { plural, shown } from '../text';
import type { PlacedProblem, Session } from './session';

export function Problems({ session }: { session: Session }) {
  const checked = session.checked.value;
  const unread = session.unread.value;
  const refused = session.refused.value;
  const problems = checked?.problems ?? [];
  const unserved = checked?.unserved ?? [];
  const show = ({ task, offset }: PlacedProblem) => {
    if (task && session.task(task)) session.chosen.value = [task];
    session.showPoint(offset);
  };
  return (
    <section class="problems" aria-label="Problems">
      {refused && (
        <p class="bad" role="alert">
          {shown(refused, 2000)}{' '}
          <button
            type="button"
            class="plain"
            onClick={() => {
              session.refused.value = '';
            }}
          >
            Close
          </button>
        </p>
      )}
      {unread && (
        <p class="bad">
          {shown(unread, 500)}
          {session.reading.value.tasks.length > 0 && ' The graph shows what it was before.'}
        </p>
      )}
      <p class="faint" role="status">
        {checked === null
          ? 'It is being checked…'
          : problems.length > 0
            ? plural(problems.length, 'problem')
            : 'No problems'}
      </p>
      <ul>
        {problems.map((problem) => (
          <li key={`${problem.offset} ${problem.detail}`}>
            <button type="button" class="plain" onClick={() => show(problem)}>
              {shown([problem.task, problem.field].filter(Boolean).join(', ') || 'The file', 300)}
            </button>
            : {shown(problem.detail, 2000)}
          </li>
        ))}
      </ul>
      {unserved.length > 0 && (
        <details>
          <summary>No live worker can run {plural(unserved.length, 'task')}</summary>
          <ul>
            {unserved.map(({ task, reason }) => (
              <li key={task}>
                <button type="button" class="plain" onClick={() => session.choose([task])}>
                  {task}
                </button>
                : {shown(reason, 2000)}
              </li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}
