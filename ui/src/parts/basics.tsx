// Small things that all pages show: states, times, texts to copy, and what there is instead of data.

import { computed, useSignal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { Problem } from '../api/client';
import { href, now } from '../app';
import { byPlace, lookOf } from '../states';
import { ago, exact, number, shown } from '../text';

export function Glyph({ state }: { state: string }) {
  const { fill, glyph } = lookOf(state);
  return (
    <svg class={`glyph ${fill}`} data-state={state} viewBox="0 0 12 12" aria-hidden="true">
      <path d={glyph} />
    </svg>
  );
}

export function State({ state }: { state: string }) {
  return (
    <span class="state">
      <Glyph state={state} />
      {lookOf(state).says}
    </span>
  );
}

/** How many tasks are in which state, as a bar; the same in words for those who don't see it. */
export function StateBar({ counts }: { counts: ReadonlyMap<string, number> }) {
  const parts = [...counts].filter(([, n]) => n > 0).sort(([a], [b]) => byPlace(a, b));
  const words = parts.map(([state, n]) => `${number(n)} ${lookOf(state).says}`).join(', ');
  return (
    <span class="bar" role="img" aria-label={words || 'no tasks yet'} title={words}>
      {parts.map(([state, n]) => (
        <i key={state} class={lookOf(state).fill} data-state={state} style={{ flexGrow: n }} />
      ))}
    </span>
  );
}

/** A moment as how long ago it was, the exact one on hover. */
export function Time({ at, zone }: { at: number | null | undefined; zone?: string }) {
  // Each second only its text is looked at, which seldom changes.
  const text = useMemo(() => computed(() => ago(at ?? 0, now.value)), [at]);
  if (at === null || at === undefined) return <span class="faint">–</span>;
  return (
    <time dateTime={new Date(at * 1000).toISOString()} title={exact(at, zone)}>
      {text}
    </time>
  );
}

async function toClipboard(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Only pages that came by TLS, or of this machine, have that.
  const field = document.createElement('textarea');
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand('copy');
  field.remove();
}

export function Copy({ text, what }: { text: string; what: string }) {
  const copied = useSignal(false);
  const copy = async () => {
    await toClipboard(text);
    copied.value = true;
    setTimeout(() => {
      copied.value = false;
    }, 1500);
  };
  return (
    <button
      type="button"
      class="copy"
      onClick={copy}
      aria-label={`Copy ${what}`}
      title={`Copy ${what}`}
    >
      {copied.value ? 'copied' : 'copy'}
    </button>
  );
}

/** A text that is copied by one click, such as an error or a command; all of it, however long. */
export function Code({ text, what }: { text: string; what: string }) {
  return (
    <div class="code">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by keyboard */}
      <pre tabIndex={0}>{shown(text)}</pre>
      <Copy text={text} what={what} />
    </div>
  );
}

type LinkProps = Omit<JSX.IntrinsicElements['a'], 'role' | 'href'> & { to: string };

export function Link({ to, ...others }: LinkProps) {
  return <a {...others} href={href(to)} />;
}

export function Waiting({ what }: { what: string }) {
  return (
    <p class="note" role="status">
      Waiting for {shown(what, 200)}…
    </p>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="note">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

const DOES: Record<number, string> = {
  0: 'Nothing is lost: runs go on by themselves. This page tries again by itself.',
  401: 'Load this page again to sign in.',
  403: 'Ask whoever runs this installation for the right to do it.',
  404: 'It may have been forgotten, or its name may be wrong.',
  429: 'Wait a moment, then try again.',
  503: 'Redis or the database cannot be reached. This page tries again by itself.',
};

/** What went wrong, and what to do. */
export function Wrong({ error, retry }: { error: unknown; retry?: () => void }) {
  const problem =
    error instanceof Problem ? error : new Problem(-1, 'Something went wrong', String(error));
  return (
    <div class="note wrong" role="alert">
      <h2>{problem.title}</h2>
      {problem.detail && problem.detail !== problem.title && <p>{shown(problem.detail, 5000)}</p>}
      {problem.errors.length > 0 && (
        <ul>
          {problem.errors.map(({ task, field, detail }) => (
            <li key={`${task}${field}${detail}`}>
              {shown([task, field].filter(Boolean).join(', '), 500)}
              {task || field ? ': ' : ''}
              {shown(detail, 2000)}
            </li>
          ))}
        </ul>
      )}
      <p>{DOES[problem.status] ?? ''}</p>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}
