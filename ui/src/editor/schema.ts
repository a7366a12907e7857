// JSON Schema as forms read it: of which kinds a value may be.

import type { Fields, Json } from './reading';
import { isFields } from './reading';

export interface Schema {
  type?: string;
  title?: string;
  description?: string;
  default?: Json;
  enum?: Json[];
  const?: Json;
  anyOf?: Schema[];
  $ref?: string;
  $defs?: Record<string, Schema>;
  items?: Schema;
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  patternProperties?: Record<string, Schema>;
  required?: string[];
  contentMediaType?: string;
  minimum?: number;
  maximum?: number;
}

/** One of the kinds of control: what is chosen, typed, listed, or has fields; `json` may be anything. */
export type Kind =
  | { kind: 'enum'; options: Json[] }
  | { kind: 'boolean' }
  | { kind: 'number'; whole: boolean; schema: Schema }
  | { kind: 'text'; sql: boolean }
  | { kind: 'list'; item: Schema }
  | { kind: 'fields'; schema: Schema }
  | { kind: 'map'; value: Schema }
  | { kind: 'json' }
  | { kind: 'template' };

const isTemplate = (value: unknown): boolean => typeof value === 'string' && value.includes('{{');

function resolved(schema: Schema, defs: Record<string, Schema>): Schema {
  const name = schema.$ref?.split('/').at(-1);
  return name
    ? { ...defs[name]!, ...(schema.description ? { description: schema.description } : {}) }
    : schema;
}

/** The kinds that a value may have; null is none of them, since what is null isn't there. */
export function kindsOf(given: Schema, defs: Record<string, Schema>): Kind[] {
  const schema = resolved(given, defs);
  if (schema.anyOf) {
    const kinds = schema.anyOf.flatMap((each) => kindsOf(each, defs));
    const isText = kinds.some(({ kind }) => kind === 'text'); // which any choice is, too
    return kinds.filter(
      ({ kind }, at) =>
        kinds.findIndex((other) => other.kind === kind) === at && !(isText && kind === 'enum'),
    );
  }
  if (schema.enum) return [{ kind: 'enum', options: schema.enum }];
  if (schema.const === '') return [{ kind: 'text', sql: false }];
  if (schema.const !== undefined) return [{ kind: 'enum', options: [schema.const] }];
  switch (schema.type) {
    case 'null':
      return [];
    case 'boolean':
      return [{ kind: 'boolean' }];
    case 'integer':
    case 'number':
      return [{ kind: 'number', whole: schema.type === 'integer', schema }];
    case 'string':
      return [{ kind: 'text', sql: schema.contentMediaType === 'application/sql' }];
    case 'array':
      return [{ kind: 'list', item: schema.items ?? {} }];
    case 'object': {
      if (schema.properties) return [{ kind: 'fields', schema: { ...schema, $defs: defs } }];
      const [pattern] = Object.values(schema.patternProperties ?? {});
      const { additionalProperties: more } = schema;
      return [{ kind: 'map', value: pattern ?? (typeof more === 'object' ? more : {}) }];
    }
    default:
      return [{ kind: 'json' }];
  }
}

/** Which of the kinds the value is of; the first one's place if of none. */
export function kindOf(value: Json | undefined, kinds: readonly Kind[]): number {
  const fits = ({ kind }: Kind) => {
    switch (kind) {
      case 'template':
        return isTemplate(value);
      case 'text':
        return typeof value === 'string';
      case 'enum':
        return typeof value === 'string' && !isTemplate(value);
      case 'boolean':
      case 'number':
        return typeof value === kind;
      case 'list':
        return Array.isArray(value);
      case 'fields':
      case 'map':
        return isFields(value);
      case 'json':
        return !isTemplate(value);
    }
  };
  return Math.max(0, value === undefined ? 0 : kinds.findIndex(fits));
}

/** What a value of that kind begins with. */
export function beginningOf(kind: Kind): Json {
  switch (kind.kind) {
    case 'enum':
      return kind.options[0] ?? '';
    case 'boolean':
      return true;
    case 'number':
      return kind.schema.minimum ?? 1;
    case 'text':
      return '';
    case 'template':
      return '{{ ds }}';
    case 'list':
      return [];
    case 'fields':
    case 'map':
      return {};
    case 'json':
      return null;
  }
}

/** The names that are shown: what must be there, what is there, and what was asked for. */
export function shownFields(
  schema: Schema,
  value: Fields,
  asked: ReadonlySet<string>,
): { shown: string[]; left: string[] } {
  const names = Object.keys(schema.properties ?? {});
  const others = Object.keys(value).filter((name) => !names.includes(name));
  const required = new Set(schema.required);
  const isShown = (name: string) => required.has(name) || name in value || asked.has(name);
  const rank = (name: string) => (required.has(name) ? 0 : 1);
  return {
    shown: [...names.filter(isShown).sort((a, b) => rank(a) - rank(b)), ...others],
    left: names.filter((name) => !isShown(name)),
  };
}
