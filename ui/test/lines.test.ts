import { expect, test } from 'vitest';
import { difference } from '../src/saving/lines';
import { random } from './graphs';

const lines = (...all: string[]) => all.join('\n');

test('what is the same is no difference', () => {
  expect(difference('', '')).toEqual([]);
  expect(difference('a\r\nb', 'a\nb')).toEqual([]);
});

test('a changed line stands beside what it was, with lines around it', () => {
  const before = lines('1', '2', '3', '4', 'old', '5', '6', '7', '8');
  const [hunk, ...more] = difference(before, before.replace('old', 'new'));
  expect(more).toEqual([]);
  expect([hunk!.left, hunk!.right]).toEqual([2, 2]);
  expect(hunk!.rows).toEqual([
    ['2', '2'],
    ['3', '3'],
    ['4', '4'],
    ['old', 'new'],
    ['5', '5'],
    ['6', '6'],
    ['7', '7'],
  ]);
});

test('places that are far from each other are told apart', () => {
  const many = Array.from({ length: 40 }, (_, i) => `line ${i}`);
  const hunks = difference(many.join('\n'), many.with(3, 'x').toSpliced(30, 1).join('\n'));
  expect(hunks.map(({ left }) => left)).toEqual([1, 28]);
  expect(hunks[1]!.rows.filter(([a, b]) => a !== b)).toEqual([['line 30', null]]);
});

test('of any two texts both are told, line by line', () => {
  const next = random(5);
  const any = () =>
    Array.from({ length: Math.floor(next() * 12) }, () => 'abcd'[Math.floor(next() * 4)]!);
  for (let i = 0; i < 500; i++) {
    const [a, b] = [any(), any()];
    const hunks = difference(a.join('\n'), b.join('\n'));
    const [left, right] = [a.length ? a : [''], b.length ? b : ['']];
    for (const hunk of hunks) {
      const of = (side: 0 | 1) => hunk.rows.map((row) => row[side]).filter((line) => line !== null);
      expect(of(0)).toEqual(left.slice(hunk.left - 1, hunk.left - 1 + of(0).length));
      expect(of(1)).toEqual(right.slice(hunk.right - 1, hunk.right - 1 + of(1).length));
    }
    // What no hunk has is the same in both.
    const rest = (all: string[], side: 0 | 1) =>
      hunks.toReversed().reduce((found, hunk) => {
        const count = hunk.rows.filter((row) => row[side] !== null).length;
        return found.toSpliced((side === 0 ? hunk.left : hunk.right) - 1, count);
      }, all);
    expect(rest(left, 0)).toEqual(rest(right, 1));
  }
});

test('texts in which nearly all differs are told at once', () => {
  const a = Array.from({ length: 20_000 }, (_, i) => `a${i}`).join('\n');
  const b = Array.from({ length: 20_000 }, (_, i) => `b${i}`).join('\n');
  const [hunk] = difference(a, b);
  expect(hunk!.rows.length).toBe(20_000);
});
