// The drawing of a DAG: edges and far boxes on a canvas, near boxes as real buttons, which can be
// focused, read aloud and searched. So 50,000 tasks move at the screen's rate.

import { type Drawing, type Part, Places } from './drawing';
import type { Faces } from './faces';
import { listen } from './gestures';
import { BOX } from './layout';
import { NearBoxes } from './near';
import { edgeAt, paintBoxes, paintEdges } from './paint';
import { forgetColours } from './palette';

const NEAREST = 2;
const NEAR = 0.5; // from this scale on boxes are buttons,
const MOST_BUTTONS = 250; // if they aren't more
const FIT = 1.1; // at most, when all is to be seen
const MARGIN = 24;

export interface Handlers {
  pick(box: number, event: MouseEvent): void;
  /** Enter or a double click. */
  open(box: number): void;
  /** By an arrow key. */
  walk?(box: number): void;
  /** A click on an edge, beside all boxes. */
  pickEdge?(edge: number): void;
  /** A click beside all boxes, and on no edge. */
  leave?(): void;
  /** What is to be read aloud. */
  say(text: string): void;
}

export class GraphCanvas {
  private readonly canvas = document.createElement('canvas');
  private readonly context = this.canvas.getContext('2d')!;
  private readonly near: NearBoxes;
  private readonly gone = new AbortController();
  private readonly sizes = new ResizeObserver(() => this.resize());
  private drawing: Drawing | null = null;
  private faces!: Faces; // of what is drawn
  private places: Places | null = null;
  private selected = -1;
  private edge = -1;
  private chosen: ReadonlySet<number> = new Set();
  private scale = 1;
  private left = 0;
  private top = 0;
  private width = 0;
  private height = 0;
  private asked = 0;
  private fits = true;

  constructor(
    private readonly host: HTMLElement,
    private readonly handlers: Handlers,
  ) {
    this.near = new NearBoxes(
      (box, event) => handlers.pick(box, event),
      (box) => handlers.open(box),
    );
    this.canvas.setAttribute('aria-hidden', 'true');
    host.append(this.canvas, this.near.layer);
    this.listen();
    this.sizes.observe(host);
    this.resize();
  }

  close(): void {
    this.gone.abort();
    this.sizes.disconnect();
    cancelAnimationFrame(this.asked);
    this.canvas.remove();
    this.near.layer.remove();
  }

  /** Draws another graph: all of it, or where the viewer has moved it, with the box that `keep` names
   * in both in its place. Whoever changes the faces then asks for it to be drawn. */
  show(drawing: Drawing, faces: Faces, keep: (drawing: Drawing) => number | undefined): void {
    const before = this.drawing;
    this.drawing = drawing;
    this.places = new Places(drawing);
    this.faces = faces;
    this.near.clear();
    const was = before ? keep(before) : undefined;
    const is = keep(drawing);
    if (before && was !== undefined && is !== undefined && !this.fits) {
      this.left += (before.x[was]! - drawing.x[is]!) * this.scale;
      this.top += (before.y[was]! - drawing.y[is]!) * this.scale;
      this.ask();
    } else this.fit();
  }

  /** Shows other things of the same boxes. */
  reface(faces: Faces): void {
    this.faces = faces;
    this.ask();
  }

  /** Light has become dark, or dark light. */
  recolour(): void {
    forgetColours();
    this.ask();
  }

  /** The box whose edges are seen, -1 for none, and others that are chosen with it. */
  select(box: number, others: Iterable<number> = []): void {
    this.selected = box;
    this.chosen = new Set(box < 0 ? others : [box, ...others]);
    this.ask();
  }

  /** The edge that is chosen, -1 for none. */
  selectEdge(edge: number): void {
    this.edge = edge;
    this.ask();
  }

  /** Shows all of it. */
  fit(): void {
    if (!this.places) return;
    const { left, top, right, bottom } = this.places.all;
    const across = (this.width - 2 * MARGIN) / (right - left);
    const down = (this.height - 2 * MARGIN) / (bottom - top);
    this.scale = Math.max(0.005, Math.min(FIT, across, down));
    this.left = this.width / 2 - ((left + right) / 2) * this.scale;
    this.top = this.height / 2 - ((top + bottom) / 2) * this.scale;
    this.fits = true;
    this.ask();
  }

  /** Moves the box into sight, if it isn't. */
  reveal(box: number, scale = this.scale): void {
    const drawing = this.drawing;
    if (!drawing || box < 0) return;
    const x = drawing.x[box]! * scale + this.left;
    const y = drawing.y[box]! * scale + this.top;
    const isSeen =
      x >= 0 &&
      y >= 0 &&
      x + BOX.width * scale <= this.width &&
      y + BOX.height * scale <= this.height;
    if (isSeen && scale === this.scale) return;
    this.scale = scale;
    this.left = this.width / 2 - (drawing.x[box]! + BOX.width / 2) * scale;
    this.top = this.height / 2 - (drawing.y[box]! + BOX.height / 2) * scale;
    this.fits = false;
    this.ask();
  }

  zoom(factor: number, x = this.width / 2, y = this.height / 2): void {
    const scale = Math.min(NEAREST, Math.max(0.005, this.scale * factor));
    this.left = x - ((x - this.left) * scale) / this.scale;
    this.top = y - ((y - this.top) * scale) / this.scale;
    this.scale = scale;
    this.fits = false;
    this.ask();
  }

  private listen(): void {
    const movable = {
      move: (dx: number, dy: number) => {
        this.left += dx;
        this.top += dy;
        this.fits = false;
        this.ask();
      },
      zoom: (factor: number, x: number, y: number) => this.zoom(factor, x, y),
      click: (event: MouseEvent) => {
        if (this.under(event) === undefined) this.beside(event);
        this.onBox(event, this.handlers.pick);
      },
      doubleClick: (event: MouseEvent) => this.onBox(event, this.handlers.open),
    };
    const options = { signal: this.gone.signal };
    listen(this.host, this.canvas, movable, this.gone.signal);
    this.host.addEventListener('keydown', (event) => this.key(event), options);
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', () => this.recolour(), options);
  }

  private beside(event: MouseEvent): void {
    const { drawing, context, scale } = this;
    const { x, y } = this.pointOf(event);
    const edge = drawing ? edgeAt({ drawing, context, scale }, x, y) : -1;
    if (edge >= 0 && this.handlers.pickEdge) this.handlers.pickEdge(edge);
    else this.handlers.leave?.();
  }

  private pointOf({ clientX, clientY }: { clientX: number; clientY: number }) {
    const { x, y } = this.host.getBoundingClientRect();
    return { x: (clientX - x - this.left) / this.scale, y: (clientY - y - this.top) / this.scale };
  }

  private onBox(event: MouseEvent, act: (box: number, event: MouseEvent) => void): void {
    const box = this.under(event);
    if (box !== undefined) act(box, event);
  }

  /** The box at a point of the window. */
  under(point: { clientX: number; clientY: number }): number | undefined {
    const { x, y } = this.pointOf(point);
    return this.places?.at(x, y);
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.drawing || !this.places) return;
    const { selected } = this;
    if (event.key === '+' || event.key === '-') this.zoom(event.key === '+' ? 1.4 : 1 / 1.4);
    else if (event.key === 'f') this.fit();
    else if (event.key === 'Enter' && selected >= 0) this.handlers.open(selected);
    else if (event.key.startsWith('Arrow')) {
      const next = selected < 0 ? 0 : this.places.next(selected, event.key);
      if (next !== undefined && next < this.drawing.boxes.length) {
        this.select(next);
        this.reveal(next, this.scale < NEAR ? 0.8 : this.scale);
        this.handlers.say(`${this.drawing.boxes[next]!.label}: ${this.faces.wordsOf(next)}`);
        this.handlers.walk?.(next);
      }
    } else return;
    event.preventDefault();
  }

  private resize(): void {
    const { width, height } = this.host.getBoundingClientRect();
    const ratio = devicePixelRatio || 1;
    this.width = width;
    this.height = height;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    if (this.fits) this.fit();
    else this.ask();
  }

  ask(): void {
    this.asked ||= requestAnimationFrame(() => {
      this.asked = 0;
      if (this.drawing) this.draw(this.drawing);
    });
  }

  private draw(drawing: Drawing): void {
    const { context, scale, left, top, width, height } = this;
    const ratio = devicePixelRatio || 1;
    const seen: Part = {
      left: -left / scale,
      top: -top / scale,
      right: (width - left) / scale,
      bottom: (height - top) / scale,
    };
    const boxes = this.places!.within(seen);
    const isNear = scale >= NEAR && boxes.length <= MOST_BUTTONS;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.setTransform(scale * ratio, 0, 0, scale * ratio, left * ratio, top * ratio);
    const { selected, chosen, edge } = this;
    const view = { context, drawing, scale, seen, selected, chosen, edge };
    paintEdges(view);
    if (!isNear) paintBoxes(view, boxes, this.faces);
    this.near.show(isNear ? boxes : [], drawing, this.faces, this.chosen);
    this.near.layer.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
  }
}
