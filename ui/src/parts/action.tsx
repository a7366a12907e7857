// A button that does something, with a menu that tells how to do the same in a terminal.

import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { API, request } from '../api/client';
import { may } from '../app';
import { quoted } from '../text';
import { Code, Wrong } from './basics';
import { useDoing } from './doing';

interface Request {
  method: string;
  path: string;
  body?: unknown;
}

/** The same request by curl; with a `file` its text is the body's field `dag`. */
export function curlOf({ method, path, body }: Request, file?: string): string {
  const parts = ['curl', '-X', method, '-H', quoted('Authorization: Bearer TOKEN')];
  const text = body === undefined ? '' : JSON.stringify(body);
  if (text) parts.push('-H', quoted('Content-Type: application/json'));
  if (file !== undefined) parts.push('--data-binary', '@-');
  else if (text) parts.push('-d', quoted(text));
  const line = [...parts, quoted(location.origin + API + path)].join(' ');
  if (file === undefined) return line;
  const before = quoted(`${text.slice(0, -1)}${text === '{}' ? '' : ','}"dag":`);
  return `(printf %s ${before}; cat ${quoted(file)}; printf '}') | ${line}`;
}

interface ActionProps {
  label: string;
  command: string;
  request: Request;
  needs?: string;
  /** What is asked before; nothing is, without it. */
  confirm?: string;
  disabled?: boolean;
  onDone?: (answer: unknown) => void;
  children?: ComponentChildren;
}

export function Action({
  label,
  command,
  request: to,
  needs = 'operator',
  confirm,
  disabled,
  onDone,
  children,
}: ActionProps) {
  const menu = useSignal(false);
  const asking = useSignal(false);
  const { busy, error, act } = useDoing();
  const here = useRef<HTMLDivElement>(null);
  const close = () => {
    menu.value = false;
    asking.value = false;
    error.value = null;
  };
  const open = menu.value || asking.value || error.value !== null;
  useLayoutEffect(() => {
    if (!open) return;
    const outside = (event: Event) => {
      if (!here.current?.contains(event.target as Node)) close();
    };
    const onEscape = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return;
      event.stopPropagation();
      close();
      here.current?.querySelector('button')?.focus();
    };
    document.addEventListener('pointerdown', outside);
    document.addEventListener('keydown', onEscape, true);
    return () => {
      document.removeEventListener('pointerdown', outside);
      document.removeEventListener('keydown', onEscape, true);
    };
  });
  const send = () =>
    act(async () => {
      try {
        const answer = await request(to.method, to.path, to.body);
        close();
        onDone?.(answer);
      } finally {
        asking.value = false;
      }
    });
  const allowed = may(needs);
  return (
    <div class="action" ref={here}>
      <button
        type="button"
        disabled={disabled || busy.value || !allowed}
        title={allowed ? undefined : `This needs the role ${needs}.`}
        onClick={() => {
          menu.value = false;
          if (confirm) asking.value = true;
          else send();
        }}
      >
        {busy.value ? `${label}…` : label}
      </button>
      <button
        type="button"
        class="more"
        aria-expanded={menu.value}
        aria-label={`${label}: the same in a terminal`}
        onClick={() => {
          const shown = menu.value;
          close();
          menu.value = !shown;
        }}
      >
        <span aria-hidden="true">▾</span>
      </button>
      {open && (
        <div class="menu">
          {asking.value && (
            <>
              <p>{confirm}</p>
              <button type="button" onClick={send} ref={(button) => button?.focus()}>
                {label}
              </button>{' '}
              <button type="button" class="plain" onClick={close}>
                No
              </button>
            </>
          )}
          {error.value !== null && <Wrong error={error.value} />}
          {menu.value && (
            <>
              {children}
              <p class="faint">The same in a terminal:</p>
              <Code text={command} what="the command" />
              <Code text={curlOf(to)} what="the curl line" />
            </>
          )}
        </div>
      )}
    </div>
  );
}
