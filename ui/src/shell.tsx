// What is around every page: where to go, and whether what is shown is live.

import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import { me, path } from './app';
import { live } from './live/stream';
import { Link } from './parts/basics';

const PLACES = [
  ['/', 'Runs'],
  ['/dags', 'DAGs'],
  ['/edit/', 'Files'],
  ['/schedules', 'Schedules'],
  ['/fleet', 'Fleet'],
  ['/settings', 'Settings'],
] as const;

const isAt = (place: string) =>
  place === '/'
    ? path.value === '/' || path.value.startsWith('/runs')
    : path.value.startsWith(place);

const SAYS = { live: 'live', away: 'connecting again…', closed: '' };

export function Shell({ children }: { children: ComponentChildren }) {
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="shell">
        <Link to="/" class="name">
          pydag
        </Link>
        <nav aria-label="Pages">
          {PLACES.map(([to, says]) => (
            <Link key={to} to={to} aria-current={isAt(to) ? 'page' : undefined}>
              {says}
            </Link>
          ))}
        </nav>
        <span class={`stream ${live.value}`} role="status">
          {SAYS[live.value]}
        </span>
        <span class="who" title={me.value ? `role ${me.value.role}` : undefined}>
          {me.value?.user}
        </span>
      </header>
      <main id="main" tabIndex={-1}>
        {children}
      </main>
    </>
  );
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · pydag`;
  }, [title]);
}
