// Edges and far boxes on a canvas.

import { lookOf, STATES } from '../states';
import { type Drawing, type Part, trace } from './drawing';
import type { Faces } from './faces';
import { BOX } from './layout';
import { colour } from './palette';

const LABELS = 0.3; // from this scale on boxes have their names
const CURVES = 0.25;
const MANY = 3000; // edges that are too many to be seen one by one

export interface View {
  context: CanvasRenderingContext2D;
  drawing: Drawing;
  scale: number;
  seen: Part;
  selected: number;
  chosen: ReadonlySet<number>;
}

export function paintEdges({ context, drawing, scale, seen, selected }: View): void {
  const { edges } = drawing;
  const curved = scale >= CURVES;
  context.lineWidth = Math.min(1.2, 1 / scale);
  context.strokeStyle = colour('edge');
  context.globalAlpha = edges.length > MANY && !curved ? 0.35 : 1;
  context.beginPath();
  edges.forEach((edge, index) => {
    trace(context, drawing, edge, index, seen, curved);
  });
  context.stroke();
  context.globalAlpha = 1;
  if (selected < 0) return;
  context.lineWidth = 2 / scale;
  context.strokeStyle = colour('accent');
  context.beginPath();
  edges.forEach((edge, index) => {
    if (edge.includes(selected)) trace(context, drawing, edge, index, seen, curved);
  });
  context.stroke();
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
