// What is drawn, where, and what of it is seen.

import type { Boxes } from './families';
import { BOX, type Edge, type Layout } from './layout';

export interface Drawing extends Boxes, Layout {
  /** Of edges, by their number, that look otherwise than the others. */
  marked?: ReadonlyMap<number, 'added' | 'removed'>;
}

/** A part of the plane: of the drawing, in its own units. */
export interface Part {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** Finds boxes by place. */
export class Places {
  private readonly columns = new Map<number, number[]>();
  private readonly xs: number[];
  readonly all: Part;

  constructor(private readonly drawing: Drawing) {
    const { x, y, boxes } = drawing;
    boxes.forEach((_, box) => {
      const column = this.columns.get(x[box]!);
      if (column) column.push(box);
      else this.columns.set(x[box]!, [box]);
    });
    for (const column of this.columns.values()) column.sort((a, b) => y[a]! - y[b]!);
    this.xs = [...this.columns.keys()].sort((a, b) => a - b);
    const all = { left: 0, top: Infinity, right: BOX.width, bottom: -Infinity };
    for (const column of this.columns.values()) {
      all.top = Math.min(all.top, y[column[0]!]!);
      all.bottom = Math.max(all.bottom, y[column.at(-1)!]! + BOX.height);
    }
    if (this.xs.length > 0) all.right = this.xs.at(-1)! + BOX.width;
    else all.top = all.bottom = 0;
    this.all = all;
  }

  /** The boxes that are at least partly within. */
  within({ left, top, right, bottom }: Part): number[] {
    const { y } = this.drawing;
    const found: number[] = [];
    for (const x of this.xs) {
      if (x > right || x + BOX.width < left) continue;
      const column = this.columns.get(x)!;
      let low = 0;
      let high = column.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (y[column[middle]!]! + BOX.height < top) low = middle + 1;
        else high = middle;
      }
      for (let i = low; i < column.length && y[column[i]!]! <= bottom; i++) found.push(column[i]!);
    }
    return found;
  }

  at(x: number, y: number): number | undefined {
    return this.within({ left: x, right: x, top: y, bottom: y })[0];
  }

  /** The next box in the direction of an arrow key: along an edge, or in the same column. */
  next(box: number, key: string): number | undefined {
    const { x, y, edges } = this.drawing;
    if (key === 'ArrowUp' || key === 'ArrowDown') {
      const column = this.columns.get(x[box]!)!;
      return column[column.indexOf(box) + (key === 'ArrowDown' ? 1 : -1)];
    }
    const [from, to] = key === 'ArrowRight' ? ([0, 1] as const) : ([1, 0] as const);
    const near = edges.filter((edge) => edge[from] === box).map((edge) => edge[to]);
    const away = (other: number) => Math.abs(y[other]! - y[box]!);
    return near.sort((a, b) => away(a) - away(b))[0];
  }
}

/** Adds the line of an edge to the path, if any of it may be seen. */
export function trace(
  context: CanvasRenderingContext2D,
  { x, y, bends }: Layout,
  [from, to]: Edge,
  index: number,
  seen: Part,
  curved: boolean,
): void {
  const startX = x[from]! + BOX.width;
  const startY = y[from]! + BOX.height / 2;
  const endX = x[to]!;
  const endY = y[to]! + BOX.height / 2;
  const bend = bends[index]!;
  let high = Math.min(startY, endY);
  let low = Math.max(startY, endY);
  for (const point of bend) {
    high = Math.min(high, point[1]);
    low = Math.max(low, point[1]);
  }
  if (startX > seen.right || endX < seen.left || low < seen.top || high > seen.bottom) return;
  context.moveTo(startX, startY);
  let lastX = startX;
  let lastY = startY;
  const curve = (nextX: number, nextY: number) => {
    const middle = (nextX - lastX) / 2;
    if (curved && nextY !== lastY) {
      context.bezierCurveTo(lastX + middle, lastY, nextX - middle, nextY, nextX, nextY);
    } else context.lineTo(nextX, nextY);
    lastX = nextX;
    lastY = nextY;
  };
  for (const [nextX, nextY] of bend) curve(nextX, nextY);
  curve(endX, endY);
}
