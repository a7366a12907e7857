// The file that is edited, as the server has it.

import { get, Problem } from '../api/client';

export interface File {
  path: string;
  text: string;
  /** Null of a file that isn't there yet. */
  etag: string | null;
}

export const encoded = (path: string) => path.split('/').map(encodeURIComponent).join('/');
export const addressOf = (path: string) => `/edit/${encoded(path)}`;

/** The file, or what one of that name begins with. */
export async function load(path: string, signal?: AbortSignal): Promise<File> {
  try {
    return await get<File>(`/files/${encoded(path)}`, {}, signal);
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 404) throw problem;
    await get('/files', {}, signal); // says so if there is no folder
    return { path, text: beginningOf(path), etag: null };
  }
}

function beginningOf(path: string): string {
  const id = path.replace(/\.json$/, '').replace(/[^A-Za-z0-9_.-]+/g, '.');
  return `${JSON.stringify({ dag_id: id, tasks: [] }, null, 2)}\n`;
}

/** What was not saved yet when its page was left, by path. */
export const drafts = new Map<string, { file: File; text: string }>();
