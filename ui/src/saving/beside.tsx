// Two states of a text beside each other, and in words what one has otherwise.

import { useMemo } from 'preact/hooks';
import { number, plural, shown } from '../text';
import { difference, type Row } from './lines';
import type { Compared, What } from './types';

const MOST_ROWS = 1000;
const MOST_WORDS = 100;
const MOST_CHARACTERS = 2000; // of a line

interface BesideProps {
  before: string;
  after: string;
  /** What both are called. */
  names: readonly [before: string, after: string];
}

export function Beside({ before, after, names }: BesideProps) {
  const hunks = useMemo(() => difference(before, after), [before, after]);
  if (hunks.length === 0) {
    return <p class="faint">{before === after ? 'Nothing differs.' : 'Only line ends differ.'}</p>;
  }
  let left = MOST_ROWS;
  const told = hunks.filter((hunk) => {
    left -= hunk.rows.length;
    return left + hunk.rows.length > 0;
  });
  const rest = hunks.length - told.length;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by keyboard
    <section class="scroll beside" tabIndex={0} aria-label={`${names[0]} beside ${names[1]}`}>
      <table>
        <colgroup>
          <col class="n" />
          <col />
          <col class="n" />
          <col />
        </colgroup>
        <thead>
          <tr>
            <th colSpan={2}>{names[0]}</th>
            <th colSpan={2}>{names[1]}</th>
          </tr>
        </thead>
        {told.map((hunk) => (
          <tbody key={hunk.right}>
            {numbered(hunk.rows.slice(0, MOST_ROWS), hunk.left, hunk.right)}
          </tbody>
        ))}
      </table>
      {rest > 0 && <p class="faint">{plural(rest, 'more place')} differ.</p>}
    </section>
  );
}

function numbered(rows: readonly Row[], left: number, right: number) {
  let [i, j] = [left, right];
  return rows.map(([a, b]) => {
    const isSame = a === b;
    const numbers = [a === null ? null : i++, b === null ? null : j++] as const;
    return (
      <tr key={numbers.join()}>
        <Line text={a} at={numbers[0]} kind={isSame ? '' : 'gone'} />
        <Line text={b} at={numbers[1]} kind={isSame ? '' : 'new'} />
      </tr>
    );
  });
}

function Line({ text, at, kind }: { text: string | null; at: number | null; kind: string }) {
  const content = text === null ? '' : shown(text, MOST_CHARACTERS);
  return (
    <>
      <td class="n">{at}</td>
      <td class={text === null ? 'nothing' : kind}>
        {kind === 'gone' && text !== null ? <del>{content}</del> : null}
        {kind === 'new' && text !== null ? <ins>{content}</ins> : null}
        {kind === '' ? content : null}
      </td>
    </>
  );
}

const SIGNS: Record<What, string> = { added: '+', removed: '−', changed: '~' };
const SAYS: Record<What, string> = { added: 'new', removed: 'removed', changed: 'changed' };

/** Which fields, tasks and edges differ. */
export function Words({ of }: { of: Pick<Compared, 'fields' | 'tasks' | 'edges'> }) {
  const lines: [what: What, text: string][] = [
    ...of.fields.map((name): [What, string] => ['changed', `the DAG's ${name}`]),
    ...of.tasks.map(({ task, what, fields }): [What, string] => [
      what,
      `task ${task}${fields.length > 0 ? `: ${fields.join(', ')}` : ''}`,
    ]),
    ...of.edges.map(({ upstream, task, what }): [What, string] => [
      what,
      `edge ${upstream} → ${task}`,
    ]),
  ];
  if (lines.length === 0) return <p class="faint">No field, task or edge differs.</p>;
  return (
    <ul class="words" aria-label="What differs">
      {lines.slice(0, MOST_WORDS).map(([what, text]) => (
        <li key={`${what} ${text}`} class={what}>
          <b aria-hidden="true">{SIGNS[what]}</b> <span class="hidden">{SAYS[what]} </span>
          {shown(text, 500)}
        </li>
      ))}
      {lines.length > MOST_WORDS && <li>and {number(lines.length - MOST_WORDS)} more</li>}
    </ul>
  );
}
