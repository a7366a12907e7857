import { expect, test } from 'vitest';
import { byImportance, lookOf, STATES } from '../src/states';
import { ago, bytes, duration, quoted } from '../src/text';

test.each([
  [0.0004, '0 ms'],
  [0.04, '40 ms'],
  [0.0996, '0.1 s'],
  [9.94, '9.9 s'],
  [9.96, '10 s'],
  [59.4, '59 s'],
  [59.6, '1 min 00 s'],
  [3599.6, '1 h 00 min'],
  [93_784, '26 h 03 min'],
  [-1, '0 ms'],
])('%d seconds are %s', (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [42_000_000, '42 MB'],
  [999_600, '1.0 MB'],
  [1.5e12, '1.5 TB'],
])('%d bytes are %s', (count, text) => {
  expect(bytes(count)).toBe(text);
});

test('what was and what comes', () => {
  expect(ago(100, 100.4)).toBe('now');
  expect(ago(100, 190)).toBe('1 min. ago');
  expect(ago(100 + 2 * 86_400, 100)).toBe('in 2 days');
});

test('a shell gets every word as it is', () => {
  expect(quoted('sales-2026.x')).toBe('sales-2026.x');
  expect(quoted("it's $HOME; rm")).toBe("'it'\\''s $HOME; rm'");
  expect(quoted('')).toBe("''");
});

test('each state can be told without colour', () => {
  const looks = STATES.map((state) => lookOf(state));
  expect(new Set(looks.map(({ glyph }) => glyph)).size).toBe(STATES.length);
  expect(lookOf('new_state').says).toBe('new_state');
  expect(['success', 'new_state', 'failed'].sort(byImportance)[0]).toBe('failed');
});
