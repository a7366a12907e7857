import { expect, test } from 'vitest';
import { byImportance, byPlace, lookOf, STATES } from '../src/states';
import { ago, bytes, duration, exact, price, quoted, shown } from '../src/text';

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

test('a moment is shown in its zone, summer and winter', () => {
  expect(exact(1e9, 'UTC')).toBe('2001-09-09 01:46:40 UTC');
  expect(exact(1e9, 'Europe/Berlin')).toBe('2001-09-09 03:46:40 CEST');
  expect(exact(1.01e9, 'Europe/Berlin')).toBe('2002-01-02 20:33:20 CET');
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
  const along = ['none', 'running', 'new_state', 'failed', 'success'].sort(byPlace);
  expect(along).toEqual(['success', 'failed', 'running', 'none', 'new_state']);
});

test('a text of somebody is shown with all that is in it, and does nothing', () => {
  const esc = String.fromCharCode(27);
  const bel = String.fromCharCode(7);
  expect(shown(`${esc}[1;31mred${esc}[0m ${esc}[2Jgone`)).toBe('red gone');
  expect(shown(`${esc}]8;;javascript:alert(1)${bel}link${esc}]8;;${esc}\\`)).toBe('link');
  expect(shown('\u202egnp.exe')).toBe('⟨202E⟩gnp.exe');
  expect(shown('a\u200bb\u2066c\0d\r\ne\tf')).toBe('a⟨200B⟩b⟨2066⟩c⟨0000⟩d\ne\tf');
  expect(shown('👩\u200d🚀 äöü 漢字 עברית')).toBe('👩\u200d🚀 äöü 漢字 עברית');
  expect(shown('<img src=x onerror=1>')).toBe('<img src=x onerror=1>');
  expect(shown('x'.repeat(1_000_000)).length).toBe(100_001);
});

test.each([
  [0, '$0.00'],
  [10_485_760, 'less than $0.01'],
  [2 ** 40, '$6.25'],
  [2 ** 42, '$25.00'],
])('%i billed bytes cost %s', (billed, says) => {
  expect(price(billed)).toBe(says);
});
