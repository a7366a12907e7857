// /edit/: the files; /edit/PATH: one of them as text, as a graph and as a form.

import { useSignal } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import { Show, useLoaded } from '../parts/loaded';
import { OpenFile } from '../saving/file';
import { useTitle } from '../shell';
import { beginningOf, drafts, Editor } from './editor';
import css from './editor.css' with { type: 'text' };
import { FilesPage } from './files';
import { loadKnown } from './known';

const sheet = new CSSStyleSheet();
sheet.replaceSync(css);
document.adoptedStyleSheets.push(sheet);

export function EditorPage({ file }: { file: string }) {
  return file === '' ? <FilesPage /> : <Opened path={file} />;
}

function Opened({ path }: { path: string }) {
  useTitle(path);
  const kept = useMemo(() => drafts.get(path), [path]);
  const file = useSignal(kept?.file ?? new OpenFile(path));
  const loaded = useLoaded(path, async (signal) => {
    const known = await loadKnown(signal);
    const draft = await kept?.text;
    const isDraft = typeof draft === 'string';
    const saved = isDraft ? file.value.before : await file.value.load(signal);
    return { known, saved, text: isDraft ? draft : (saved ?? beginningOf(path)) };
  });
  return (
    <Show of={loaded} what={path}>
      {(found) => <Editor key={path} file={file.value} {...found} />}
    </Show>
  );
}
