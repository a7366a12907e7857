// A text of the form: params, templates and SQL, with completion. What is typed becomes one step of the
// file's history once typing stops.

import { autocompletion, completionKeymap } from '@codemirror/autocomplete';
import { defaultKeymap } from '@codemirror/commands';
import { SQLDialect, StandardSQL, sql } from '@codemirror/lang-sql';
import { EditorState } from '@codemirror/state';
import { drawSelection, EditorView, keymap } from '@codemirror/view';
import { useEffect, useRef } from 'preact/hooks';
import { completeTables, completeTemplate } from './completing';
import type { Known } from './known';
import { look, shadowIn } from './look';
import type { Session } from './session';

const PAUSE_MS = 500;

const BIGQUERY = SQLDialect.define({
  ...StandardSQL.spec,
  identifierQuotes: '`',
  hashComments: true,
  doubleQuotedStrings: true,
  keywords: `${StandardSQL.spec.keywords ?? ''} qualify window unnest struct array safe_cast except replace pivot unpivot tablesample merge if assert export load declare begin exception raise`,
});

interface Props {
  session: Session;
  known: Known;
  value: string;
  label: string;
  sql?: boolean;
  /** Whether it is in the text of the file now. */
  onCommit: (value: string) => Promise<boolean>;
}

export function TextField({ session, known, value, label, sql: isSql = false, onCommit }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const isTyping = useRef((): boolean => false);
  const now = useRef({ onCommit, value });
  now.current = { onCommit, value };

  useEffect(() => {
    let timer = 0; // while what was typed is not told yet
    let isLost = false; // what was told could not be done
    const isLate = () => timer !== 0 || isLost;
    isTyping.current = isLate;
    const commit = async () => {
      clearTimeout(timer);
      timer = 0;
      isLost = false;
      const text = made.state.doc.toString();
      if (text !== now.current.value) isLost = !(await now.current.onCommit(text));
    };
    const words = completeTemplate(known, () => session.reading.value);
    const stop = session.before(() => isLate() && commit());
    const root = shadowIn(host.current!);
    const made = new EditorView({
      parent: root,
      root,
      state: EditorState.create({
        doc: value,
        extensions: [
          look,
          EditorState.readOnly.of(session.isReadOnly),
          EditorView.editable.of(!session.isReadOnly),
          drawSelection(),
          EditorView.lineWrapping,
          autocompletion(isSql ? {} : { override: [words] }),
          isSql
            ? [
                sql({ dialect: BIGQUERY, upperCaseKeywords: true }),
                BIGQUERY.language.data.of({ autocomplete: words }),
                BIGQUERY.language.data.of({
                  autocomplete: completeTables(session),
                }),
              ]
            : [],
          EditorView.contentAttributes.of({ 'aria-label': label, tabindex: '0' }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged && !update.transactions.some((t) => t.isUserEvent('given'))) {
              clearTimeout(timer);
              timer = setTimeout(commit, PAUSE_MS);
            }
            if (update.focusChanged && !made.hasFocus && timer) commit();
          }),
          keymap.of([
            ...completionKeymap,
            {
              key: 'Mod-z',
              run: () => {
                session.settled().then(session.undo);
                return true;
              },
            },
            { key: 'Mod-y', mac: 'Mod-Shift-z', run: session.redo },
            { key: 'Mod-Shift-z', run: session.redo },
            ...defaultKeymap,
          ]),
        ],
      }),
    });
    view.current = made;
    return () => {
      stop();
      if (isLate()) commit();
      made.destroy();
    };
  }, [session, known, isSql, label]);

  // What was changed elsewhere, or taken back.
  useEffect(() => {
    const { state } = view.current!;
    if (isTyping.current() || state.doc.toString() === value) return;
    view.current!.dispatch({
      changes: { from: 0, to: state.doc.length, insert: value },
      userEvent: 'given',
    });
  }, [value]);

  return <div class={isSql ? 'text-field sql' : 'text-field'} ref={host} />;
}
