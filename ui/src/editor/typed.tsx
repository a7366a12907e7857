// A line of text that counts when it is left: nothing else that changes meanwhile takes it away.

import type { RefObject, TargetedKeyboardEvent } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

interface Props {
  value: string | number;
  onCommit: (input: HTMLInputElement) => void;
  field?: RefObject<HTMLInputElement | null>;
  class?: string;
  'aria-label'?: string;
  type?: 'number';
  step?: number | 'any';
  min?: number | undefined;
  max?: number | undefined;
  onKeyDown?: (event: TargetedKeyboardEvent<HTMLInputElement>) => void;
}

/** An input that has `value` until somebody types; a plain one would get it at each drawing. */
export function Typed({ value, onCommit, field, ...others }: Props) {
  const own = useRef<HTMLInputElement | null>(null);
  const input = field ?? own;
  useLayoutEffect(() => {
    if (input.current) input.current.value = String(value);
  }, [value]);
  return <input {...others} ref={input} onChange={(event) => onCommit(event.currentTarget)} />;
}
