// The DAG files of the folder.

import { useSignal } from '@preact/signals';
import { get, Problem } from '../api/client';
import { go, may } from '../app';
import { Empty, Link, Time, Wrong } from '../parts/basics';
import { useLoaded } from '../parts/loaded';
import { n, Table } from '../parts/table';
import type { FileList } from '../saving/types';
import { useTitle } from '../shell';
import { bytes } from '../text';
import { addressOf } from './address';

export function FilesPage() {
  useTitle('Files');
  const files = useLoaded('', (signal) => get<FileList>('/files', {}, signal), 10);
  const error = files.error.value;
  const found = files.value.value;
  return (
    <div class="page">
      <div class="head">
        <h1>Files</h1>
      </div>
      {error instanceof Problem && error.status === 404 ? (
        <Empty title="No folder of DAG files is shown here">
          <p>Start the server with the folder whose files are to be edited:</p>
          <pre>pydag web --files DIR</pre>
          <p>
            or <code>pydag up --dags DIR</code>, which publishes them, too.
          </p>
        </Empty>
      ) : (
        error !== null && <Wrong error={error} retry={files.reload} />
      )}
      {found && (
        <>
          <NewFile taken={new Set(found.items.map(({ path }) => path))} />
          {found.items.length === 0 ? (
            <Empty title="No files yet">
              <p>A name makes the first one.</p>
            </Empty>
          ) : (
            <Table heads={['File', n('Size'), 'Changed']}>
              {found.items.map((file) => (
                <tr key={file.path}>
                  <td>
                    <Link to={addressOf(file.path)}>{file.path}</Link>
                  </td>
                  <td class="n">{bytes(file.bytes)}</td>
                  <td>
                    <Time at={file.modified_at} />
                  </td>
                </tr>
              ))}
            </Table>
          )}
        </>
      )}
      {!found && error === null && <p class="note">Waiting for the files…</p>}
    </div>
  );
}

function NewFile({ taken }: { taken: ReadonlySet<string> }) {
  const name = useSignal('');
  if (!may('editor')) return null;
  const path = name.value.trim() && `${name.value.trim().replace(/\.json$/, '')}.json`;
  return (
    <form
      class="filters"
      onSubmit={(event) => {
        event.preventDefault();
        if (path) go(addressOf(path));
      }}
    >
      <label>
        New file{' '}
        <input
          value={name.value}
          placeholder="team/sales"
          onInput={(event) => {
            name.value = event.currentTarget.value;
          }}
        />
      </label>
      <button type="submit" disabled={!path}>
        {taken.has(path) ? 'Open' : 'New'}
      </button>
    </form>
  );
}
