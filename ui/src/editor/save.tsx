// Saves the text, if the file is still what it was made of.

import { useSignal } from '@preact/signals';
import { Problem, request } from '../api/client';
import { may } from '../app';
import { Wrong } from '../parts/basics';
import { plural } from '../text';
import { encoded, type File } from './file';
import type { Session } from './session';

interface Props {
  session: Session;
  file: File;
  onSaved: (file: File) => void;
}

export function Save({ session, file, onSaved }: Props) {
  const busy = useSignal(false);
  const error = useSignal<unknown>(null);
  const save = async (allow_problems = false) => {
    busy.value = true;
    error.value = null;
    try {
      await session.settled();
      const text = session.whole();
      const { doc } = session.state;
      const path = `/files/${encoded(file.path)}${allow_problems ? '?allow_problems=true' : ''}`;
      const known: Record<string, string> =
        file.etag === null ? { 'If-None-Match': '*' } : { 'If-Match': `"${file.etag}"` };
      const { etag } = await request<{ etag: string }>('PUT', path, { text }, undefined, known);
      session.saved.value = doc;
      onSaved({ path: file.path, text, etag });
    } catch (problem) {
      error.value = problem;
    } finally {
      busy.value = false;
    }
  };
  const { value: found } = error;
  const wrong = found instanceof Problem && found.status === 422 ? found.errors.length : 0;
  return (
    <div class="action">
      <button
        type="button"
        disabled={busy.value || !session.isChanged.value || !may('editor')}
        title={may('editor') ? undefined : 'This needs the role editor.'}
        onClick={() => save()}
      >
        {busy.value ? 'Save…' : 'Save'}
      </button>
      {found !== null && (
        <div class="menu">
          {wrong > 0 ? (
            <p>It has {plural(wrong, 'problem')}. No file with problems is ever published.</p>
          ) : (
            <Wrong error={found} />
          )}
          <p class="actions">
            {wrong > 0 && (
              <button type="button" onClick={() => save(true)}>
                Save it nevertheless
              </button>
            )}
            <button
              type="button"
              class="plain"
              onClick={() => {
                error.value = null;
              }}
            >
              Close
            </button>
          </p>
        </div>
      )}
    </div>
  );
}
