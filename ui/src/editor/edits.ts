// Edits by hand, as POST /edit takes them, and its answer as changes of the editor's text.

import type { Text } from '@codemirror/state';
import type { Fields, Json } from './reading';

/** Within a task's fields, or the DAG's: ['params', 'sql']. */
export type Path = readonly [string, ...(string | number)[]];

export type Edit =
  | { edit: 'set'; path: Path; value: Json; task?: string }
  | { edit: 'remove'; path: Path; task?: string }
  | { edit: 'add_task'; task: Fields; after?: string }
  | { edit: 'remove_task'; task: string }
  | { edit: 'rename_task'; task: string; to: string }
  | { edit: 'add_dependency' | 'remove_dependency'; task: string; upstream: string };

/** Of characters (code points) of the whole text. */
export interface TextChange {
  begin: number;
  end: number;
  text: string;
}

/** What ends the lines of a text; what else looks like an end stays within a line. */
export function lineEndOf(text: string): string {
  const ends = new Set(text.match(/\r\n|\r|\n/g));
  return ends.size === 1 ? [...ends][0]! : '\n';
}

/** The same changes of a document, in which each end of a line is one character, in UTF-16. */
export function changesOf(
  changes: readonly TextChange[],
  text: string,
  lineEnd: string,
): { from: number; to: number; insert: string }[] {
  const units = pointsIn(text);
  let read = 0;
  let ends = 0; // of lines, so far
  const at = (point: number) => {
    const unit = units(point);
    if (lineEnd.length === 1) return unit;
    for (
      let end = text.indexOf(lineEnd, read);
      end >= 0 && end < unit;
      end = text.indexOf(lineEnd, read)
    ) {
      ends++;
      read = end + lineEnd.length;
    }
    return unit - ends;
  };
  return changes.map(({ begin, end, text: insert }) => ({ from: at(begin), to: at(end), insert }));
}

/** Of a place in code points that in UTF-16. */
export function pointsIn(text: string): (point: number) => number {
  if (!/[\ud800-\udfff]/.test(text)) return (point) => Math.min(point, text.length);
  const starts = [0];
  for (const character of text) starts.push(starts.at(-1)! + character.length);
  return (point) => starts[point] ?? text.length;
}

export const wholeOf = (doc: Text, lineEnd: string) => doc.sliceString(0, doc.length, lineEnd);
