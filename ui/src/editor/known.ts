// What the server knows of DAG files: operators and their params, fields, and what templates may name.

import { get } from '../api/client';
import type { Schema } from './schema';

export interface Operator {
  name: string;
  help: string;
  queue: string;
  is_script: boolean;
  params: Schema | null;
}

interface Templates {
  names: string[];
  filters: { name: string; arguments: string[] }[];
}

export interface Known {
  operators: readonly Operator[];
  templates: Templates;
  /** Of the fields of a DAG and of a task. */
  dag: Schema;
  task: Schema;
}

export async function loadKnown(signal: AbortSignal): Promise<Known> {
  const [operators, templates, schema] = await Promise.all([
    get<{ items: Operator[] }>('/operators', {}, signal),
    get<Templates>('/templates', {}, signal),
    get<{ $defs: Record<string, Schema> }>('/schema', {}, signal),
  ]);
  const { $defs } = schema;
  return {
    operators: operators.items,
    templates,
    dag: { ...$defs.Dag!, $defs },
    task: { ...$defs.Task!, $defs },
  };
}

/** The operator that a task names, or that of its script. */
export function operatorOf(
  known: Known,
  { operator, script }: { operator?: unknown; script?: unknown },
): Operator | undefined {
  const name =
    typeof operator === 'string'
      ? operator
      : typeof script === 'string'
        ? `script.${script.split('.').at(-2)}`
        : '';
  return known.operators.find((each) => each.name === name);
}

export const familyOf = ({ name }: Operator) => name.split('.')[0]!;
