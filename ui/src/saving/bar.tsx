// What is done with a file as a whole: save, look back, compare, run. An editor shows it above its text.

import { type Signal, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { get, Problem } from '../api/client';
import { may } from '../app';
import type { LiveRun } from '../live/run';
import { useLoaded } from '../parts/loaded';
import { shown } from '../text';
import { ChangedDialog } from './changed';
import type { Edited, OpenFile } from './file';
import { HistoryDialog } from './history';
import { RunDialog, Watch } from './run';
import { ClashDialog, SaveDialog } from './save';
import css from './saving.css' with { type: 'text' };
import type { FileList } from './types';

const sheet = new CSSStyleSheet();
sheet.replaceSync(css);
document.adoptedStyleSheets.push(sheet);

interface SavingProps {
  file: OpenFile;
  edited: Edited;
  /** Whether the text is another one than the file. */
  isChanged: boolean;
  /** How many problems the text has, as far as is known. */
  problems: number;
  /** The task that is chosen, to run from it on. */
  task?: string | undefined;
  /** The run whose states the editor draws on its graph; it is set here. */
  watched: Signal<LiveRun | null>;
}

export function Saving({ file, edited, isChanged, problems, task, watched }: SavingProps) {
  const open = useSignal<'save' | 'history' | 'changed' | 'run' | null>(null);
  const run = useSignal<{ id: string; turn: number } | null>(null);
  const error = useSignal('');
  const folder = useLoaded('', (signal) => get<FileList>('/files', {}, signal));
  const close = () => {
    open.value = null;
  };
  const save = async () => {
    error.value = '';
    if (problems > 0) {
      open.value = 'save';
      return;
    }
    try {
      await file.save(edited);
    } catch (problem) {
      if (problem instanceof Problem && problem.status === 422) open.value = 'save';
      else error.value = problem instanceof Problem ? problem.message : String(problem);
    }
  };
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey || event.key.toLowerCase() !== 's')
        return;
      event.preventDefault();
      if (open.value === null && file.clash.value === null && may('editor')) save();
    };
    const onLeave = (event: BeforeUnloadEvent) => {
      if (edited.isUnsettled() || isChanged) event.preventDefault();
    };
    addEventListener('keydown', onKey);
    addEventListener('beforeunload', onLeave);
    return () => {
      removeEventListener('keydown', onKey);
      removeEventListener('beforeunload', onLeave);
    };
  });
  const clash = file.clash.value;
  const button = (name: NonNullable<typeof open.value>, label: string, needs = 'viewer') => (
    <button
      type="button"
      disabled={!may(needs)}
      title={may(needs) ? undefined : `This needs the role ${needs}.`}
      onClick={() => {
        open.value = name;
      }}
    >
      {label}
    </button>
  );
  return (
    <div class="saving-bar">
      {button('save', 'Save…', 'editor')}
      {button('history', 'History')}
      {button('changed', 'Changed since it ran', 'editor')}
      {button('run', 'Run…', 'editor')}
      <span role="status" class={error.value ? 'bad' : 'faint'}>
        {error.value || (isChanged ? 'not saved' : shown(file.said.value, 300))}
      </span>
      {run.value && (
        <Watch
          runId={run.value.id}
          turn={run.value.turn}
          watched={watched}
          onClose={() => {
            run.value = null;
          }}
        />
      )}
      {open.value === 'save' && (
        <SaveDialog
          file={file}
          edited={edited}
          isGit={folder.value.value?.is_git ?? false}
          problems={problems}
          onClose={close}
        />
      )}
      {open.value === 'history' && <HistoryDialog file={file} edited={edited} onClose={close} />}
      {open.value === 'changed' && <ChangedDialog edited={edited} onClose={close} />}
      {open.value === 'run' && (
        <RunDialog
          path={file.path}
          edited={edited}
          task={task}
          onRun={(id) => {
            run.value = { id, turn: (run.value?.turn ?? 0) + 1 };
            close();
          }}
          onClose={close}
        />
      )}
      {clash && open.value === null && <ClashDialog file={file} edited={edited} clash={clash} />}
    </div>
  );
}
