// What may be typed within {{ }}, as the server says it; and names of tables that the file has.

import type { Completion, CompletionContext, CompletionResult } from '@codemirror/autocomplete';
import { syntaxTree } from '@codemirror/language';
import type { SyntaxNode } from '@lezer/common';
import type { Known } from './known';
import { isFields, type Json, type Reading } from './reading';
import type { Schema } from './schema';
import type { Session } from './session';

/** What stands before the cursor within a template; null outside. */
export function inTemplate(before: string): string | null {
  const open = before.lastIndexOf('{{');
  if (open < 0 || before.indexOf('}}', open) >= 0) return null;
  return before.slice(open + 2);
}

const option = (label: string, type: string, apply = label): Completion => ({ label, type, apply });

/** What may follow, and how many characters of it are there already. */
export function templateOptions(
  inside: string,
  { templates }: Known,
  reading: Reading,
): { options: Completion[]; typed: number } | null {
  const path = /([A-Za-z_][\w-]*)\.([\w-]*)$/.exec(inside);
  if (path) {
    const [, root, typed = ''] = path;
    if (root === 'tasks') {
      const ids = [...reading.index.keys()];
      const options = ids.map((id) =>
        /^[A-Za-z_]\w*$/.test(id)
          ? option(id, 'variable', `${id}.result`)
          : option(id, 'variable', `['${id}'].result`),
      );
      return { options, typed: typed.length };
    }
    if (root === 'params') {
      const { params } = reading.dag;
      const names = isFields(params) ? Object.keys(params) : [];
      return { options: names.map((name) => option(name, 'property')), typed: typed.length };
    }
    return null;
  }
  const filter = /\|\s*(\w*)$/.exec(inside);
  if (filter) {
    const options = templates.filters.map(({ name, arguments: given }) => ({
      ...option(name, 'function'),
      ...(given.length > 0 ? { detail: `(${given.join(', ')})` } : {}),
    }));
    return { options, typed: filter[1]!.length };
  }
  const word = /(?:^|[\s(,+~])([A-Za-z_]\w*)?$/.exec(inside);
  if (!word) return null;
  const options = templates.names.map((name) =>
    option(
      name,
      'variable',
      name === 'tasks' || name === 'params' || name === 'secrets' ? `${name}.` : name,
    ),
  );
  return { options, typed: word[1]?.length ?? 0 };
}

export const completeTemplate =
  (known: Known, reading: () => Reading) =>
  (context: CompletionContext): CompletionResult | null => {
    const line = context.state.doc.lineAt(context.pos);
    const inside = inTemplate(line.text.slice(0, context.pos - line.from));
    if (inside === null) return null;
    const found = templateOptions(inside, known, reading());
    if (!found) return null;
    // A dot of tasks goes where the id can't be written behind one.
    const { options, typed } = found;
    const from = context.pos - typed;
    return {
      from,
      options: options.map((each) =>
        typeof each.apply === 'string' && each.apply.startsWith('[')
          ? {
              ...each,
              apply: (view, _, begin, end) => {
                view.dispatch({
                  changes: { from: begin - 1, to: end, insert: each.apply as string },
                  selection: { anchor: begin - 1 + (each.apply as string).length },
                });
              },
            }
          : each,
      ),
      validFor: /^[\w-]*$/,
    };
  };

const TABLE = /\b[a-zA-Z][\w-]*\.\w+(?:\.\w+)?\b/g;
const MOST = 500;

/** What looks like a table in the params of the file. */
export function tablesIn({ tasks }: Reading): string[] {
  const found = new Set<string>();
  const look = (value: Json) => {
    if (found.size >= MOST) return;
    if (typeof value === 'string') {
      for (const [name] of value.slice(0, 20_000).matchAll(TABLE)) found.add(name);
    } else if (Array.isArray(value)) value.forEach(look);
    else if (isFields(value)) Object.values(value).forEach(look);
  };
  for (const { fields } of tasks) {
    if (found.size >= MOST) break;
    look(fields.params ?? null);
  }
  return [...found].filter((name) => !/^(tasks|params)\./.test(name)).sort();
}

/** In a query: tables that the file names, and what dry runs have told of. */
export const completeTables =
  ({ reading, tables, columns }: Pick<Session, 'reading' | 'tables' | 'columns'>) =>
  (context: CompletionContext): CompletionResult | null => {
    const typed = context.matchBefore(/[\w.-]+/);
    if (!typed) return null;
    const names = new Set([...tablesIn(reading.value), ...tables]);
    const options = [
      ...[...names].sort().map((name) => option(name, 'type')),
      ...[...columns].map((name) => option(name, 'property')),
    ];
    return { from: typed.from, options, validFor: /^[\w.-]*$/ };
  };

/** In the text of the file: templates, the names of fields, operators and ids of tasks. */
export function completeText(known: Known, session: Session) {
  const templates = completeTemplate(known, () => session.reading.value);
  return (context: CompletionContext): CompletionResult | null => {
    const inner = templates(context);
    if (inner) return inner;
    const word = context.matchBefore(/"[\w.-]*/);
    if (!word) return null;
    const path = pathAt(context);
    const found = optionsAt(path, known, session.reading.value);
    const options = found.map((name) => option(`"${name}"`, 'property'));
    return options.length > 0 ? { from: word.from, options, validFor: /^"[\w.-]*"?$/ } : null;
  };
}

/** The names and places of what the cursor is in, and last '' where a name is being typed. */
function pathAt({ state, pos }: CompletionContext): string[] {
  const path: string[] = [];
  let node: SyntaxNode | null = syntaxTree(state).resolveInner(pos, -1);
  let inValue = false;
  if (node.name === 'PropertyName' || node.name === 'Object') path.unshift('');
  if (node.name === 'PropertyName') node = node.parent?.parent ?? null;
  for (; node; node = node.parent) {
    if (node.name === 'Property') {
      const name = node.firstChild;
      if (name) path.unshift(state.sliceDoc(name.from + 1, name.to - 1));
      inValue = true;
    } else if (node.name === 'Array') path.unshift('[]');
  }
  return inValue || path.length > 0 ? path : [];
}

function optionsAt(path: string[], known: Known, reading: Reading): string[] {
  const within = path[0] === 'dag' ? path.slice(1) : path;
  const name = within.at(-1);
  const names = (schema: Schema | null | undefined) => Object.keys(schema?.properties ?? {});
  if (within.join('/') === '') return names(known.dag);
  if (within[0] !== 'tasks') return [];
  if (within.length === 3 && name === '') return names(known.task);
  if (within[2] === 'operator') {
    return known.operators.filter(({ is_script }) => !is_script).map((each) => each.name);
  }
  if (within[2] === 'dependencies') return [...reading.index.keys()];
  if (within[2] === 'trigger_rule') {
    return (known.task.$defs?.TriggerRule?.enum ?? []).map(String);
  }
  if (within[2] === 'params' && within.length === 4 && name === '') {
    return [...new Set(known.operators.flatMap(({ params }) => names(params)))];
  }
  return [];
}
