// A file of the server's folder that somebody edits: read, saved, and merged with what others have saved
// meanwhile. Nobody's change is ever lost: a save says of which state of the file its text was made.

import { signal } from '@preact/signals';
import { Problem, part, request } from '../api/client';

export type Side = 'mine' | 'theirs';
type Value = unknown;

/** A field that both have changed; `task` is null for the DAG's own, `field` empty for a whole task. */
export interface Conflict {
  task: string | null;
  field: string;
  base: Value;
  mine: Value;
  theirs: Value;
}

/** Whose value a field that both have changed shall have. */
export interface Choice {
  task: string | null;
  field: string;
  side: Side;
}

/** What can't be saved without being asked: both have changed the same fields, or one of the texts is
 * no JSON, or the file was deleted. */
export interface Clash {
  /** The file as it is now; null if it is no longer there. */
  theirs: string | null;
  etag: string;
  conflicts: readonly Conflict[];
  /** Why it can't be merged by fields; empty if it can. */
  why: string;
}

export interface Saved {
  path: string;
  etag: string;
  problems: readonly { task: string | null; field: string | null; detail: string }[];
  commit: string | null;
  commit_problem: string | null;
}

/** What the editor gives. */
export interface Edited {
  /** The text as it is to be saved, with all that is still on its way into it. */
  text(): Promise<string>;
  /** Lets the text become this one: one step of the editor's history. */
  replace(text: string): void;
  /** Tells that the file has this text now. */
  saved(text: string): void;
  /** Whether something that was done is still on its way into the text. */
  isUnsettled(): boolean;
}

export interface Save {
  message?: string;
  allowProblems?: boolean;
}

interface File {
  text: string;
  etag: string;
}

type Ask = typeof request;
const TURNS = 5; // that a save is merged anew while others save
const MERGE = 'of another state'; // no file has this ETag

export class OpenFile {
  /** Of which state of the file the text was made; null if it was of none, or before it was read. */
  private base: string | null = null;
  private etag = '';
  private how: Save = {};
  readonly clash = signal<Clash | null>(null);
  /** What was done last, for people. */
  readonly said = signal('');

  constructor(
    readonly path: string,
    private readonly ask: Ask = request,
  ) {}

  /** The state of the file that the text was made of; null if it was of none. */
  get before(): string | null {
    return this.base;
  }

  get url(): string {
    return `/files/${this.path.split('/').map(part).join('/')}`;
  }

  /** The text of the file; null if there is none of that name yet: a save makes it. */
  async load(signal?: AbortSignal): Promise<string | null> {
    const found = await this.read(signal);
    this.base = found?.text ?? null;
    this.etag = found?.etag ?? '';
    this.clash.value = null;
    this.said.value = '';
    return this.base;
  }

  private async read(signal?: AbortSignal): Promise<File | null> {
    try {
      return await this.ask<File>('GET', this.url, undefined, signal);
    } catch (problem) {
      if (problem instanceof Problem && problem.status === 404) return null;
      throw problem;
    }
  }

  /** Saves the text, merged with what others have saved meanwhile. Null if that clashes: then `clash`
   * says in what, and nothing is saved. */
  async save(edited: Edited, how: Save = {}): Promise<Saved | null> {
    const mine = await edited.text();
    this.said.value = '';
    this.how = how;
    let file: File = { text: mine, etag: this.etag };
    for (let turn = 0; turn < TURNS; turn++) {
      const saved = await this.put(edited, mine, file);
      if (saved) return saved;
      const merged = await this.merge(mine);
      if (merged === null) return null;
      file = merged;
    }
    throw new Problem(412, 'Others save all the time', 'Try again in a moment.');
  }

  /** Null if the file is another one by now. */
  private async put(edited: Edited, mine: string, file: File): Promise<Saved | null> {
    const { message = '', allowProblems } = this.how;
    const { text, etag } = file;
    try {
      const saved = await this.ask<Saved>(
        'PUT',
        `${this.url}${allowProblems ? '?allow_problems=true' : ''}`,
        { text, message },
        undefined,
        etag ? { 'If-Match': `"${etag}"` } : { 'If-None-Match': '*' },
      );
      await this.done(edited, mine, text, saved);
      return saved;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.status === 412) return null;
      if (problem.status === 422 && text !== mine) await this.take(edited, mine, file);
      throw problem;
    }
  }

  /** Lets the text be what it is together with others' changes, since it has problems by that. */
  private async take(edited: Edited, mine: string, { text, etag }: File): Promise<void> {
    const theirs = await this.read();
    if (theirs?.etag !== etag || (await edited.text()) !== mine) return; // the next save merges anew
    this.base = theirs.text;
    this.etag = etag;
    edited.replace(text);
    this.said.value =
      'What others have changed meanwhile is in the text now, and gives it problems.';
  }

  /** The text merged with the file as it is now; null if that clashes. */
  private async merge(mine: string, choices: readonly Choice[] = []): Promise<File | null> {
    const base = this.base ?? '{}';
    try {
      const merged = await this.ask<File & { conflicts: Conflict[] }>('POST', `${this.url}/merge`, {
        base,
        text: mine,
        choices,
      });
      if (merged.conflicts.length === 0) return merged;
      const theirs = (await this.read())?.text ?? null;
      this.clash.value = { theirs, etag: merged.etag, conflicts: merged.conflicts, why: '' };
    } catch (problem) {
      if (!(problem instanceof Problem) || ![404, 422].includes(problem.status)) throw problem;
      const found = await this.read();
      this.clash.value = {
        theirs: found?.text ?? null,
        etag: found?.etag ?? '',
        conflicts: [],
        why: found ? problem.detail : 'Somebody has deleted or renamed the file meanwhile.',
      };
    }
    return null;
  }

  private async done(edited: Edited, mine: string, text: string, saved: Saved): Promise<void> {
    this.clash.value = null;
    const isMerged = text !== mine;
    if (isMerged && (await edited.text()) !== mine) {
      // Somebody goes on typing: what others have changed comes into the text with the next save.
      this.base = mine;
      this.etag = MERGE;
    } else {
      this.base = text;
      this.etag = saved.etag;
      if (isMerged) edited.replace(text);
      edited.saved(text);
    }
    const what = saved.commit ? 'Saved and committed' : 'Saved';
    const also = isMerged ? `${what}, with what others have changed meanwhile.` : `${what}.`;
    const problem = saved.commit_problem;
    this.said.value = problem ? `${also} It is not committed: ${problem}` : also;
  }

  /** Lets each field that both have changed have the chosen value, and saves that; null if somebody has
   * saved meanwhile: then `clash` is that of now. */
  async settle(edited: Edited, choices: readonly Choice[]): Promise<Saved | null> {
    const seen = this.clash.value?.etag;
    const mine = await edited.text();
    let merged = await this.merge(mine, choices);
    // Perhaps a chosen field has changed once more.
    if (merged && merged.etag !== seen) merged = await this.merge(mine);
    const saved = merged && (await this.put(edited, mine, merged));
    if (merged && !saved) await this.merge(mine);
    return saved;
  }

  /** Lets the file have the text whatever it is now, or the text become that of the file. */
  async overrule(edited: Edited, side: Side): Promise<void> {
    const clash = this.clash.value;
    if (!clash) return;
    if (side === 'theirs') {
      if (clash.theirs === null) return;
      this.base = clash.theirs;
      this.etag = clash.etag;
      this.clash.value = null;
      edited.replace(clash.theirs);
      edited.saved(clash.theirs);
      this.said.value = 'This is the file as it is now.';
      return;
    }
    const mine = await edited.text();
    const saved = await this.put(edited, mine, { text: mine, etag: clash.etag });
    if (!saved) await this.merge(mine);
  }
}
