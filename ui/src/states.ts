// States as they are shown: by colour (style.css), glyph and fill, so that none of them is needed to
// tell two states apart. Their order is that of importance: a box of many tasks shows the first it has.

export const STATES = [
  'failed',
  'cancelling',
  'running',
  'up_for_retry',
  'deferred',
  'expanding',
  'queued',
  'ready',
  'none',
  'upstream_failed',
  'cancelled',
  'skipped',
  'success',
] as const;
export type State = (typeof STATES)[number];

export const ENDED: ReadonlySet<string> = new Set([
  'success',
  'failed',
  'upstream_failed',
  'skipped',
  'cancelled',
]);

type Fill = 'solid' | 'hatched' | 'empty';
interface Look {
  says: string;
  fill: Fill;
  /** Strokes in a square of 12 by 12. */
  glyph: string;
}

const LOOKS: Record<State, Look> = {
  failed: { says: 'failed', fill: 'solid', glyph: 'M3 3 9 9M9 3 3 9' },
  cancelling: { says: 'cancelling', fill: 'hatched', glyph: 'M3 6H9' },
  running: { says: 'running', fill: 'solid', glyph: 'M4 2.5 9.5 6 4 9.5Z' },
  up_for_retry: {
    says: 'up for retry',
    fill: 'hatched',
    glyph: 'M9.5 6A3.5 3.5 0 1 1 8.2 3.2M8.5 1V3.6H6',
  },
  deferred: { says: 'deferred', fill: 'hatched', glyph: 'M3 2H9L3 10H9Z' },
  expanding: { says: 'expanding', fill: 'hatched', glyph: 'M2 6H10M6 2V10M3 3 9 9M9 3 3 9' },
  queued: { says: 'queued', fill: 'empty', glyph: 'M3 3H9M3 6H9M3 9H9' },
  ready: { says: 'ready', fill: 'empty', glyph: 'M6 2.5A3.5 3.5 0 1 0 6 9.5A3.5 3.5 0 1 0 6 2.5' },
  none: { says: 'waiting', fill: 'empty', glyph: 'M5.5 6H6.5' },
  upstream_failed: { says: 'upstream failed', fill: 'empty', glyph: 'M6 10V3M3 6 6 2.5 9 6' },
  cancelled: { says: 'cancelled', fill: 'empty', glyph: 'M3 3H9V9H3Z' },
  skipped: { says: 'skipped', fill: 'empty', glyph: 'M3 3 6 6 3 9M6.5 3 9.5 6 6.5 9' },
  success: { says: 'success', fill: 'solid', glyph: 'M2.5 6.5 5 9 9.5 3.5' },
};

/** How a state is shown; one that this version doesn't know looks like a waiting one. */
export function lookOf(state: string): Look {
  return LOOKS[state as State] ?? { ...LOOKS.none, says: state };
}

const ORDER = new Map<string, number>(STATES.map((state, index) => [state, index]));

export const byImportance = (a: string, b: string) =>
  (ORDER.get(a) ?? STATES.length) - (ORDER.get(b) ?? STATES.length);

const PLACES = [
  ...STATES.filter((state) => ENDED.has(state)).toReversed(),
  ...STATES.filter((state) => !ENDED.has(state)),
];
const PLACE = new Map<string, number>(PLACES.map((state, index) => [state, index]));

/** By their places along a bar: what has ended at its beginning, what waits at its end. */
export const byPlace = (a: string, b: string) =>
  (PLACE.get(a) ?? PLACES.length) - (PLACE.get(b) ?? PLACES.length);

/** Whether it ended later than expected, or should have ended before that time. */
export function isLate(
  run: { expected_at: number | null; ended_at: number | null },
  at: number,
): boolean {
  return run.expected_at !== null && (run.ended_at ?? at) > run.expected_at;
}
