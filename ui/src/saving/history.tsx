// Who saved the file, its commits, and what it was in each of them.

import { useSignal } from '@preact/signals';
import { get } from '../api/client';
import { Empty, Time } from '../parts/basics';
import { Show, useLoaded } from '../parts/loaded';
import { Table } from '../parts/table';
import { plural, shown } from '../text';
import { Beside } from './beside';
import { Dialog } from './dialog';
import type { Edited, OpenFile } from './file';
import type { FileHistory } from './types';

const DONE = { save: 'saved', delete: 'deleted', failed: 'was not saved after all' } as const;

interface HistoryProps {
  file: OpenFile;
  edited: Edited;
  onClose: () => void;
}

export function HistoryDialog({ file, edited, onClose }: HistoryProps) {
  const chosen = useSignal('');
  const history = useLoaded(file.url, (signal) =>
    get<FileHistory>(`${file.url}/history`, {}, signal),
  );
  return (
    <Dialog title={`History of ${file.path}`} wide onClose={onClose}>
      <Show of={history} what="the file's history">
        {({ commits, saves, is_git }) => (
          <>
            {commits.length > 0 ? (
              <Table heads={['Commit', 'When', 'Who', 'Message']}>
                {commits.map(({ commit, at, author, message }) => (
                  <tr key={commit}>
                    <td class="id">
                      <button
                        type="button"
                        class="plain"
                        aria-pressed={chosen.value === commit}
                        onClick={() => {
                          chosen.value = commit;
                        }}
                      >
                        {commit.slice(0, 10)}
                      </button>
                    </td>
                    <td>
                      <Time at={at} />
                    </td>
                    <td>{shown(author, 100)}</td>
                    <td class="name">{shown(message, 300)}</td>
                  </tr>
                ))}
              </Table>
            ) : (
              <Empty title="It has no commits">
                <p>
                  {is_git
                    ? 'A save with a message makes one.'
                    : 'The folder is in no git work tree, so nothing keeps what a save replaces: `git init` in it does from then on.'}
                </p>
              </Empty>
            )}
            {chosen.value && (
              <Past
                key={chosen.value}
                file={file}
                edited={edited}
                commit={chosen.value}
                onDone={onClose}
              />
            )}
            {saves.length > 0 && (
              <details>
                <summary>{plural(saves.length, 'save')} from the browser and by REST</summary>
                <Table heads={['When', 'Who', 'What']}>
                  {saves.map(({ at, by, kind, problems }) => (
                    <tr key={at}>
                      <td>
                        <Time at={at} />
                      </td>
                      <td>{shown(by, 100)}</td>
                      <td>
                        {DONE[kind]}
                        {problems > 0 && ` with ${plural(problems, 'problem')}`}
                      </td>
                    </tr>
                  ))}
                </Table>
              </details>
            )}
          </>
        )}
      </Show>
    </Dialog>
  );
}

interface PastProps {
  file: OpenFile;
  edited: Edited;
  commit: string;
  onDone: () => void;
}

/** What is edited beside what a commit has. */
function Past({ file, edited, commit, onDone }: PastProps) {
  const both = useLoaded(commit, async (signal) => {
    const { text } = await get<{ text: string }>(`${file.url}/history/${commit}`, {}, signal);
    return { past: text, now: await edited.text() };
  });
  return (
    <Show of={both} what="the file as it was">
      {({ past, now }) => (
        <>
          <p>
            <button
              type="button"
              disabled={past === now}
              onClick={() => {
                edited.replace(past);
                onDone();
              }}
            >
              Go back to it
            </button>{' '}
            <span class="faint">The text becomes this one; nothing is saved by that.</span>
          </p>
          <Beside before={past} after={now} names={[commit.slice(0, 10), 'The text now']} />
        </>
      )}
    </Show>
  );
}
