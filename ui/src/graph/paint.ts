// Edges and far boxes on a canvas.

import { lookOf, STATES } from '../states';
import { type Drawing, type Part, trace } from './drawing';
import type { Faces } from './faces';
import { BOX, type Edge } from './layout';
import { colour } from './palette';

const LABELS = 0.3; // from this scale on boxes have their names
const CURVES = 0.25;
const NEAR = 6; // pixels beside an edge that are still it
const MANY = 3000; // edges that are too many to be seen one by one

export interface View {
  context: CanvasRenderingContext2D;
  drawing: Drawing;
  scale: number;
  seen: Part;
  selected: number;
  chosen: ReadonlySet<number>;
  /** The edge that is chosen, -1 for none. */
  edge: number;
}

export function paintEdges({ context, drawing, scale, seen, selected, edge: chosen }: View): void {
  const { edges, marked } = drawing;
  const curved = scale >= CURVES;
  const stroke = (ink: string, width: number, are: (edge: Edge, index: number) => boolean) => {
    context.lineWidth = width;
    context.strokeStyle = colour(ink);
    context.beginPath();
    edges.forEach((edge, index) => {
      if (are(edge, index)) trace(context, drawing, edge, index, seen, curved);
    });
    context.stroke();
  };
  context.globalAlpha = edges.length > MANY && !curved ? 0.35 : 1;
  stroke('edge', Math.min(1.2, 1 / scale), (_, index) => !marked?.has(index));
  context.globalAlpha = 1;
  if (marked) {
    stroke('success', 2.5 / scale, (_, index) => marked.get(index) === 'added');
    context.setLineDash([6 / scale, 4 / scale]);
    stroke('failed', 2 / scale, (_, index) => marked.get(index) === 'removed');
    context.setLineDash([]);
  }
  if (selected >= 0) stroke('accent', 2 / scale, (edge) => edge.includes(selected));
  if (chosen >= 0) stroke('accent', 3 / scale, (_, index) => index === chosen);
}

/** The edge at a point of the plane, or near it. */
export function edgeAt(
  { context, drawing, scale }: Pick<View, 'context' | 'drawing' | 'scale'>,
  x: number,
  y: number,
): number {
  const near = NEAR / scale;
  const seen = { left: x - near, right: x + near, top: y - near, bottom: y + near };
  context.save();
  context.resetTransform();
  context.lineWidth = 2 * near;
  const found = drawing.edges.findLastIndex((edge, index) => {
    context.beginPath();
    trace(context, drawing, edge, index, seen, scale >= CURVES);
    return context.isPointInStroke(x, y);
  });
  context.restore();
  return found;
}

export function paintBoxes(view: View, boxes: readonly number[], faces: Faces): void {
  const { context, drawing, scale, chosen } = view;
  const { x, y } = drawing;
  const byState: number[][] = STATES.map(() => []);
  for (const box of boxes) byState[faces.stateOf(box)]!.push(box);
  // The most important ones last, and never too small to be seen.
  for (let state = STATES.length - 1; state >= 0; state--) {
    if (byState[state]!.length === 0) continue;
    const name = STATES[state]!;
    const least = (name === 'failed' ? 4 : 1) / scale;
    const w = Math.max(BOX.width, least);
    const h = Math.max(BOX.height, least);
    const isEmpty = lookOf(name).fill === 'empty';
    context.fillStyle = colour(isEmpty ? 'pale' : name);
    context.strokeStyle = colour(name);
    context.lineWidth = Math.min(2, 1 / scale);
    context.beginPath();
    for (const box of byState[state]!) {
      context.rect(x[box]! + (BOX.width - w) / 2, y[box]! + (BOX.height - h) / 2, w, h);
    }
    context.fill();
    if (isEmpty && scale > 0.1) context.stroke();
  }
  if (scale > LABELS) {
    context.font = '13px system-ui, sans-serif';
    for (const box of boxes) {
      const isDark = lookOf(STATES[faces.stateOf(box)]!).fill !== 'empty';
      context.fillStyle = colour(isDark ? 'on-state' : 'text');
      context.fillText(drawing.boxes[box]!.label.slice(0, 24), x[box]! + 8, y[box]! + 24);
    }
  }
  context.strokeStyle = colour('accent');
  context.lineWidth = 3 / scale;
  for (const box of chosen) context.strokeRect(x[box]!, y[box]!, BOX.width, BOX.height);
}
