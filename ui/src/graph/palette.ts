// The colours of the style as a canvas takes them: CSS has each once, as a pair for light and dark.

const probe = document.createElement('span');
probe.hidden = true;
const known = new Map<string, string>();

/** What the variable `--name` means now. */
export function colour(name: string): string {
  let found = known.get(name);
  if (found === undefined) {
    if (!probe.isConnected) document.body.append(probe);
    probe.style.color = `var(--${name})`;
    found = getComputedStyle(probe).color;
    known.set(name, found);
  }
  return found;
}

/** Between light and dark all colours change. */
export function forgetColours(): void {
  known.clear();
}
