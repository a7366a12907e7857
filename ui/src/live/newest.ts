// The list of the newest runs, kept up by the frames of its live stream.

import type { Page, RunItem } from '../api/types';

export const LIMIT = 50; // runs of a page

const submitted = (run: RunItem) => run.submitted_at ?? 0;

/** The newest runs, with what the stream tells of some of them; the next page begins where it did. */
export function withNews(page: Page<RunItem>, news: readonly RunItem[]): Page<RunItem> {
  const oldest = page.items.length < LIMIT ? 0 : Math.min(...page.items.map(submitted));
  const known = new Map(page.items.map((run) => [run.run_id, run]));
  for (const run of news) if (submitted(run) >= oldest) known.set(run.run_id, run);
  const items = [...known.values()].sort(
    (a, b) => submitted(b) - submitted(a) || (a.run_id < b.run_id ? 1 : -1),
  );
  return { ...page, items };
}
