// The params of a run: a control for each, by the type of its default.

import { useId } from 'preact/hooks';
import { shown } from '../text';

export type Dag = Record<string, unknown> & { tasks?: unknown };

/** The object with the DAG's fields in a file's text; null if it has none. */
export function dagIn(text: string): Dag | null {
  try {
    const root = JSON.parse(text.replace(/^\ufeff/, ''));
    const dag = root?.dag && !root.tasks ? root.dag : root;
    return typeof dag === 'object' && dag !== null && !Array.isArray(dag) ? dag : null;
  } catch {
    return null;
  }
}

/** The params that a run of it may be given, with their defaults; `undefined`: it has none. */
export function paramsOf(dag: Dag): Map<string, unknown> {
  const given = typeof dag.params === 'object' && dag.params !== null ? dag.params : {};
  const found = new Map<string, unknown>(Object.entries(given));
  for (const [, name] of JSON.stringify(dag.tasks ?? []).matchAll(/\bparams\.([A-Za-z_]\w*)/g)) {
    if (!found.has(name!)) found.set(name!, undefined);
  }
  return found;
}

/** What somebody has typed for a param whose default is that; undefined if it can't be read. */
export function readTyped(typed: string, example: unknown): unknown {
  if (typeof example === 'string') return typed;
  if (typeof example === 'number') {
    const value = Number(typed);
    return typed.trim() && Number.isFinite(value) ? value : undefined;
  }
  try {
    return JSON.parse(typed);
  } catch {
    // Of a param without a default a text is meant as it is; of a list or an object it is a mistake.
    return example === undefined ? typed : undefined;
  }
}

export const typedOf = (value: unknown): string =>
  value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value);

interface ParamProps {
  name: string;
  example: unknown;
  typed: string;
  onType: (typed: string) => void;
}

export function Param({ name, example, typed, onType }: ParamProps) {
  const isWrong = typed !== '' && readTyped(typed, example) === undefined;
  const id = useId();
  const isFlag = typeof example === 'boolean';
  const listened = {
    id,
    value: typed,
    'aria-invalid': isWrong,
    onInput: (event: { currentTarget: { value: string } }) => onType(event.currentTarget.value),
  };
  return (
    <p>
      <label for={id} class="id">
        {shown(name, 100)}
      </label>{' '}
      {example === undefined && <span class="faint">has no default</span>}
      {isFlag ? (
        <input
          id={id}
          type="checkbox"
          checked={typed === 'true'}
          onChange={(event) => onType(String(event.currentTarget.checked))}
        />
      ) : typeof example === 'number' ? (
        <input type="number" step="any" {...listened} />
      ) : typeof example === 'object' || (typeof example === 'string' && example.includes('\n')) ? (
        <textarea rows={2} {...listened} />
      ) : (
        <input {...listened} />
      )}{' '}
      {isWrong && <span class="bad">This is no {kindOf(example)}.</span>}
    </p>
  );
}

const kindOf = (example: unknown) =>
  typeof example === 'number'
    ? 'number'
    : Array.isArray(example)
      ? 'list as JSON has it'
      : 'value as JSON has it';
