// One control for each kind of value, with a switch between the kinds that it may have.

import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { number } from '../text';
import type { Path } from './edits';
import { Estimate } from './estimate';
import { TextField } from './field';
import type { Known } from './known';
import { type Fields, isFields, type Json } from './reading';
import { beginningOf, type Kind, kindOf, kindsOf, type Schema, shownFields } from './schema';
import type { Session } from './session';
import { Typed } from './typed';

export interface Form {
  session: Session;
  known: Known;
  /** The task whose fields they are; undefined: the DAG's. */
  task?: string;
}

interface ValueProps {
  form: Form;
  schema: Schema;
  defs: Record<string, Schema>;
  /** Whether each value may be a template instead. */
  templated: boolean;
  path: Path;
  label: string;
  value: Json | undefined;
}

const SAYS: Record<Kind['kind'], string> = {
  enum: 'choice',
  boolean: 'yes or no',
  number: 'number',
  text: 'text',
  list: 'list',
  fields: 'fields',
  map: 'names and values',
  json: 'JSON',
  template: '{{ }}',
};

/** Sets what stands at that path, or removes it. */
export function change(
  { session, task }: Form,
  path: Path,
  value: Json | undefined,
): Promise<boolean> {
  const where = task === undefined ? { path } : { path, task };
  return session.edit([
    value === undefined ? { edit: 'remove', ...where } : { edit: 'set', value, ...where },
  ]);
}

export function Value({ form, schema, defs, templated, path, label, value }: ValueProps) {
  const kinds = kindsOf(schema, defs);
  if (templated && !kinds.some(({ kind }) => kind === 'text' || kind === 'json')) {
    kinds.push({ kind: 'template' });
  }
  const at = kindOf(value, kinds);
  const kind = kinds[at]!;
  const set = (to: Json | undefined) => change(form, path, to);
  const { session, known } = form;
  return (
    <>
      {kinds.length > 1 && (
        <select
          class="kind"
          aria-label={`${label}: kind of value`}
          value={at}
          onChange={(event) => set(beginningOf(kinds[Number(event.currentTarget.value)]!))}
        >
          {kinds.map((each, place) => (
            <option key={each.kind} value={place}>
              {SAYS[each.kind]}
            </option>
          ))}
        </select>
      )}
      {kind.kind === 'text' || kind.kind === 'template' ? (
        <>
          <TextField
            session={session}
            known={known}
            value={typeof value === 'string' ? value : ''}
            label={label}
            sql={kind.kind === 'text' && kind.sql}
            onCommit={set}
          />
          {kind.kind === 'text' && kind.sql && form.task && (
            <Estimate session={session} task={form.task} />
          )}
        </>
      ) : kind.kind === 'enum' ? (
        <select
          aria-label={label}
          value={String(value ?? '')}
          onChange={(event) => set(event.currentTarget.value || undefined)}
        >
          {(value === undefined || !kind.options.includes(value)) && (
            <option value={String(value ?? '')}>{String(value ?? '')}</option>
          )}
          {kind.options.map((option) => (
            <option key={String(option)}>{String(option)}</option>
          ))}
        </select>
      ) : kind.kind === 'boolean' ? (
        <input
          type="checkbox"
          aria-label={label}
          checked={value === true}
          onChange={(event) => set(event.currentTarget.checked)}
        />
      ) : kind.kind === 'number' ? (
        <Typed
          type="number"
          aria-label={label}
          step={kind.whole ? 1 : 'any'}
          min={kind.schema.minimum}
          max={kind.schema.maximum}
          value={typeof value === 'number' ? value : ''}
          onCommit={({ valueAsNumber: typed }) => {
            if (!Number.isNaN(typed)) set(typed);
          }}
        />
      ) : kind.kind === 'list' ? (
        <Items {...{ form, defs, templated, path, label }} item={kind.item} value={value} />
      ) : kind.kind === 'fields' ? (
        <FieldSet
          {...{ form, templated, path }}
          schema={kind.schema}
          value={isFields(value) ? value : {}}
          label={label}
        />
      ) : kind.kind === 'map' ? (
        <Pairs
          {...{ form, defs, templated, path, label }}
          of={kind.value}
          value={isFields(value) ? value : {}}
        />
      ) : (
        <AnyJson label={label} value={value} onSet={set} />
      )}
    </>
  );
}

/** Any value: JSON, or a text as it is where it is no JSON. */
function AnyJson({
  label,
  value,
  onSet,
}: {
  label: string;
  value: Json | undefined;
  onSet: (value: Json) => void;
}) {
  return (
    <Typed
      class="json"
      aria-label={`${label}: JSON, or a text`}
      value={written(value)}
      onCommit={(input) => onSet(typedIn(input.value))}
    />
  );
}

function typedIn(typed: string): Json {
  try {
    return JSON.parse(typed);
  } catch {
    return typed;
  }
}

function written(value: Json | undefined): string {
  if (value === undefined) return '';
  return typeof value === 'string' && typedIn(value) === value ? value : JSON.stringify(value);
}

/** So many items of a list, names or tasks have controls; the text has all. */
export const MOST = 100;

export function More({ of }: { of: number }) {
  return of > MOST ? <p class="faint">and {number(of - MOST)} more, in the text</p> : null;
}

type PartProps = Omit<ValueProps, 'schema'>;

function Items({ item, value, ...props }: PartProps & { item: Schema }) {
  const items = Array.isArray(value) ? value : [];
  const { form, path, label } = props;
  return (
    <fieldset class="items" aria-label={label}>
      {items.slice(0, MOST).map((each, place) => (
        <div class="item" key={place}>
          <Value
            {...props}
            schema={item}
            path={[...path, place] as Path}
            label={`${label} ${place + 1}`}
            value={each}
          />
          <button
            type="button"
            class="plain"
            aria-label={`Remove ${label} ${place + 1}`}
            onClick={() => change(form, [...path, place] as Path, undefined)}
          >
            ×
          </button>
        </div>
      ))}
      <More of={items.length} />
      <button
        type="button"
        onClick={() => {
          const first = beginningOf(kindsOf(item, props.defs)[0] ?? { kind: 'json' });
          change(form, path, [...items, first]);
        }}
      >
        Add
      </button>
    </fieldset>
  );
}

function NewName({ label, onAdd }: { label: string; onAdd: (name: string) => void }) {
  const name = useSignal('');
  return (
    <form
      class="item"
      onSubmit={(event) => {
        event.preventDefault();
        if (name.value.trim()) onAdd(name.value.trim());
        name.value = '';
      }}
    >
      <input
        aria-label={`${label}: new name`}
        placeholder="name"
        value={name.value}
        onInput={(event) => {
          name.value = event.currentTarget.value;
        }}
      />
      <button type="submit">Add</button>
    </form>
  );
}

function Pairs({ of, value, ...props }: PartProps & { of: Schema; value: Fields }) {
  const { form, path, label } = props;
  return (
    <fieldset class="items" aria-label={label}>
      {Object.entries(value)
        .slice(0, MOST)
        .map(([key, each]) => (
          <div class="item" key={key}>
            <span class="id">{key}</span>
            <Value {...props} schema={of} path={[...path, key] as Path} label={key} value={each} />
            <button
              type="button"
              class="plain"
              aria-label={`Remove ${key}`}
              onClick={() => change(form, [...path, key] as Path, undefined)}
            >
              ×
            </button>
          </div>
        ))}
      <More of={Object.keys(value).length} />
      <NewName
        label={label}
        onAdd={(key) => {
          if (key in value) return;
          const first = beginningOf(kindsOf(of, props.defs)[0] ?? { kind: 'json' });
          change(form, [...path, key] as Path, first ?? '');
        }}
      />
    </fieldset>
  );
}

interface FieldSetProps {
  form: Form;
  schema: Schema;
  templated: boolean;
  path: readonly (string | number)[];
  label: string;
  value: Fields;
  /** Fields that are shown elsewhere. */
  without?: readonly string[];
  /** What is shown below a field. */
  below?: (name: string) => ComponentChildren;
}

/** The fields that there are or must be, and a choice of the others. */
export function FieldSet(props: FieldSetProps) {
  const { form, schema, templated, path, label, value, without = [], below } = props;
  const asked = useSignal<ReadonlySet<string>>(new Set());
  const defs = schema.$defs ?? {};
  const { shown, left } = shownFields(schema, value, asked.value);
  const hidden = new Set(without);
  return (
    <fieldset class="fields" aria-label={label}>
      {shown
        .filter((name) => !hidden.has(name))
        .slice(0, MOST)
        .map((name) => {
          const about = schema.properties?.[name] ?? {};
          const isRequired = schema.required?.includes(name) ?? false;
          return (
            <div class="field" key={name}>
              <span class="name">
                <b>{name}</b>
                {about.description && <span class="faint"> {about.description}</span>}
                {(name in value || asked.value.has(name)) && !isRequired && (
                  <button
                    type="button"
                    class="plain"
                    aria-label={`Remove ${name}`}
                    onClick={() => {
                      asked.value = new Set([...asked.value].filter((each) => each !== name));
                      if (name in value)
                        change(form, [...path, name] as unknown as Path, undefined);
                    }}
                  >
                    ×
                  </button>
                )}
              </span>
              <div class="value">
                <Value
                  {...{ form, defs, templated }}
                  schema={about}
                  path={[...path, name] as unknown as Path}
                  label={name}
                  value={
                    name in value ? value[name] : about.default === null ? undefined : about.default
                  }
                />
              </div>
              {below?.(name)}
            </div>
          );
        })}
      {left.some((name) => !hidden.has(name)) && (
        <select
          class="more"
          aria-label={`${label}: add one`}
          value=""
          onChange={(event) => {
            const name = event.currentTarget.value;
            asked.value = new Set([...asked.value, name]);
            event.currentTarget.value = '';
          }}
        >
          <option value="">Add…</option>
          {left
            .filter((name) => !hidden.has(name))
            .map((name) => (
              <option key={name} value={name} title={schema.properties?.[name]?.description}>
                {name}
              </option>
            ))}
        </select>
      )}
      {schema.additionalProperties !== false && (
        <NewName
          label={label}
          onAdd={(name) => {
            if (!(name in value)) change(form, [...path, name] as unknown as Path, '');
          }}
        />
      )}
    </fieldset>
  );
}
