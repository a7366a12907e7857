// Which lines of a text differ from those of another one.

/** Lines of both texts that stand beside each other; what both have is there once for both. */
interface Hunk {
  /** Numbers of the first line of each, from 1 on. */
  left: number;
  right: number;
  rows: readonly Row[];
}

/** `null`: this text has no such line. */
export type Row = readonly [left: string | null, right: string | null];

const AROUND = 3; // lines that are shown before and after
const MOST_STEPS = 500; // lines that are looked for one by one; more are all told as changed

/** The lines that differ, with some around them. */
export function difference(left: string, right: string): Hunk[] {
  const [a, b] = [left.split(/\r\n|\n|\r/), right.split(/\r\n|\n|\r/)];
  const same = pairs(a, b);
  same.push([a.length, b.length]);
  const hunks: { left: number; right: number; rows: Row[] }[] = [];
  let [i, j] = [0, 0];
  let open: (typeof hunks)[number] | null = null;
  let quiet = 0; // lines since the last one that differs
  for (const [x, y] of same) {
    if (x > i || y > j) {
      if (!open) {
        const before = Math.min(AROUND, i, j);
        open = { left: i - before + 1, right: j - before + 1, rows: [] };
        for (let k = before; k > 0; k--) open.rows.push([a[i - k]!, b[j - k]!]);
        hunks.push(open);
      }
      for (let k = 0; k < Math.max(x - i, y - j); k++) {
        open.rows.push([i + k < x ? a[i + k]! : null, j + k < y ? b[j + k]! : null]);
      }
      quiet = 0;
    }
    if (x < a.length && open) {
      open.rows.push([a[x]!, b[y]!]);
      quiet++;
      if (quiet > 2 * AROUND) {
        open.rows.length -= quiet - AROUND;
        open = null;
      }
    }
    [i, j] = [x + 1, y + 1];
  }
  if (open && quiet > AROUND) open.rows.length -= quiet - AROUND;
  return hunks;
}

/** Which lines are the same ones, in order: as many as there can be (Myers). */
function pairs(a: readonly string[], b: readonly string[]): [number, number][] {
  let first = 0;
  while (first < a.length && first < b.length && a[first] === b[first]) first++;
  let last = 0;
  const most = Math.min(a.length, b.length) - first;
  while (last < most && a[a.length - 1 - last] === b[b.length - 1 - last]) last++;
  const found: [number, number][] = [];
  for (let i = 0; i < first; i++) found.push([i, i]);
  const middle = shortest(a.slice(first, a.length - last), b.slice(first, b.length - last));
  for (const [i, j] of middle) found.push([first + i, first + j]);
  for (let i = last; i > 0; i--) found.push([a.length - i, b.length - i]);
  return found;
}

function shortest(a: readonly string[], b: readonly string[]): [number, number][] {
  const furthest = new Map([[1, 0]]);
  const trail: Map<number, number>[] = [];
  for (let steps = 0; steps <= Math.min(a.length + b.length, MOST_STEPS); steps++) {
    trail.push(new Map(furthest));
    for (let k = -steps; k <= steps; k += 2) {
      let x = goesDown(furthest, k, steps) ? furthest.get(k + 1)! : furthest.get(k - 1)! + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      furthest.set(k, x);
      if (x >= a.length && x - k >= b.length) return back(trail, a.length, b.length);
    }
  }
  return [];
}

const goesDown = (furthest: ReadonlyMap<number, number>, k: number, steps: number) =>
  k === -steps || (k !== steps && furthest.get(k - 1)! < furthest.get(k + 1)!);

function back(trail: readonly Map<number, number>[], x: number, y: number): [number, number][] {
  const found: [number, number][] = [];
  for (let steps = trail.length - 1; steps >= 0; steps--) {
    const furthest = trail[steps]!;
    const k = x - y;
    const before = goesDown(furthest, k, steps) ? k + 1 : k - 1;
    const from = furthest.get(before)!;
    while (x > from && y > from - before && x > 0 && y > 0) found.push([--x, --y]);
    [x, y] = [from, from - before];
  }
  return found.reverse();
}
