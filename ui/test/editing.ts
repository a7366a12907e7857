// An editor without a page, whose edits Python makes, as the server does.

import { spawn } from 'node:child_process';
import type { Transaction, TransactionSpec } from '@codemirror/state';
import { stateOf } from '../src/editor/code';
import type { Edit } from '../src/editor/edits';
import { Session } from '../src/editor/session';

export const PROJECT = '..';

/** Who answers as the server does. */
export function python() {
  const child = spawn(
    process.env.PYTHON ?? '.venv/bin/python',
    ['-m', 'tests.support.answers_by_lines'],
    {
      cwd: PROJECT,
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  const waiting: ((line: string) => void)[] = [];
  (async () => {
    let text = '';
    for await (const piece of child.stdout) {
      const lines = (text + piece.toString()).split('\n');
      text = lines.pop()!;
      for (const line of lines) waiting.shift()!(line);
    }
  })();
  const post = async <T>(path: string, body: unknown): Promise<T> => {
    if (path === '/validate') return new Promise(() => {}); // nothing is checked
    child.stdin.write(`${JSON.stringify({ path, body })}\n`);
    const line = await new Promise<string>((resolve) => waiting.push(resolve));
    const answer: { error?: string } = JSON.parse(line);
    if (answer.error) throw new Error(answer.error);
    return answer as T;
  };
  return { post, end: () => child.kill() };
}

export interface Editor {
  session: Session;
  text: () => string;
  type: (spec: TransactionSpec) => void;
  edit: (...edits: Edit[]) => Promise<boolean>;
}

export function editorOf(text: string, post: ReturnType<typeof python>['post']): Editor {
  const session = new Session(post);
  let state = stateOf(text, session);
  const dispatch = (...specs: (Transaction | TransactionSpec)[]) => {
    for (const spec of specs) {
      const made = 'startState' in spec ? spec : state.update(spec);
      state = made.state;
      session.heard(made);
    }
  };
  session.hold({
    get state() {
      return state;
    },
    dispatch,
    focus: () => {},
  });
  return {
    session,
    text: () => session.whole(),
    type: dispatch,
    edit: (...edits) => session.edit(edits),
  };
}
