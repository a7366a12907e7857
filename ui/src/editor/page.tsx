// /edit/: the files; /edit/PATH: one of them as text and as a graph.

import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { request } from '../api/client';
import { Link } from '../parts/basics';
import { Show, useLoaded } from '../parts/loaded';
import { useTitle } from '../shell';
import { Canvas, type Desk } from './canvas';
import { Code } from './code';
import css from './editor.css' with { type: 'text' };
import { drafts, type File, load } from './file';
import { FilesPage } from './files';
import { Problems } from './problems';
import { Save } from './save';
import { Session } from './session';

const sheet = new CSSStyleSheet();
sheet.replaceSync(css);
document.adoptedStyleSheets.push(sheet);

export function EditorPage({ file }: { file: string }) {
  return file === '' ? <FilesPage /> : <Opened path={file} />;
}

function Opened({ path }: { path: string }) {
  useTitle(path);
  const file = useLoaded(path, (signal) =>
    drafts.has(path) ? Promise.resolve(drafts.get(path)!.file) : load(path, signal),
  );
  return (
    <Show of={file} what={path}>
      {(found) => <Editor key={path} loaded={found} />}
    </Show>
  );
}

type Place = 'graph' | 'text';
const PLACES: readonly Place[] = ['graph', 'text'];

function Editor({ loaded }: { loaded: File }) {
  const file = useSignal(loaded);
  const place = useSignal<Place>('graph'); // on a phone, which shows one of them
  const { session, text, desk } = useMemo(() => {
    const session = new Session((path, body, signal) => request('POST', path, body, signal));
    const desk: Desk = { canvas: null, under: () => undefined };
    return { session, desk, text: drafts.get(loaded.path)?.text ?? loaded.text };
  }, [loaded]);
  const { path } = loaded;

  useEffect(() => {
    const leave = (event: BeforeUnloadEvent) => {
      if (session.isChanged.value) event.preventDefault();
    };
    addEventListener('beforeunload', leave);
    return () => removeEventListener('beforeunload', leave);
  }, [session]);

  const go = useMemo(() => () => {}, []);
  const key = (event: KeyboardEvent) => {
    const ctrl = event.ctrlKey || event.metaKey;
    if (ctrl && event.key === 'z' && !event.shiftKey) session.undo();
    else if (ctrl && (event.key === 'y' || (event.key.toLowerCase() === 'z' && event.shiftKey))) {
      session.redo();
    } else return;
    event.preventDefault();
  };
  return (
    <div class="edit" data-place={place.value}>
      <header class="edit-head">
        <h1>
          <Link to="/edit/">Files</Link> / {path}
        </h1>
        <span class="faint" role="status">
          {session.isChanged.value
            ? 'not saved'
            : file.value.etag === null
              ? 'a new file'
              : 'saved'}
        </span>
        <span class="actions">
          <button type="button" onClick={session.undo}>
            Undo
          </button>
          <button type="button" onClick={session.redo}>
            Redo
          </button>
          <Save
            session={session}
            file={file.value}
            onSaved={(saved) => {
              file.value = saved;
            }}
          />
        </span>
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
      </nav>
      <section class="of-graph" aria-label="Graph">
        <Canvas session={session} desk={desk} go={go} onKey={key} />
      </section>
      <section class="of-text" aria-label="Text">
        <Code
          session={session}
          text={text}
          label={`Text of ${path}`}
          onReady={() => {
            if (file.value.etag !== null) session.saved.value = session.asSaved(loaded.text);
          }}
          onClose={() => {
            const { value: kept } = file;
            if (session.isChanged.value) drafts.set(path, { file: kept, text: session.whole() });
            else drafts.delete(path);
          }}
        />
        <Problems session={session} />
      </section>
    </div>
  );
}
