// The text of the file.

import { autocompletion, completionKeymap } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { json } from '@codemirror/lang-json';
import {
  bracketMatching,
  codeFolding,
  foldGutter,
  foldKeymap,
  indentUnit,
} from '@codemirror/language';
import { type Diagnostic, setDiagnostics } from '@codemirror/lint';
import { highlightSelectionMatches, search, searchKeymap } from '@codemirror/search';
import { EditorState, RangeSet, StateEffect, StateField } from '@codemirror/state';
import {
  Decoration,
  drawSelection,
  EditorView,
  highlightSpecialChars,
  keymap,
  lineNumbers,
} from '@codemirror/view';
import { effect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { completeText } from './completing';
import { lineEndOf, pointsIn } from './edits';
import type { Known } from './known';
import { look, shadowIn } from './look';
import type { PlacedProblem, Session } from './session';

const choose = StateEffect.define<readonly { from: number; to: number }[]>();
const chosenLine = Decoration.line({ class: 'cm-chosen' });
const MOST_LINES = 400; // that are marked

/** The lines of the tasks that are chosen. */
const chosen = StateField.define({
  create: () => Decoration.none,
  update(marks, { effects, state, changes }) {
    for (const each of effects) {
      if (!each.is(choose)) continue;
      const starts = new Set<number>();
      for (const { from, to } of each.value) {
        for (let at = from; at <= to && starts.size < MOST_LINES; ) {
          const line = state.doc.lineAt(at);
          starts.add(line.from);
          at = line.to + 1;
        }
      }
      return RangeSet.of(
        [...starts].map((start) => chosenLine.range(start)),
        true,
      );
    }
    return marks.map(changes);
  },
  provide: (field) => EditorView.decorations.from(field),
});

function diagnosticsOf(problems: readonly PlacedProblem[], text: string): Diagnostic[] {
  const at = pointsIn(text);
  return problems.map(({ offset, length, detail }) => ({
    from: at(offset),
    to: at(offset + length),
    severity: 'error',
    message: detail,
  }));
}

export function stateOf(
  text: string,
  session: Session,
  more: readonly unknown[] = [],
): EditorState {
  const unit = /\n([ \t]+)\S/.exec(text)?.[1] ?? '  ';
  return EditorState.create({
    doc: text,
    extensions: [
      EditorState.lineSeparator.of(lineEndOf(text)),
      indentUnit.of(unit),
      history(),
      EditorView.updateListener.of(({ transactions }) => {
        for (const transaction of transactions) session.heard(transaction);
      }),
      ...(more as []),
    ],
  });
}

interface Props {
  session: Session;
  known: Known;
  text: string;
  label: string;
  readOnly: boolean;
  onReady: () => void;
  /** With its text, once that has all that was done; null if the file has it. */
  onClose: (text: Promise<string | null>) => void;
}

export function Code({ session, known, text, label, readOnly, onReady, onClose }: Props) {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const root = shadowIn(host.current!);
    const view = new EditorView({
      parent: root,
      root,
      state: stateOf(text, session, [
        json(),
        EditorState.readOnly.of(readOnly),
        chosen,
        look,
        lineNumbers(),
        foldGutter(),
        codeFolding(),
        drawSelection(),
        highlightSpecialChars(),
        highlightSelectionMatches(),
        bracketMatching(),
        search(),
        autocompletion({ override: [completeText(known, session)] }),
        EditorView.contentAttributes.of({ 'aria-label': label, tabindex: '0' }),
        keymap.of([
          ...completionKeymap,
          ...searchKeymap,
          ...historyKeymap,
          ...foldKeymap,
          ...defaultKeymap,
        ]),
      ]),
    });
    session.hold(view);
    onReady();
    const stops = [
      effect(() => {
        const found = session.checked.value;
        if (!found) return;
        const { state } = view;
        view.dispatch(setDiagnostics(state, diagnosticsOf(found.problems, state.doc.toString())));
      }),
      effect(() => {
        const tasks = session.chosen.value.flatMap((id) => session.task(id) ?? []);
        view.dispatch({ effects: choose.of(session.unread.value ? [] : tasks) });
      }),
    ];
    return () => {
      for (const stop of stops) stop();
      onClose(session.close());
      view.destroy();
    };
  }, [session, known, text, label]);
  return <div class="code-of-file" ref={host} />;
}
