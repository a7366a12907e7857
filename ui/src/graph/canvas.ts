// The drawing of a DAG: edges and far boxes on a canvas, near boxes as real buttons, which can be
// focused, read aloud and searched. So 50,000 tasks move at the screen's rate.

import { lookOf, STATES } from '../states';
import { type Drawing, type Part, Places, trace } from './drawing';
import { BOX } from './layout';
import { NearBoxes } from './near';

const NEAREST = 2;
const NEAR = 0.5; // from this scale on boxes are buttons,
const MOST_BUTTONS = 250; // if they aren't more
const LABELS = 0.3; // from this scale on boxes have their names
const CURVES = 0.25;
const FIT = 1.1; // at most, when all is to be seen
const MARGIN = 24;

export interface Handlers {
  pick(box: number): void;
  /** Enter or a double click. */
  open(box: number): void;
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
  private places: Places | null = null;
  /** Of each box how many tasks it has in each state, by `STATES`; states are ordered by importance. */
  private counts: Uint32Array = new Uint32Array();
  private selected = -1;
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
      (box) => handlers.pick(box),
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

  /** Draws another graph: all of it, or where the viewer has moved it, with this task in its place. */
  show(drawing: Drawing, task = -1): void {
    const before = this.drawing;
    this.drawing = drawing;
    this.places = new Places(drawing);
    this.counts = new Uint32Array(drawing.boxes.length * STATES.length);
    this.near.clear();
    if (before && task >= 0 && !this.fits) {
      const [was, is] = [before.boxOf[task]!, drawing.boxOf[task]!];
      this.left += (before.x[was]! - drawing.x[is]!) * this.scale;
      this.top += (before.y[was]! - drawing.y[is]!) * this.scale;
      this.ask();
    } else this.fit();
  }

  /** Takes the states of all tasks by their places in `STATES`; the children of an expanded task, of
   * which there may be many, stand for it. */
  colour(states: Uint8Array, children: ReadonlyMap<number, Uint32Array>): void {
    this.counts.fill(0);
    this.drawing?.boxOf.forEach((box, task) => {
      const from = box * STATES.length;
      const own = children.get(task);
      if (own) for (let i = 0; i < own.length; i++) this.counts[from + i]! += own[i]!;
      else this.counts[from + states[task]!]!++;
    });
    this.ask();
  }

  select(box: number): void {
    if (this.selected === box) return;
    this.selected = box;
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
    const { host } = this;
    const options = { signal: this.gone.signal };
    const fingers = new Map<number, { x: number; y: number }>();
    let moved = false;
    host.addEventListener(
      'pointerdown',
      (event) => {
        if (fingers.size === 0) moved = false;
        fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      },
      options,
    );
    addEventListener(
      'pointermove',
      (event) => {
        const last = fingers.get(event.pointerId);
        if (!last) return;
        const dx = event.clientX - last.x;
        const dy = event.clientY - last.y;
        if (!moved && Math.hypot(dx, dy) < 4) return;
        moved = true;
        const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
        if (other) {
          const before = Math.hypot(last.x - other.x, last.y - other.y);
          const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
          const { x, y } = host.getBoundingClientRect();
          this.zoom(after / Math.max(1, before), other.x - x, other.y - y);
        } else {
          this.left += dx;
          this.top += dy;
          this.fits = false;
          this.ask();
        }
        fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      },
      options,
    );
    for (const end of ['pointerup', 'pointercancel'] as const) {
      addEventListener(end, (event) => fingers.delete(event.pointerId), options);
    }
    host.addEventListener(
      'click',
      (event) => {
        // The end of a drag is no click, on a button neither.
        if (moved) event.stopPropagation();
        else if (event.target === this.canvas) {
          const box = this.under(event);
          if (box !== undefined) this.handlers.pick(box);
        }
      },
      { ...options, capture: true },
    );
    host.addEventListener(
      'dblclick',
      (event) => {
        const box = event.target === this.canvas ? this.under(event) : undefined;
        if (box !== undefined) this.handlers.open(box);
      },
      options,
    );
    host.addEventListener(
      'wheel',
      (event) => {
        event.preventDefault();
        const { x, y } = host.getBoundingClientRect();
        this.zoom(Math.exp(-event.deltaY / 300), event.clientX - x, event.clientY - y);
      },
      { ...options, passive: false },
    );
    host.addEventListener('keydown', (event) => this.key(event), options);
    matchMedia('(prefers-color-scheme: dark)').addEventListener(
      'change',
      () => this.ask(),
      options,
    );
  }

  private under({ clientX, clientY }: MouseEvent): number | undefined {
    const { x, y } = this.host.getBoundingClientRect();
    return this.places?.at(
      (clientX - x - this.left) / this.scale,
      (clientY - y - this.top) / this.scale,
    );
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
        this.selected = next;
        this.reveal(next, this.scale < NEAR ? 0.8 : this.scale);
        this.handlers.say(this.words(next));
        this.ask();
      }
    } else return;
    event.preventDefault();
  }

  private words(box: number): string {
    const { label } = this.drawing!.boxes[box]!;
    const parts = STATES.map((state, i) => [state, this.counts[box * STATES.length + i]!] as const)
      .filter(([, n]) => n > 0)
      .map(([state, n]) => (n === 1 ? lookOf(state).says : `${n} ${lookOf(state).says}`));
    return `${label}: ${parts.join(', ')}`;
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
    const style = getComputedStyle(this.host);
    this.drawEdges(drawing, seen, style);
    if (!isNear) this.drawBoxes(drawing, boxes, style);
    this.near.show(isNear ? boxes : [], drawing, this.counts, this.selected);
    this.near.layer.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
  }

  private drawEdges(drawing: Drawing, seen: Part, style: CSSStyleDeclaration): void {
    const { context, scale, selected } = this;
    const { edges } = drawing;
    const curved = scale >= CURVES;
    context.lineWidth = Math.min(1.2, 1 / scale);
    context.strokeStyle = style.getPropertyValue('--edge');
    context.globalAlpha = edges.length > 3000 && !curved ? 0.35 : 1;
    context.beginPath();
    edges.forEach((edge, index) => {
      trace(context, drawing, edge, index, seen, curved);
    });
    context.stroke();
    context.globalAlpha = 1;
    if (selected < 0) return;
    context.lineWidth = 2 / scale;
    context.strokeStyle = style.getPropertyValue('--accent');
    context.beginPath();
    edges.forEach((edge, index) => {
      if (edge.includes(selected)) trace(context, drawing, edge, index, seen, curved);
    });
    context.stroke();
  }

  private drawBoxes(drawing: Drawing, boxes: number[], style: CSSStyleDeclaration): void {
    const { context, scale, selected } = this;
    const { x, y } = drawing;
    const byState: number[][] = STATES.map(() => []);
    for (const box of boxes) byState[this.stateOf(box)]!.push(box);
    // The most important ones last, and never too small to be seen.
    for (let state = STATES.length - 1; state >= 0; state--) {
      const name = STATES[state]!;
      const least = (name === 'failed' ? 4 : 1) / scale;
      const w = Math.max(BOX.width, least);
      const h = Math.max(BOX.height, least);
      const isEmpty = lookOf(name).fill === 'empty';
      context.fillStyle = style.getPropertyValue(isEmpty ? '--pale' : `--${name}`);
      context.strokeStyle = style.getPropertyValue(`--${name}`);
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
        const isDark = lookOf(STATES[this.stateOf(box)]!).fill !== 'empty';
        context.fillStyle = style.getPropertyValue(isDark ? '--on-state' : '--text');
        context.fillText(drawing.boxes[box]!.label.slice(0, 24), x[box]! + 8, y[box]! + 24);
      }
    }
    if (selected >= 0) {
      context.strokeStyle = style.getPropertyValue('--accent');
      context.lineWidth = 3 / scale;
      context.strokeRect(x[selected]!, y[selected]!, BOX.width, BOX.height);
    }
  }

  private stateOf(box: number): number {
    const from = box * STATES.length;
    for (let state = 0; state < STATES.length; state++) if (this.counts[from + state]) return state;
    return STATES.indexOf('none');
  }
}
