// Where the viewer is, and what of the surroundings all pages share.

import { computed, effect, signal } from '@preact/signals';
import { get, PREFIX, refused } from './api/client';
import type { Me } from './api/types';

const place = signal(location.pathname + location.search);
addEventListener('popstate', () => {
  place.value = location.pathname + location.search;
});

/** The address below the prefix. */
export const address = computed(() => new URL(place.value.slice(PREFIX.length) || '/', 'http://x'));
export const path = computed(() => address.value.pathname);
export const search = computed(() => address.value.searchParams);

export const href = (to: string) => PREFIX + to;

/** Show what is at the address, such as '/runs/R', without loading the page anew. */
export function go(to: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, '', href(to));
  else history.pushState(null, '', href(to));
  place.value = location.pathname + location.search;
}

/** The same page with some of its settings changed; '' removes one. */
export function goWith(changes: Record<string, string>, { replace = true } = {}): void {
  const params = new URLSearchParams(search.value);
  for (const [name, value] of Object.entries(changes)) {
    if (value) params.set(name, value);
    else params.delete(name);
  }
  const text = params.toString();
  go(path.value + (text && `?${text}`), { replace });
}

// A click on a link of ours stays within the page.
addEventListener('click', (event) => {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element).closest?.('a');
  if (!link || link.target || link.origin !== location.origin || link.hasAttribute('download'))
    return;
  if (PREFIX && !link.pathname.startsWith(`${PREFIX}/`)) return;
  if (link.hash && link.pathname === location.pathname) return;
  event.preventDefault();
  go(link.pathname.slice(PREFIX.length) + link.search);
});

// The server's clock, whatever this machine's says: what it said, and what has passed since. That is
// asked for anew whenever somebody looks again, since nothing may have passed while a laptop slept.
let base = Date.now() / 1000;
let since = performance.now();
const clock = () => base + (performance.now() - since) / 1000;
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) meet().catch(() => {});
});

/** Epoch seconds by the server's clock, as all times are, once a second while somebody looks. */
export const now = signal(clock());
setInterval(() => {
  if (!document.hidden) now.value = clock();
}, 1000);

/** Who the server says that the viewer is; null until it has answered. */
export const me = signal<Me | null>(null);
export async function meet(): Promise<void> {
  const found = await get<Me>('/me');
  base = found.now;
  since = performance.now();
  now.value = clock();
  me.value = found;
  refused.value = null;
}

const RIGHTS = ['viewer', 'operator', 'editor', 'admin'];
export const may = (role: string) =>
  me.value !== null && RIGHTS.indexOf(me.value.role) >= RIGHTS.indexOf(role);

// Light and dark: the system's, unless the viewer has chosen.
type Theme = 'system' | 'light' | 'dark';
export const theme = signal((localStorage.getItem('pydag-theme') as Theme | null) ?? 'system');
effect(() => {
  if (theme.value === 'system') {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem('pydag-theme');
  } else {
    document.documentElement.dataset.theme = theme.value;
    localStorage.setItem('pydag-theme', theme.value);
  }
});
