// What tasks may run, by family: dragged to the graph, or chosen by Enter.

import { useSignal } from '@preact/signals';
import type { RefObject } from 'preact';
import { useEffect } from 'preact/hooks';
import { familyOf, type Operator } from './known';

interface Props {
  operators: readonly Operator[];
  isReadOnly: boolean;
  search: RefObject<HTMLInputElement | null>;
  /** At a point of the window, or behind the task that is chosen, which it waits for if `chained`. */
  onAdd: (
    operator: Operator,
    how: { at?: { clientX: number; clientY: number }; chained?: boolean },
  ) => void;
}

const SLACK = 5;

export function Palette({ operators, isReadOnly, search, onAdd }: Props) {
  const wanted = useSignal('');
  const words = wanted.value.toLowerCase().split(/\s+/);
  const found = operators.filter(({ name, help }) =>
    words.every((word) => `${name} ${help}`.toLowerCase().includes(word)),
  );
  const families = new Map<string, Operator[]>();
  for (const each of found) {
    const family = familyOf(each);
    families.set(family, [...(families.get(family) ?? []), each]);
  }
  return (
    <section class="palette" aria-label="Palette">
      <input
        ref={search}
        aria-label="Search for an operator; Enter adds the first one"
        placeholder="Search operators"
        value={wanted.value}
        onInput={(event) => {
          wanted.value = event.currentTarget.value;
        }}
        onKeyDown={(event) => {
          if (event.key === 'Enter' && found[0] && !isReadOnly) {
            onAdd(found[0], { chained: event.shiftKey });
            wanted.value = '';
          }
        }}
      />
      <p class="faint">
        {isReadOnly
          ? 'To add tasks you need the role editor.'
          : 'Drag to the graph, or press Enter. Shift+Enter: it waits for the chosen task.'}
      </p>
      {found.length === 0 && <p>No operator is called so.</p>}
      {[...families].map(([family, those]) => (
        <fieldset key={family} aria-label={family} disabled={isReadOnly}>
          <h2>{family}</h2>
          {those.map((each) => (
            <Item key={each.name} operator={each} onAdd={onAdd} />
          ))}
        </fieldset>
      ))}
    </section>
  );
}

function Item({ operator, onAdd }: Pick<Props, 'onAdd'> & { operator: Operator }) {
  const drag = useSignal<{ x: number; y: number; moved: boolean } | null>(null);
  useEffect(() => () => document.querySelector('.dragged')?.remove(), []);
  const move = (event: PointerEvent) => {
    const { value: from } = drag;
    if (!from) return;
    const moved = from.moved || Math.hypot(event.clientX - from.x, event.clientY - from.y) > SLACK;
    if (!moved) return;
    if (!from.moved) {
      drag.value = { ...from, moved };
      const ghost = document.createElement('div');
      ghost.className = 'dragged';
      ghost.textContent = operator.name;
      document.body.append(ghost);
    }
    const ghost = document.querySelector<HTMLElement>('.dragged');
    if (ghost) {
      ghost.style.left = `${event.clientX}px`;
      ghost.style.top = `${event.clientY}px`;
    }
  };
  const end = () => {
    drag.value = null;
    document.querySelector('.dragged')?.remove();
  };
  return (
    <button
      type="button"
      class="operator"
      title={operator.help}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        drag.value = { x: event.clientX, y: event.clientY, moved: false };
      }}
      onPointerMove={move}
      onPointerUp={(event) => {
        if (drag.value?.moved) onAdd(operator, { at: event });
        end();
      }}
      onPointerCancel={end}
      onKeyDown={(event) => {
        if (event.key !== 'Enter') return;
        event.preventDefault();
        onAdd(operator, { chained: event.shiftKey });
      }}
      onDblClick={() => onAdd(operator, {})}
    >
      {operator.name}
    </button>
  );
}
