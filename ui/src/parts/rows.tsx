// A long list of which only those rows are there that are seen.

import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

const SPARE = 8;

interface RowsProps {
  count: number;
  height: number;
  label: string;
  class?: string;
  /** Above the rows; stays while they scroll. */
  head?: ComponentChildren;
  /** What is to be seen: its name, and its row, or -1. It is looked for once. */
  focus?: { name: string | undefined; row: number };
  children: (index: number) => ComponentChildren;
}

export function Rows({ count, height, label, class: name = '', head, focus, children }: RowsProps) {
  const box = useRef<HTMLDivElement>(null);
  const top = useSignal(0);
  const room = useSignal(0);
  useLayoutEffect(() => {
    const element = box.current!;
    const watch = new ResizeObserver(() => {
      room.value = element.clientHeight;
    });
    room.value = element.clientHeight;
    watch.observe(element);
    return () => watch.disconnect();
  }, [room]);
  const row = focus?.row ?? -1;
  const isThere = row >= 0;
  useLayoutEffect(() => {
    const element = box.current!;
    if (!isThere) return;
    const at = row * height;
    if (at < element.scrollTop || at > element.scrollTop + element.clientHeight - 3 * height) {
      element.scrollTop = at - element.clientHeight / 2;
    }
    // Not when the row changes: nothing moves that the viewer didn't move.
  }, [focus?.name, isThere, height]);
  const first = Math.max(0, Math.floor(top.value / height) - SPARE);
  const last = Math.min(count, Math.ceil((top.value + room.value) / height) + SPARE);
  const rows: ComponentChildren[] = [];
  for (let index = first; index < last; index++) rows.push(children(index));
  return (
    <section
      class={`rows ${name}`}
      ref={box}
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by keyboard
      tabIndex={0}
      onScroll={(event) => {
        top.value = event.currentTarget.scrollTop;
      }}
    >
      {head}
      <div style={{ height: count * height, position: 'relative' }}>
        <div style={{ position: 'absolute', top: first * height, left: 0, right: 0 }}>{rows}</div>
      </div>
    </section>
  );
}
