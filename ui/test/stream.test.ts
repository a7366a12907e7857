import { afterEach, beforeEach, expect, test, vi } from 'vitest';

/** A browser's stream, as far as the page uses one; those that were opened, the last one at the end. */
class Source {
  static readonly CLOSED = 2;
  static opened: Source[] = [];
  readyState = 1;
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;
  private readonly listeners = new Map<string, (event: { data: string }) => void>();

  constructor() {
    Source.opened.push(this);
  }

  addEventListener(kind: string, listener: (event: { data: string }) => void): void {
    this.listeners.set(kind, listener);
  }

  tell(kind: string): void {
    this.listeners.get(kind)?.({ data: '{}' });
  }

  close(): void {
    this.readyState = Source.CLOSED;
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  Source.opened = [];
  vi.stubGlobal('EventSource', Source);
  const nothing = { addEventListener: () => {}, removeEventListener: () => {} };
  vi.stubGlobal('document', { ...nothing, hidden: false, baseURI: 'http://localhost/' });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test('a stream that says nothing for long is opened anew', async () => {
  const { follow, live } = await import('../src/live/stream');
  const stop = follow('/events', { changes: () => {} });
  Source.opened[0]!.onopen!();
  for (const kind of ['here', 'changes', 'here']) {
    vi.advanceTimersByTime(30_000);
    Source.opened[0]!.tell(kind);
  }
  expect([Source.opened.length, live.value]).toEqual([1, 'live']);
  vi.advanceTimersByTime(41_000);
  expect([Source.opened.length, live.value]).toEqual([2, 'away']);
  expect(Source.opened[0]!.readyState).toBe(Source.CLOSED);
  stop();
  vi.advanceTimersByTime(100_000);
  expect(Source.opened.length).toBe(2);
});
