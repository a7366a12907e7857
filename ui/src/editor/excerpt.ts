// Of a big file the server gets what an edit is about, and the tasks at its beginning, which show its
// style: so an edit of one of 5,000 tasks costs what one of a few does.

import type { Edit, TextChange } from './edits';
import { pointsIn } from './edits';
import type { Reading } from './reading';

const BIG = 100_000; // characters
const FIRST = 40; // tasks

// As `style_of` (dag/editing/style.py) finds out whether lists and objects are on lines of their own.
const LOOKED_AT = 200_000; // characters
const ON_ONE_LINE = /"(?:[^"\\]|\\.)*"|[[{][ \t]*(?=[^\s\]}])/g;
const ON_LINES = /[[{][ \t]*\n\s*(?!"(?:dag|dag_id|tasks|task_id)"|[[{\]}])\S/;

const isAscii = (text: string) => !/[^\0-\x7f]/.test(text);

const isOnOneLine = (text: string) =>
  [...text.matchAll(ON_ONE_LINE)].some(([found]) => !found.startsWith('"'));

export interface Excerpt {
  text: string;
  /** The changes of the excerpt as changes of the whole text, in UTF-16. */
  whole(changes: readonly TextChange[]): { from: number; to: number; insert: string }[];
}

/** Null if the edits may be about all of it. */
export function excerptOf(
  text: string,
  { tasks, index }: Reading,
  edits: readonly Edit[],
  big = BIG,
  first = FIRST,
): Excerpt | null {
  if (text.length < big || text.includes('\r') || index.size !== tasks.length) return null;
  const kept = new Set([tasks.length - 1]);
  for (let place = 0; place < Math.min(first, tasks.length); place++) kept.add(place);
  for (const edit of edits) {
    if (edit.edit === 'rename_task' || edit.edit === 'remove_task') return null;
    const ids = [
      typeof edit.task === 'object' ? edit.task.task_id : edit.task,
      'upstream' in edit ? edit.upstream : undefined,
      'after' in edit ? edit.after : undefined,
    ];
    for (const id of ids) {
      const place = typeof id === 'string' ? index.get(id) : undefined;
      if (place !== undefined) kept.add(place);
    }
  }
  for (const shows of [isOnOneLine, (part: string) => ON_LINES.test(part)]) {
    const place = tasks.findIndex(
      ({ to }, n) => to > LOOKED_AT || shows(text.slice(n === 0 ? 0 : tasks[n - 1]!.to, to)),
    );
    if (place >= 0) kept.add(place);
  }
  // Each task with what stands between it and the one before.
  const pieces: { from: number; at: number; text: string }[] = [];
  let at = 0;
  const add = (from: number, to: number) => {
    pieces.push({ from, at, text: text.slice(from, to) });
    at += to - from;
  };
  for (const place of [...kept].sort((a, b) => a - b)) {
    add(place === 0 ? 0 : tasks[place - 1]!.to, tasks[place]!.to);
  }
  add(tasks.at(-1)!.to, text.length);
  const short = pieces.map((piece) => piece.text).join('');
  // Where all is ASCII, other characters are written as the text has them: by escapes.
  if (short.includes('\\u') && isAscii(short) && !isAscii(text)) return null;
  return {
    text: short,
    whole(changes) {
      const units = pointsIn(short);
      const pieceOf = (unit: number) => pieces.findLast(({ at }) => at < unit) ?? pieces[0]!;
      return changes.map(({ begin, end, text: insert }) => {
        const [from, to] = [units(begin), units(end)];
        const piece = pieceOf(to);
        if (from < piece.at)
          throw new Error('The edit changes more than it should: edit the text.');
        const moved = piece.from - piece.at;
        return { from: from + moved, to: to + moved, insert };
      });
    },
  };
}
