// The chosen task's fields, or the DAG's.

import { useSignal } from '@preact/signals';
import type { RefObject } from 'preact';
import { exact, plural, shown } from '../text';
import { connection } from './actions';
import { change, FieldSet, MOST, More, type Form as Of } from './controls';
import type { Known } from './known';
import { familyOf, operatorOf } from './known';
import { type Fields, isFields, type TaskItem } from './reading';
import type { Session } from './session';
import { Typed } from './typed';

interface Props {
  session: Session;
  known: Known;
  idField: RefObject<HTMLInputElement | null>;
  /** Back to the graph. */
  onLeave: () => void;
}

export function Form({ session, known, idField, onLeave }: Props) {
  const { value: chosen } = session.chosen;
  const task = session.task(chosen.at(-1));
  if (chosen.length > 1) {
    return (
      <section class="form" aria-label="Form">
        <h2>{plural(chosen.length, 'task')} chosen</h2>
        <p class="faint">
          Ctrl+C copies them as text, Ctrl+D duplicates them, Delete removes them.
        </p>
      </section>
    );
  }
  const key = (event: KeyboardEvent) => {
    if (event.key === 'Escape' && !event.defaultPrevented) onLeave();
  };
  return (
    <section class="form" aria-label="Form" onKeyDown={key}>
      <fieldset class="all" aria-label="Fields" disabled={session.isReadOnly}>
        {task ? (
          <TaskForm key={task.id} {...{ session, known, idField, onLeave, task }} />
        ) : (
          <DagForm {...{ session, known }} />
        )}
      </fieldset>
    </section>
  );
}

function DagForm({ session, known }: Pick<Props, 'session' | 'known'>) {
  const { dag } = session.reading.value;
  const { due = [], zone } = session.checked.value ?? {};
  return (
    <>
      <h2>The DAG</h2>
      <FieldSet
        form={{ session, known }}
        schema={known.dag}
        templated={false}
        path={[]}
        label="Fields of the DAG"
        value={dag}
        without={['tasks']}
        below={(name) =>
          name === 'schedule_interval' &&
          due.length > 0 && (
            <p class="faint">
              Due, once it is published: {due.map((at) => exact(at, zone ?? undefined)).join('; ')}
            </p>
          )
        }
      />
    </>
  );
}

const ELSEWHERE = ['task_id', 'operator', 'script', 'params', 'dependencies'];

function TaskForm({ session, known, idField, onLeave, task }: Props & { task: TaskItem }) {
  const { fields, id } = task;
  const form: Of = { session, known, task: id };
  const operator = operatorOf(known, fields);
  const rename = async (input: HTMLInputElement) => {
    const to = input.value.trim();
    if (to === id) return;
    if (await session.edit([{ edit: 'rename_task', task: id, to }], [to])) onLeave();
    else input.value = id;
  };
  return (
    <>
      <label class="field">
        <span class="name">
          <b>task_id</b>
        </span>
        <Typed
          field={idField}
          value={id}
          onCommit={rename}
          onKeyDown={(event) => event.key === 'Enter' && event.currentTarget.blur()}
        />
      </label>
      {typeof fields.script === 'string' ? (
        <label class="field">
          <span class="name">
            <b>script</b> <span class="faint">path of a script</span>
          </span>
          <Typed value={fields.script} onCommit={({ value }) => change(form, ['script'], value)} />
        </label>
      ) : (
        <label class="field">
          <span class="name">
            <b>operator</b> <span class="faint">{operator?.help}</span>
          </span>
          <select
            value={String(fields.operator ?? '')}
            onChange={(event) => change(form, ['operator'], event.currentTarget.value)}
          >
            {!operator && <option>{shown(String(fields.operator ?? ''), 200)}</option>}
            {[...new Set(known.operators.map(familyOf))].map((family) => (
              <optgroup key={family} label={family}>
                {known.operators
                  .filter((each) => familyOf(each) === family && !each.is_script)
                  .map(({ name }) => (
                    <option key={name}>{name}</option>
                  ))}
              </optgroup>
            ))}
          </select>
        </label>
      )}
      <h2>params</h2>
      <FieldSet
        form={form}
        schema={operator?.params ?? {}}
        templated
        path={['params']}
        label="params"
        value={paramsOf(fields)}
      />
      <Dependencies session={session} task={task} />
      <h2>More of the task</h2>
      <FieldSet
        form={form}
        schema={known.task}
        templated={false}
        path={[]}
        label="More fields"
        value={fields}
        without={ELSEWHERE}
      />
    </>
  );
}

/** Params as an object; pyDag's files have them as a text in single quotes. */
export function paramsOf({ params }: Fields): Fields {
  if (isFields(params)) return params;
  if (typeof params !== 'string') return {};
  for (const text of [params, params.replaceAll("'", '"')]) {
    try {
      const found: unknown = JSON.parse(text);
      if (isFields(found)) return found;
    } catch {}
  }
  return {};
}

function Dependencies({ session, task }: { session: Session; task: TaskItem }) {
  const typed = useSignal('');
  const reading = session.reading.value;
  const given = Array.isArray(task.fields.dependencies) ? task.fields.dependencies : [];
  const ids = given.filter((each) => typeof each === 'string');
  const others = [...reading.index.keys()].filter((id) => id !== task.id && !ids.includes(id));
  const add = (upstream: string) => {
    const edits = connection(reading, upstream, task.id);
    if (typeof edits === 'string') session.refused.value = edits;
    else session.edit(edits);
    typed.value = '';
  };
  return (
    <>
      <h2>dependencies</h2>
      <ul class="dependencies" aria-label="dependencies">
        {ids.slice(0, MOST).map((upstream) => (
          <li key={upstream}>
            <button type="button" class="plain" onClick={() => session.choose([upstream])}>
              {upstream}
            </button>
            <button
              type="button"
              class="plain"
              aria-label={`No longer wait for ${upstream}`}
              onClick={() => session.edit([{ edit: 'remove_dependency', task: task.id, upstream }])}
            >
              ×
            </button>
          </li>
        ))}
      </ul>
      <More of={ids.length} />
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (reading.index.has(typed.value)) add(typed.value);
        }}
      >
        <input
          list="upstream-tasks"
          aria-label="Wait for the task"
          placeholder="wait for…"
          value={typed.value}
          onInput={(event) => {
            typed.value = event.currentTarget.value;
          }}
        />
        <datalist id="upstream-tasks">
          {others
            .filter((id) => id.includes(typed.value))
            .slice(0, 100)
            .map((id) => (
              <option key={id} value={id} />
            ))}
        </datalist>{' '}
        <button type="submit" disabled={!others.includes(typed.value)}>
          Add
        </button>
      </form>
    </>
  );
}
