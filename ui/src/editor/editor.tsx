// One file: its palette, graph, text and form, and what is done with all of it by keys.

import { type Signal, useSignal } from '@preact/signals';
import { useMemo, useRef } from 'preact/hooks';
import { request } from '../api/client';
import { may } from '../app';
import type { LiveRun } from '../live/run';
import { Link } from '../parts/basics';
import { Saving } from '../saving/bar';
import type { Edited, OpenFile } from '../saving/file';
import { plural } from '../text';
import { addition, copied, pasted, tasksIn } from './actions';
import { Canvas, type Desk, type Place } from './canvas';
import { Code } from './code';
import { Form } from './form';
import type { Known, Operator } from './known';
import { Palette } from './palette';
import { Problems } from './problems';
import { type Post, Session } from './session';

const PLACES: readonly Place[] = ['graph', 'text', 'form', 'palette'];

/** What was edited when its page was left, by path: the text, or null if it was saved. */
export const drafts = new Map<string, { file: OpenFile; text: Promise<string | null> }>();

/** The text of a new file. */
export function beginningOf(path: string): string {
  const id = path.replace(/\.json$/, '').replace(/[^A-Za-z0-9_.-]+/g, '.');
  return `${JSON.stringify({ dag_id: id, tasks: [] }, null, 2)}\n`;
}

const post: Post = (path, body, signal) => request('POST', path, body, signal);

interface Props {
  file: OpenFile;
  known: Known;
  /** What the file has; null if there is none yet. */
  saved: string | null;
  text: string;
}

export function Editor({ file, known, saved, text }: Props) {
  const { path } = file;
  const place = useSignal<Place>('graph'); // on a phone, which shows one of them
  const watched: Signal<LiveRun | null> = useSignal<LiveRun | null>(null);
  const root = useRef<HTMLDivElement>(null);
  const search = useRef<HTMLInputElement>(null);
  const idField = useRef<HTMLInputElement>(null);
  const session = useMemo(() => new Session(post, !may('editor')), [file]);
  const desk = useMemo<Desk>(() => ({ canvas: null, under: () => undefined }), [file]);
  const edited = useMemo(
    (): Edited => ({
      text: async () => {
        await session.settled();
        return session.whole();
      },
      replace: (text) => session.replace(text),
      saved: (text) => session.isSaved(text),
      isUnsettled: () => session.isUnsettled(),
    }),
    [session],
  );

  const go = useMemo(
    () => (to: Place) => {
      place.value = to;
      requestAnimationFrame(() => {
        if (to === 'graph') root.current?.querySelector<HTMLElement>('.graph')?.focus();
        else if (to === 'palette') search.current?.focus();
        else if (to === 'form') {
          root.current
            ?.querySelector<HTMLElement>('.form :is(input, select, .text-field)')
            ?.focus();
        }
      });
    },
    [place],
  );

  const chosen = () => session.chosen.value;
  const remove = () =>
    session.edit(
      chosen().map((task) => ({ edit: 'remove_task', task }) as const),
      [],
    );
  const paste = async (text: string) => {
    const tasks = tasksIn(text);
    if (tasks.length === 0) {
      session.refused.value = 'The clipboard has no tasks: a JSON list of them, or a DAG.';
      return;
    }
    try {
      const { edits, ids } = await pasted(session.reading.value, tasks, post);
      await session.edit(edits, ids);
    } catch (error) {
      session.refused.value = error instanceof Error ? error.message : String(error);
    }
  };
  const add = async (
    operator: Operator,
    { at, chained }: { at?: { clientX: number; clientY: number }; chained?: boolean },
  ) => {
    await session.settled();
    const target = at ? desk.under(at) : undefined;
    if (at && target === undefined) return; // it was dropped elsewhere
    const upstream = target ? [target] : chained ? chosen() : [];
    const { edit, id } = addition(session.reading.value, operator, upstream);
    if (await session.edit([edit], [id])) go('graph');
  };

  const key = (event: KeyboardEvent) => {
    const ctrl = event.ctrlKey || event.metaKey;
    const name = event.key.toLowerCase();
    if (ctrl && name === 'z') (event.shiftKey ? session.redo : session.undo)();
    else if (ctrl && name === 'y') session.redo();
    else if (ctrl && name === 'a') session.choose([...session.reading.value.index.keys()]);
    else if (ctrl && name === 'd') {
      if (chosen().length > 0) paste(copied(session.reading.value, chosen()));
    } else if (ctrl || event.altKey) return;
    else if (name === 'delete' || name === 'backspace') {
      if (chosen().length > 0) remove();
    } else if (name === 'f2') {
      place.value = 'form';
      requestAnimationFrame(() => idField.current?.select());
    } else if (name === 'n') go('palette');
    else return;
    event.preventDefault();
  };
  const copy = (event: ClipboardEvent) => {
    if (chosen().length === 0) return;
    event.clipboardData?.setData('text/plain', copied(session.reading.value, chosen()));
    event.preventDefault();
    if (event.type === 'cut') remove();
  };

  const problems = session.checked.value?.problems.length ?? 0;
  return (
    <div class="edit" data-place={place.value} ref={root}>
      <header class="edit-head">
        <h1>
          <Link to="/edit/">Files</Link> / {path}
        </h1>
        <span class="actions">
          <button type="button" onClick={session.undo}>
            Undo
          </button>
          <button type="button" onClick={session.redo}>
            Redo
          </button>
        </span>
        <Saving
          file={file}
          edited={edited}
          isChanged={session.isChanged.value}
          problems={session.problems.value ?? 0}
          task={session.chosen.value.at(-1)}
          watched={watched}
        />
      </header>
      <nav class="places" aria-label="Parts of the editor">
        {PLACES.map((each) => (
          <button
            key={each}
            type="button"
            class="tab"
            aria-pressed={place.value === each}
            onClick={() => {
              place.value = each;
            }}
          >
            {each}
          </button>
        ))}
        {problems > 0 && <span class="bad">{plural(problems, 'problem')}</span>}
      </nav>
      <section class="of-graph" aria-label="Graph">
        <Canvas
          session={session}
          desk={desk}
          watched={watched.value}
          go={go}
          onKey={key}
          onCopy={copy}
          onPaste={(event) => {
            event.preventDefault();
            paste(event.clipboardData?.getData('text/plain') ?? '');
          }}
        />
      </section>
      <section class="of-text" aria-label="Text">
        <Code
          session={session}
          text={text}
          known={known}
          label={`Text of ${path}`}
          readOnly={!may('editor')}
          onReady={() => session.isSaved(saved)}
          onClose={(text) => {
            drafts.set(path, { file, text });
          }}
        />
        {may('editor') ? (
          <Problems session={session} />
        ) : (
          <p class="problems">
            You can look at it. To change and to check it, you need the role editor.
          </p>
        )}
      </section>
      <Form session={session} known={known} idField={idField} onLeave={() => go('graph')} />
      <Palette
        operators={known.operators}
        isReadOnly={session.isReadOnly}
        search={search}
        onAdd={add}
      />
    </div>
  );
}
