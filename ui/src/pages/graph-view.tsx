// The graph of a run or of a DAG, with its states as they are now.

import { useSignal } from '@preact/signals';
import { useEffect, useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import type { Graph } from '../api/types';
import { theme } from '../app';
import { GraphCanvas } from '../graph/canvas';
import { BoxCounts } from '../graph/counts';
import { StateFaces } from '../graph/faces';
import { boxesOf } from '../graph/families';
import { type Edge, layOut } from '../graph/layout';
import type { LiveRun } from '../live/run';
import { GraphTools } from '../parts/graph-tools';

interface Props {
  graph: Graph;
  live: LiveRun;
  selected?: string | undefined;
  onPick: (task: string) => void;
}

export function GraphView({ graph, live, selected, onPick }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const canvas = useRef<GraphCanvas | null>(null);
  const open = useSignal<ReadonlySet<string>>(new Set());
  const said = useSignal('');
  const opener = useRef(-1); // a task of the family that was opened last
  const dag = useMemo(
    () => ({
      tasks: graph.task,
      edges: graph.upstream.flatMap((upstream, to) => upstream.map((from): Edge => [from, to])),
    }),
    [graph],
  );
  const opened = open.value;
  const drawing = useMemo(() => {
    const boxes = boxesOf(dag, opened);
    return { ...boxes, ...layOut(boxes.boxes.length, boxes.edges) };
  }, [dag, opened]);
  const now = useRef({ drawing, onPick });
  now.current = { drawing, onPick };

  useLayoutEffect(() => {
    const pick = (box: number) => {
      const found = now.current.drawing.boxes[box]!;
      if (found.tasks.length > 1) {
        opener.current = found.tasks[0]!;
        open.value = new Set([...open.value, found.key]);
      } else now.current.onPick(graph.task[found.tasks[0]!]!);
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
  }, [graph, open, said]);

  useLayoutEffect(() => {
    const counts = new BoxCounts(graph, drawing.boxOf, drawing.boxes.length);
    canvas.current?.show(drawing, new StateFaces(counts), ({ boxOf }) =>
      opener.current < 0 ? undefined : boxOf[opener.current],
    );
    return live.watch((name, { state }) => {
      counts.set(name, state);
      canvas.current?.ask();
    });
  }, [drawing, graph, live, live.lost.value]);
  useEffect(() => {
    const task = selected === undefined ? -1 : graph.task.indexOf(selected);
    canvas.current?.select(task < 0 ? -1 : drawing.boxOf[task]!);
  }, [selected, drawing, graph]);
  useEffect(() => canvas.current?.recolour(), [theme.value]);

  const { boxes } = drawing;
  return (
    <div class="graph-view">
      <div
        class="graph"
        ref={host}
        role="application"
        aria-label="Graph of the tasks. Arrow keys walk along its edges, Enter opens a task, plus and minus zoom, F shows all. The list has the same tasks."
        // biome-ignore lint/a11y/noNoninteractiveTabindex: its keys are listened to
        tabIndex={0}
      />
      <GraphTools
        canvas={() => canvas.current}
        open={open}
        tasks={graph.task.length}
        boxes={boxes.length}
      />
      <p class="hidden" aria-live="polite">
        {said.value}
      </p>
    </div>
  );
}
