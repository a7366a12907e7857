// What is below each graph: zoom, closing of families, and how many tasks there are.

import type { Signal } from '@preact/signals';
import { number, plural } from '../text';

interface Zoomed {
  zoom: (by: number) => void;
  fit: () => void;
}

interface Props {
  canvas: () => Zoomed | null | undefined;
  /** The families whose tasks are boxes of their own. */
  open: Signal<ReadonlySet<string>>;
  tasks: number;
  boxes: number;
}

export function GraphTools({ canvas, open, tasks, boxes }: Props) {
  return (
    <div class="tools">
      <button type="button" onClick={() => canvas()?.zoom(1.4)} aria-label="Larger">
        +
      </button>
      <button type="button" onClick={() => canvas()?.zoom(1 / 1.4)} aria-label="Smaller">
        −
      </button>
      <button type="button" onClick={() => canvas()?.fit()}>
        All
      </button>
      {open.value.size > 0 && (
        <button
          type="button"
          onClick={() => {
            open.value = new Set();
          }}
        >
          Close families
        </button>
      )}
      <span class="faint">
        {boxes === tasks
          ? plural(tasks, 'task')
          : `${plural(tasks, 'task')} in ${boxes === 1 ? '1 box' : `${number(boxes)} boxes`}: a click opens one`}
      </span>
    </div>
  );
}
