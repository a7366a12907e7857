// The graph of the file, on which it is edited.

import { useSignal } from '@preact/signals';
import { useEffect, useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import { theme } from '../app';
import { GraphCanvas } from '../graph/canvas';
import { BoxCounts } from '../graph/counts';
import type { Drawing } from '../graph/drawing';
import type { LiveRun } from '../live/run';
import { GraphTools } from '../parts/graph-tools';
import { shown } from '../text';
import { connection } from './actions';
import { TaskFaces, WatchedFaces } from './faces';
import { drawingOf, expandedIn, type Graph, graphOf, isSameGraph } from './graph';
import type { Reading } from './reading';
import type { Session } from './session';
import { wires } from './wire';

const KEYS =
  'Arrow keys walk along the edges, Shift with a click adds to what is chosen. D draws a dependency from the chosen task, Enter opens its form, N adds a task, F2 renames, Delete removes. Plus and minus zoom, F shows all.';

/** A part of the page. */
export type Place = 'graph' | 'text' | 'form' | 'palette';

export interface Desk {
  canvas: GraphCanvas | null;
  /** The task at a point of the window; '' if the graph is there without one. */
  under(event: { clientX: number; clientY: number }): string | undefined;
}

interface Props {
  session: Session;
  desk: Desk;
  /** A run of the file, whose states are drawn. */
  watched: LiveRun | null;
  /** Shows a part of the page, and puts the focus there. */
  go: (place: Place) => void;
  onKey: (event: KeyboardEvent) => void;
  /** Puts what is chosen into the clipboard. */
  onCopy: (event: ClipboardEvent) => void;
  onPaste: (event: ClipboardEvent) => void;
}

/** The number of the drawn edge between two tasks, -1 if there is none. */
function edgeOf(
  { boxOf, edges }: Drawing,
  { index }: Reading,
  [upstream, task]: readonly [string, string],
): number {
  const [from, to] = [index.get(upstream), index.get(task)];
  if (from === undefined || to === undefined) return -1;
  return edges.findIndex(([a, b]) => a === boxOf[from] && b === boxOf[to]);
}

export function Canvas({ session, desk, watched, go, onKey, onCopy, onPaste }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const open = useSignal<ReadonlySet<string>>(new Set());
  const said = useSignal('');
  const from = useSignal<string | null>(null); // of an edge that is drawn by keyboard
  const edge = useSignal<readonly [upstream: string, task: string] | null>(null);
  const walked = useRef<string | undefined>(undefined); // the task that it may lead to
  const last = useRef<{ graph: Graph; open: unknown; drawing: Drawing } | null>(null);
  const opener = useRef<string | undefined>(undefined);

  const reading = session.reading.value;
  const opened = open.value;
  const { graph, drawing } = useMemo(() => {
    const graph = graphOf(reading);
    const known = last.current;
    if (known && known.open === opened && isSameGraph(known.graph, graph)) return known;
    return { graph, open: opened, drawing: drawingOf(graph, opened, known?.drawing ?? null) };
  }, [reading, opened]);
  const now = useRef({ graph, drawing });
  now.current = { graph, drawing };

  const act = useRef({
    connect(upstream: string, task: string) {
      const edits = connection(session.reading.value, upstream, task);
      if (typeof edits === 'string') {
        session.refused.value = edits;
        said.value = edits;
        return;
      }
      const adds = edits[0]!.edit === 'add_dependency';
      session.edit(edits, [task]).then((done) => {
        if (done) said.value = `${task} ${adds ? 'waits' : 'no longer waits'} for ${upstream}`;
      });
    },
    /** The only task of a box. */
    taskOf(box: number): string | undefined {
      const { tasks } = now.current.drawing.boxes[box]!;
      const id = session.reading.value.tasks[tasks[0]!]?.id;
      return tasks.length === 1 && id ? id : undefined;
    },
    /** The tasks of a drawn edge. */
    pickEdge(index: number) {
      const [a, b] = now.current.drawing.edges[index]!;
      const [upstream, task] = [act.current.taskOf(a), act.current.taskOf(b)];
      session.choose([]);
      edge.value = upstream && task ? [upstream, task] : null;
      if (edge.value) said.value = `The edge from ${upstream} to ${task}: Delete removes it.`;
      else session.refused.value = 'Open the family first: an edge leads from a task to a task.';
      host.current?.focus({ preventScroll: true });
    },
    openFamily(box: number) {
      const found = now.current.drawing.boxes[box]!;
      opener.current = now.current.graph.names[found.tasks[0]!];
      open.value = new Set([...open.value, found.key]);
    },
    pick(box: number, event: MouseEvent) {
      host.current?.focus({ preventScroll: true });
      const id = act.current.taskOf(box);
      const { tasks } = now.current.drawing.boxes[box]!;
      if (id === undefined) {
        if (tasks.length > 1) act.current.openFamily(box);
        return;
      }
      const { value: chosen } = session.chosen;
      if (!event.shiftKey && !event.ctrlKey && !event.metaKey) session.choose([id]);
      else if (chosen.includes(id)) session.choose(chosen.filter((each) => each !== id));
      else session.choose([...chosen, id]);
    },
  });

  useLayoutEffect(() => {
    const { pick, pickEdge, taskOf, connect, openFamily } = act.current;
    const made = new GraphCanvas(host.current!, {
      pick,
      pickEdge,
      open: (box) => {
        const id = taskOf(box);
        const upstream = from.value;
        from.value = null;
        if (id === undefined) openFamily(box);
        else if (upstream !== null) {
          if (id !== upstream) connect(upstream, id);
        } else go('form');
      },
      walk: (box) => {
        const id = taskOf(box);
        walked.current = id;
        if (from.value === null) session.choose(id === undefined ? [] : [id]);
      },
      leave: () => {
        edge.value = null;
        session.choose([]);
      },
      say: (text) => {
        said.value = text;
      },
    });
    desk.canvas = made;
    desk.under = (event) => {
      const { left, right, top, bottom } = host.current!.getBoundingClientRect();
      const { clientX: x, clientY: y } = event;
      if (x < left || x > right || y < top || y > bottom) return undefined;
      const box = made.under(event);
      return (box === undefined ? undefined : taskOf(box)) ?? '';
    };
    const gone = new AbortController();
    wires(
      host.current!,
      made,
      (a, b) => {
        const [upstream, task] = [taskOf(a), taskOf(b)];
        if (upstream && task) connect(upstream, task);
        else session.refused.value = 'Open the family first: an edge leads from a task to a task.';
      },
      gone.signal,
    );
    return () => {
      gone.abort();
      desk.canvas = null;
      made.close();
    };
  }, [session, desk, go, from, said]);

  useLayoutEffect(() => {
    const counts =
      watched &&
      new BoxCounts(
        { task: graph.names, expand: expandedIn(reading) },
        drawing.boxOf,
        drawing.boxes.length,
      );
    const faces = counts
      ? new WatchedFaces(counts)
      : new TaskFaces(reading, drawing, session.checked.value);
    const canvas = desk.canvas!;
    const before = last.current;
    if (before?.drawing === drawing) {
      canvas.reface(faces);
    } else {
      const { value: chosen } = session.chosen;
      const kept = opener.current ?? chosen.at(-1) ?? graph.names[0];
      opener.current = undefined;
      canvas.show(drawing, faces, (of) => {
        const { names } = of === drawing ? graph : before!.graph;
        const place = names.indexOf(kept ?? '');
        return place < 0 ? undefined : of.boxOf[place];
      });
      last.current = { graph, open: opened, drawing };
    }
    return watched?.watch((name, { state }) => {
      counts!.set(name, state);
      canvas.ask();
    });
  }, [reading, drawing, session.checked.value, watched, watched?.lost.value]);

  const chosen = session.chosen.value;
  useEffect(() => {
    const seen = from.value === null ? chosen : [walked.current ?? from.value];
    const boxes = seen.flatMap((id) => {
      const place = reading.index.get(id);
      return place === undefined ? [] : [drawing.boxOf[place]!];
    });
    desk.canvas?.select(boxes.at(-1) ?? -1, boxes);
    if (boxes.length > 0) desk.canvas?.reveal(boxes.at(-1)!);
  }, [chosen, drawing, reading]);
  useEffect(() => desk.canvas?.recolour(), [theme.value]);
  // Whoever chooses a task has left the edge; one that is gone is none.
  if (edge.value && (chosen.length > 0 || edgeOf(drawing, reading, edge.value) < 0)) {
    edge.value = null;
  }
  const picked = edge.value;
  useEffect(() => {
    desk.canvas?.selectEdge(picked ? edgeOf(drawing, reading, picked) : -1);
  }, [picked, drawing, reading]);
  const removeEdge = ([upstream, task]: readonly [string, string]) => {
    session.edit([{ edit: 'remove_dependency', task, upstream }]);
    edge.value = null;
    host.current?.focus({ preventScroll: true });
  };

  const key = (event: KeyboardEvent) => {
    if (event.key === 'Escape' && from.value !== null) {
      session.choose([from.value]);
      from.value = null;
      said.value = 'No edge is drawn.';
    } else if (event.key === 'Escape') {
      edge.value = null;
      session.choose([]);
    } else if (picked && (event.key === 'Delete' || event.key === 'Backspace')) {
      removeEdge(picked);
    } else if (event.key === 'd' && !event.ctrlKey && !event.metaKey && chosen.length > 0) {
      from.value = chosen.at(-1)!;
      walked.current = undefined;
      said.value = `From ${from.value}: walk to the task that shall wait for it, and press Enter.`;
    } else {
      onKey(event);
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  const { boxes } = drawing;
  return (
    <div class="graph-view">
      <div
        class="graph"
        ref={host}
        role="application"
        aria-label={`Graph of the file. ${KEYS}`}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: its keys are listened to
        tabIndex={0}
        onKeyDown={key}
        onCopy={onCopy}
        onCut={onCopy}
        onPaste={onPaste}
      />
      {graph.names.length === 0 && !session.unread.value && (
        <p class="hint">
          No tasks yet. Drag an operator here, or choose one in the palette and press Enter.
        </p>
      )}
      {picked && (
        <p class="hint drawn">
          {picked.map((id) => shown(id, 100)).join(' → ')}{' '}
          {!session.isReadOnly && (
            <button type="button" onClick={() => removeEdge(picked)}>
              Remove
            </button>
          )}
        </p>
      )}
      {from.value !== null && <p class="hint drawn">{said.value} Escape gives up.</p>}
      <GraphTools
        canvas={() => desk.canvas}
        open={open}
        tasks={graph.names.length}
        boxes={boxes.length}
      />
      <p class="hidden" aria-live="polite">
        {said.value}
      </p>
    </div>
  );
}
