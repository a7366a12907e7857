// Saving: what changes, with a message that makes it a commit; and what is asked if others have saved.

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { Problem, request } from '../api/client';
import { Code, Waiting, Wrong } from '../parts/basics';
import { useDoing } from '../parts/doing';
import { useLoaded } from '../parts/loaded';
import { plural, shown } from '../text';
import { Beside, Words } from './beside';
import { Dialog } from './dialog';
import type { Choice, Clash, Conflict, Edited, OpenFile, Save, Side } from './file';
import type { Compared } from './types';

interface SaveProps {
  file: OpenFile;
  edited: Edited;
  isGit: boolean;
  /** How many problems the text has, as far as is known. */
  problems: number;
  onClose: () => void;
}

export function SaveDialog({ file, edited, isGit, problems, onClose }: SaveProps) {
  const message = useSignal('');
  const allow = useSignal(false);
  const { busy, error, act } = useDoing();
  const before = file.before;
  const changes = useLoaded('', async () => {
    const text = await edited.text();
    return { text, words: before === null ? null : await compared(text, before) };
  });
  const found = changes.value.value;
  const refused = error.value instanceof Problem && error.value.status === 422;
  const how: Save = { message: message.value.trim(), allowProblems: allow.value };
  const save = (event: Event) => {
    event.preventDefault();
    return act(async () => {
      await file.save(edited, how);
      onClose();
    });
  };
  return (
    <Dialog title={`Save ${file.path}`} wide onClose={onClose}>
      <form onSubmit={save}>
        {isGit && (
          <label class="block">
            Message of the commit <span class="faint">(without one nothing is committed)</span>
            <textarea
              rows={2}
              maxLength={5000}
              value={message.value}
              onInput={(event) => {
                message.value = event.currentTarget.value;
              }}
            />
          </label>
        )}
        {(problems > 0 || refused) && (
          <label class="block">
            <input
              type="checkbox"
              checked={allow.value}
              onChange={(event) => {
                allow.value = event.currentTarget.checked;
              }}
            />{' '}
            Save it though it has problems. <span class="faint">It is not published so.</span>
          </label>
        )}
        {error.value !== null && <Wrong error={error.value} />}
        <span class="actions">
          <button type="submit" disabled={busy.value || (problems > 0 && !allow.value)}>
            {busy.value ? 'Saving…' : how.message ? 'Save and commit' : 'Save'}
          </button>
        </span>
      </form>
      {changes.error.value !== null && <Wrong error={changes.error.value} />}
      {found?.words && found.text !== before && <Words of={found.words} />}
      {found && (
        <Beside before={before ?? ''} after={found.text} names={['As it was', 'As it will be']} />
      )}
      {!found && changes.error.value === null && <Waiting what="what has changed" />}
    </Dialog>
  );
}

/** In words; null if one of the texts is no JSON. */
async function compared(text: string, base: string): Promise<Compared | null> {
  try {
    return await request<Compared>('POST', '/compare', { text, base });
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 422) return null;
    throw problem;
  }
}

/** Others have saved what clashes with the text: both beside each other. */
export function ClashDialog({
  file,
  edited,
  clash,
}: {
  file: OpenFile;
  edited: Edited;
  clash: Clash;
}) {
  const sides = useSignal<ReadonlyMap<string, Side>>(new Map());
  const { busy, error, act } = useDoing();
  const mine = useSignal<string | null>(null);
  useEffect(() => {
    edited.text().then((text) => {
      mine.value = text;
    });
  }, [clash]);
  const { conflicts, theirs, why } = clash;
  const chosen = conflicts.map((each): Choice | null => {
    const side = sides.value.get(keyOf(each));
    return side ? { task: each.task, field: each.field, side } : null;
  });
  const left = chosen.filter((each) => each === null).length;
  const close = () => {
    file.clash.value = null;
  };
  return (
    <Dialog title="Somebody else has saved meanwhile" wide onClose={close}>
      {why ? (
        <p>{shown(why, 500)}</p>
      ) : (
        <p>
          Both of you have changed {plural(conflicts.length, 'field')}. Choose whose value it shall
          have; all else is merged.
        </p>
      )}
      {conflicts.map((each) => (
        <Choose
          key={keyOf(each)}
          conflict={each}
          side={sides.value.get(keyOf(each))}
          onChoose={(side) => {
            sides.value = new Map(sides.value).set(keyOf(each), side);
          }}
        />
      ))}
      {error.value !== null && <Wrong error={error.value} />}
      <span class="actions">
        {conflicts.length > 0 ? (
          <button
            type="button"
            disabled={busy.value || left > 0}
            onClick={() =>
              act(() =>
                file.settle(
                  edited,
                  chosen.filter((each) => each !== null),
                ),
              )
            }
          >
            {left > 0 ? `Save: choose ${left} more` : 'Save'}
          </button>
        ) : (
          <button
            type="button"
            disabled={busy.value}
            onClick={() => act(() => file.overrule(edited, 'mine'))}
          >
            {theirs === null ? 'Save it as a new file' : 'Save mine in place of theirs'}
          </button>
        )}
        {theirs !== null && (
          <button
            type="button"
            disabled={busy.value}
            onClick={() => act(() => file.overrule(edited, 'theirs'))}
          >
            Take theirs and forget mine
          </button>
        )}
        <button type="button" class="plain" onClick={close}>
          Go on editing
        </button>
      </span>
      {theirs !== null && mine.value !== null && (
        <Beside before={theirs} after={mine.value} names={['Theirs', 'Mine']} />
      )}
    </Dialog>
  );
}

const keyOf = ({ task, field }: Conflict) => `${task ?? ''}\n${field}`;

const worded = (value: unknown) =>
  value === null || value === undefined
    ? 'not there'
    : typeof value === 'string'
      ? value
      : JSON.stringify(value, null, 2);

interface ChooseProps {
  conflict: Conflict;
  side: Side | undefined;
  onChoose: (side: Side) => void;
}

function Choose({ conflict, side, onChoose }: ChooseProps) {
  const { task, field } = conflict;
  const name = [task === null ? "the DAG's" : `task ${task}`, field].filter(Boolean).join(' ');
  return (
    <fieldset class="choose">
      <legend>{shown(name, 300)}</legend>
      {(['mine', 'theirs'] as const).map((each) => (
        <label key={each}>
          <input
            type="radio"
            name={keyOf(conflict)}
            checked={side === each}
            onChange={() => onChoose(each)}
          />{' '}
          {each === 'mine' ? 'Mine' : 'Theirs'}
          <Code text={worded(conflict[each])} what={`the value (${each})`} />
        </label>
      ))}
    </fieldset>
  );
}
