// Two states of a DAG as one graph, in which what differs is marked.

import { useSignal } from '@preact/signals';
import { useEffect, useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import { theme } from '../app';
import { GraphCanvas } from '../graph/canvas';
import type { Drawing } from '../graph/drawing';
import type { Faces } from '../graph/faces';
import { boxesOf } from '../graph/families';
import { layOut } from '../graph/layout';
import { STATES } from '../states';
import { plural } from '../text';
import { type Both, together } from './both';
import type { Dag } from './run-params';
import type { Compared, What } from './types';

const SAYS: Record<What, string> = { added: 'new', removed: 'removed', changed: 'changed' };
// The colours that they have in lists, too.
const LOOKS: Record<What, (typeof STATES)[number]> = {
  added: 'success',
  removed: 'failed',
  changed: 'up_for_retry',
};

class DifferenceFaces implements Faces {
  constructor(
    private readonly both: Both,
    private readonly drawing: Drawing,
  ) {}

  private of(box: number) {
    const { tasks } = this.drawing.boxes[box]!;
    return tasks.flatMap((task) => this.both.what.get(this.both.names[task]!) ?? []);
  }

  private look(box: number): (typeof STATES)[number] {
    const found = this.of(box);
    const kinds = new Set(found.map(({ what }) => what));
    const [kind] = kinds;
    return kind === undefined ? 'none' : kinds.size > 1 ? LOOKS.changed : LOOKS[kind];
  }

  stateOf(box: number): number {
    return STATES.indexOf(this.look(box));
  }

  keyOf(box: number): string {
    return this.wordsOf(box);
  }

  wordsOf(box: number): string {
    const found = this.of(box);
    const [first] = found;
    if (first === undefined) return 'as it was';
    const { tasks } = this.drawing.boxes[box]!;
    if (tasks.length > 1) return `${plural(found.length, 'task')} of ${tasks.length} differ`;
    return [SAYS[first.what], first.fields.join(', ')].filter(Boolean).join(': ');
  }

  fill(element: HTMLButtonElement, label: string, box: number): void {
    const name = document.createElement('b');
    name.textContent = label;
    const below = document.createElement('small');
    below.textContent = this.wordsOf(box);
    element.dataset.state = this.look(box);
    element.title = `${label}: ${this.wordsOf(box)}`;
    element.replaceChildren(name, below);
  }
}

interface Props {
  before: Dag;
  after: Dag;
  compared: Compared;
}

export function GraphDifference({ before, after, compared }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const canvas = useRef<GraphCanvas | null>(null);
  const open = useSignal<ReadonlySet<string>>(new Set());
  const said = useSignal('');
  const both = useMemo(() => together(before, after, compared), [before, after, compared]);
  const opened = open.value;
  const drawing = useMemo(() => {
    const boxes = boxesOf({ tasks: both.names, edges: both.edges }, opened);
    const { boxOf } = boxes;
    // Between two families an edge looks as all between their tasks do.
    const kinds = new Map<string, Set<'added' | 'removed' | undefined>>();
    both.edges.forEach(([from, to], number) => {
      const key = `${boxOf[from]} ${boxOf[to]}`;
      kinds.set(key, (kinds.get(key) ?? new Set()).add(both.marked.get(number)));
    });
    const marked = new Map<number, 'added' | 'removed'>();
    boxes.edges.forEach((edge, number) => {
      const [kind, ...others] = kinds.get(edge.join(' ')) ?? [];
      if (kind && others.length === 0) marked.set(number, kind);
    });
    return { ...boxes, ...layOut(boxes.boxes.length, boxes.edges), marked };
  }, [both, opened]);
  const now = useRef(drawing);
  now.current = drawing;
  useLayoutEffect(() => {
    const pick = (box: number) => {
      const { key, tasks } = now.current.boxes[box]!;
      if (tasks.length > 1) open.value = new Set([...open.value, key]);
    };
    const made = new GraphCanvas(host.current!, {
      pick,
      open: pick,
      say: (text) => {
        said.value = text;
      },
    });
    canvas.current = made;
    return () => made.close();
  }, [open, said]);
  useLayoutEffect(() => {
    canvas.current?.show(drawing, new DifferenceFaces(both, drawing), (of) => of.boxOf[0]);
  }, [both, drawing]);
  useEffect(() => canvas.current?.recolour(), [theme.value]);
  return (
    <div class="both">
      <div
        class="graph"
        ref={host}
        role="application"
        aria-label="Graph of both states. Arrow keys walk along its edges. The list above says the same."
        // biome-ignore lint/a11y/noNoninteractiveTabindex: its keys are listened to
        tabIndex={0}
      />
      {both.marked.size > 0 && (
        <p class="legend faint" aria-hidden="true">
          <i class="is-new" /> new edge <i class="is-gone" /> edge that is gone
        </p>
      )}
      <p class="hidden" aria-live="polite">
        {said.value}
      </p>
    </div>
  );
}
