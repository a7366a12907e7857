// One file that is edited. Its text is the only state: what is drawn and shown is read from it, and
// what is done by hand is a change of it, one step of its history.

import { isolateHistory, redo, undo } from '@codemirror/commands';
import {
  Annotation,
  EditorSelection,
  type EditorState,
  type Text,
  type Transaction,
  type TransactionSpec,
} from '@codemirror/state';
import { EditorView } from '@codemirror/view';
import { computed, signal } from '@preact/signals';
import { changesOf, type Edit, pointsIn, type TextChange, wholeOf } from './edits';
import { type Excerpt, excerptOf } from './excerpt';
import { type Reading, read, type TaskItem, taskAt } from './reading';

export interface PlacedProblem {
  pointer: string | null;
  task: string | null;
  field: string | null;
  detail: string;
  offset: number;
  length: number;
}

export interface Validated {
  problems: PlacedProblem[];
  unserved: { task: string; reason: string }[];
  zone?: string | null;
  due?: number[];
}

/** How the server is asked. */
export type Post = <T>(path: string, body: unknown, signal?: AbortSignal) => Promise<T>;

/** What holds the text: the view, or in tests a bare state. */
interface Holder {
  readonly state: EditorState;
  dispatch(...specs: (Transaction | TransactionSpec)[]): void;
  focus(): void;
}

/** Of a transaction that was made by hand, not in the text. */
const byHand = Annotation.define<true>();

const READ_MS = 120; // after the last key
const CHECK_MS = 400;
const AGAIN_MS = 5000; // when the server could not check it
const TURNS = 5; // that an edit is asked for anew while somebody types

const NOTHING: Reading = { dag: {}, tasks: [], index: new Map() };

export class Session {
  private holder!: Holder;
  private queue: Promise<unknown> = Promise.resolve();
  private reader = 0;
  private checker = 0;
  private checking = new AbortController();
  private readText: Text | null = null;
  private readonly waiting = new Set<() => void>();
  private underway = 0; // edits that the text does not have yet

  /** What the text says, or said when it could last be read. */
  readonly reading = signal<Reading>(NOTHING);
  /** Why it can't be read now; empty if it can. */
  readonly unread = signal('');
  /** The ids of the tasks that are chosen; the last one is looked at. */
  readonly chosen = signal<readonly string[]>([]);
  readonly checked = signal<Validated | null>(null);
  private readonly checkedText = signal<Text | null>(null);
  /** What dry runs have told of: tables, and columns of what queries make. */
  readonly tables = new Set<string>();
  readonly columns = new Set<string>();
  /** Why the last edit was refused. */
  readonly refused = signal('');
  readonly text = signal<Text | null>(null);
  /** The text that the file has. */
  readonly saved = signal<Text | null>(null);
  readonly isChanged = computed(() => {
    const { value: now } = this.text;
    return now !== null && !(this.saved.value?.eq(now) ?? false);
  });

  /** How many problems the text as it is now has; null if it isn't checked yet. */
  readonly problems = computed(() =>
    this.checkedText.value === this.text.value
      ? (this.checked.value?.problems.length ?? null)
      : null,
  );

  constructor(
    private readonly post: Post,
    /** Whether nothing may be changed. */
    readonly isReadOnly = false,
  ) {}

  hold(holder: Holder): void {
    this.holder = holder;
    this.text.value = holder.state.doc;
    this.readNow();
  }

  /** The page is left: the text, with all that is still on its way into it, or null if the file has it. */
  async close(): Promise<string | null> {
    let { state } = this.holder;
    this.holder = {
      get state() {
        return state;
      },
      dispatch: (...specs) => {
        for (const spec of specs) {
          const made = 'startState' in spec ? spec : state.update(spec);
          state = made.state;
          this.heard(made);
        }
      },
      focus: () => {},
    };
    await this.settled();
    clearTimeout(this.reader);
    clearTimeout(this.checker);
    this.checking.abort();
    return this.isChanged.value ? this.whole() : null;
  }

  get state(): EditorState {
    return this.holder.state;
  }

  /** The text as it is saved, with its own line ends. */
  whole(): string {
    return wholeOf(this.state.doc, this.state.lineBreak);
  }

  /** To be told of each transaction. */
  heard(transaction: Transaction): void {
    if (transaction.docChanged) {
      this.text.value = transaction.newDoc;
      clearTimeout(this.reader);
      if (
        transaction.annotation(byHand) ||
        transaction.isUserEvent('undo') ||
        transaction.isUserEvent('redo')
      ) {
        this.readNow();
      } else this.reader = setTimeout(() => this.readNow(), READ_MS);
    } else if (transaction.selection && !transaction.annotation(byHand)) this.follow();
  }

  private readNow(): void {
    clearTimeout(this.reader);
    this.readText = this.state.doc;
    const found = read(this.state.doc.toString());
    if (typeof found === 'string') this.unread.value = found;
    else {
      this.unread.value = '';
      this.reading.value = found;
      const { value: chosen } = this.chosen;
      const there = chosen.filter((id) => found.index.has(id));
      if (there.length < chosen.length) this.chosen.value = there;
    }
    clearTimeout(this.checker);
    this.checker = setTimeout(() => this.check(), CHECK_MS);
  }

  /** Chooses the task in whose text the cursor is. */
  private follow(): void {
    if (this.unread.value) return;
    const task = taskAt(this.reading.value, this.state.selection.main.head);
    const id = task?.id ? [task.id] : [];
    if (id.join() !== this.chosen.value.join()) this.chosen.value = id;
  }

  private async check(): Promise<void> {
    if (this.isReadOnly) return;
    this.checking.abort();
    this.checking = new AbortController();
    const { signal } = this.checking;
    const { doc } = this.state;
    try {
      const found = await this.post<Validated>('/validate', { text: doc.toString() }, signal);
      if (doc === this.state.doc) {
        this.checkedText.value = doc;
        this.checked.value = found;
      }
    } catch (error) {
      const isForbidden = (error as { status?: number }).status === 403;
      if (!signal.aborted && !isForbidden) this.checker = setTimeout(() => this.check(), AGAIN_MS);
    }
  }

  /** What has to be done before the text is used, such as an edit that waits for the next key. */
  before(act: () => void): () => void {
    this.waiting.add(act);
    return () => this.waiting.delete(act);
  }

  private flush(): void {
    for (const act of this.waiting) act();
  }

  /** Whether something that was done is not in the text yet; it is on its way from then on. */
  isUnsettled(): boolean {
    this.flush();
    return this.underway > 0;
  }

  /** Waits until all that was done by hand is in the text. */
  async settled(): Promise<void> {
    this.flush();
    let last: unknown = null;
    while (last !== this.queue) {
      last = this.queue;
      await this.queue;
    }
  }

  /** Edits the text, after all edits before; false if that was refused, and `refused` says why. */
  edit(edits: readonly Edit[], choose?: readonly string[]): Promise<boolean> {
    if (this.isReadOnly) return Promise.resolve(false);
    this.flush(); // what was typed before comes before
    this.underway++;
    const made = this.queue.then(() => this.make(edits, choose)).finally(() => this.underway--);
    this.queue = made;
    return made;
  }

  private async make(edits: readonly Edit[], choose?: readonly string[]): Promise<boolean> {
    try {
      for (let turn = 0; turn < TURNS; turn++) {
        const { doc } = this.state;
        const text = this.whole();
        const part = this.excerpt(text, edits);
        const body = { text: part?.text ?? text, edits };
        const { changes } = await this.post<{ changes: TextChange[] }>('/edit', body);
        if (doc !== this.state.doc) continue;
        this.refused.value = '';
        if (changes.length > 0) {
          this.holder.dispatch({
            changes: part?.whole(changes) ?? changesOf(changes, text, this.state.lineBreak),
            annotations: [byHand.of(true), isolateHistory.of('full')],
          });
        }
        if (choose) this.choose(choose);
        return true;
      }
      this.refused.value = 'The text was changed all the time: do it again.';
    } catch (error) {
      this.refused.value = error instanceof Error ? error.message : String(error);
    }
    return false;
  }

  private excerpt(text: string, edits: readonly Edit[]): Excerpt | null {
    if (this.readText !== this.state.doc) this.readNow();
    return this.unread.value ? null : excerptOf(text, this.reading.value, edits);
  }

  /** Chooses tasks, and shows the last one's text. */
  choose(ids: readonly string[]): void {
    this.chosen.value = ids;
    const task = this.task(ids.at(-1));
    if (task && !this.unread.value) this.show(task.from, task.to);
  }

  /** Puts the cursor there, and shows what is from there on. */
  show(from: number, to = from): void {
    const most = this.state.doc.length;
    const seen = EditorSelection.range(Math.min(to, most), Math.min(from, most));
    this.holder.dispatch({
      selection: { anchor: seen.head },
      effects: EditorView.scrollIntoView(seen, { y: seen.empty ? 'nearest' : 'center' }),
      annotations: byHand.of(true),
    });
  }

  /** Shows a place in code points. */
  showPoint(point: number): void {
    this.show(pointsIn(this.state.doc.toString())(point));
    this.holder.focus();
  }

  /** Tells that the file has this text now; null: there is no file. */
  isSaved(text: string | null): void {
    this.saved.value = text === null ? null : this.state.toText(text);
  }

  /** Lets the text become this one, by the smallest change that has one place. */
  replace(text: string): void {
    const doc = this.state.toText(text).toString();
    const before = this.state.doc.toString();
    const most = Math.min(doc.length, before.length);
    let from = 0;
    while (from < most && doc[from] === before[from]) from++;
    let same = 0;
    while (same < most - from && doc.at(-1 - same) === before.at(-1 - same)) same++;
    this.holder.dispatch({
      changes: {
        from,
        to: before.length - same,
        insert: this.state.toText(doc.slice(from, doc.length - same)),
      },
      annotations: [byHand.of(true), isolateHistory.of('full')],
    });
  }

  task(id: string | undefined): TaskItem | undefined {
    const { index, tasks } = this.reading.value;
    const place = id === undefined ? undefined : index.get(id);
    return place === undefined ? undefined : tasks[place];
  }

  undo = (): boolean => undo(this.holder as Parameters<typeof undo>[0]);
  redo = (): boolean => redo(this.holder as Parameters<typeof redo>[0]);
}
