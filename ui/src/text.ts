// Times, lengths of time, sizes and counts as words.

const UNITS: [seconds: number, name: Intl.RelativeTimeFormatUnit][] = [
  [86_400, 'day'],
  [3600, 'hour'],
  [60, 'minute'],
  [1, 'second'],
];
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' });

/** Such as "3 min. ago", or "in 2 days", of epoch seconds. */
export function ago(at: number, now: number): string {
  const seconds = at - now;
  if (Math.abs(seconds) < 1) return 'now';
  const [size, unit] = UNITS.find(([size]) => Math.abs(seconds) >= size) ?? [1, 'second'];
  return relative.format(Math.trunc(seconds / size), unit);
}

// Making one takes seventy times as long as using it.
const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone);
  if (known) return known;
  const made = new Intl.DateTimeFormat('sv', {
    ...(timeZone ? { timeZone } : {}),
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    timeZoneName: 'short',
  });
  formats.set(timeZone, made);
  return made;
}

/** A moment in the zone, the viewer's own by default, which is named. */
export function exact(at: number, timeZone = ''): string {
  return formatOf(timeZone).format(at * 1000);
}

export function clock(at: number): string {
  return new Date(at * 1000).toLocaleTimeString('sv');
}

/** Such as "8 ms", "0.4 s", "12 s", "3 min 05 s", "2 h 10 min". */
export function duration(seconds: number): string {
  if (seconds < 0.0995) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const pad = (n: number) => String(n).padStart(2, '0');
  if (whole < 3600) return `${Math.trunc(whole / 60)} min ${pad(whole % 60)} s`;
  return `${Math.trunc(whole / 3600)} h ${pad(Math.trunc((whole % 3600) / 60))} min`;
}

export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 99.5 ? value.toFixed(0) : value.toPrecision(2)} ${units[unit]}`;
}

export const number = (count: number) => count.toLocaleString('en');

export const plural = (count: number, what: string) =>
  `${number(count)} ${what}${count === 1 ? '' : 's'}`;

/** For a shell: as it is if it is plain, else in quotes. */
export const quoted = (word: string) =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

// Colours and movements of terminals, such as ESC [31m; a link of one ends by BEL or ESC \\.
const ESC = String.fromCharCode(27);
const BEL = String.fromCharCode(7);
const TERMINAL = new RegExp(
  `${ESC}(?:\\[[0-?]*[ -/]*[@-~]|\\][^${BEL}${ESC}]*(?:${BEL}|${ESC}\\\\)|[@-Z^_])`,
  'g',
);
// What is not seen, or turns what follows around: it could make a text look like another one. Emoji
// are joined by U+200D.
const UNSEEN = /(?![\n\t\u200d])[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/** A text of somebody's program as it is shown: all that is in it is seen, at most so many characters. */
export function shown(text: string, most = 100_000): string {
  const cut = text.length > most ? `${text.slice(0, most)}…` : text;
  return cut
    .replace(/\r\n/g, '\n')
    .replace(TERMINAL, '')
    .replace(UNSEEN, (c) => `⟨${c.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}⟩`);
}

/** What BigQuery asks for on demand, in US dollars for 2^40 bytes, as `pydag estimate` counts it. */
const PRICE = 6.25;

/** Such as "$0.04" of billed bytes. */
export function price(billed: number): string {
  const dollars = (billed / 2 ** 40) * PRICE;
  return dollars > 0 && dollars < 0.01 ? 'less than $0.01' : `$${dollars.toFixed(2)}`;
}

export const priceNote = `On demand at $${PRICE} a TiB; reservations cost otherwise`;
