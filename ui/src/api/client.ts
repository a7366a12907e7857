// Requests to the API. Every answer that is no success is a Problem (RFC 9457), also that none came.

import { signal } from '@preact/signals';

/** The path below which the interface stands: '' or such as '/pydag'. */
export const PREFIX = new URL(document.baseURI).pathname.replace(/\/$/, '');
export const API = `${PREFIX}/api/v1`;

export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly errors: readonly { task?: string; field?: string; detail: string }[] = [],
  ) {
    super(detail || title);
  }
}

const LATE_MS = 60_000;

/** Why the server doesn't let the viewer in, or no longer does; null if it does. */
export const refused = signal<Problem | null>(null);

type Query = Record<string, string | number | boolean | readonly string[] | undefined>;

export function query(params: Query): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value === undefined || value === '') continue;
    for (const each of Array.isArray(value) ? value : [value]) search.append(name, String(each));
  }
  const text = search.toString();
  return text && `?${text}`;
}

/** GET of what the API has at the path, such as '/runs'. */
export const get = <T>(path: string, params: Query = {}, signal?: AbortSignal) =>
  request<T>('GET', path + query(params), undefined, signal);

/** A body that is JSON already, such as one with a DAG as its file has it. */
export class Json {
  constructor(readonly text: string) {}
}

const written = (body: unknown) => (body instanceof Json ? body.text : JSON.stringify(body));

/** A request that changes something. The header tells the server that it comes from its own page. */
export async function request<T>(
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
  headers: Record<string, string> = {},
): Promise<T> {
  let answer: Response;
  let text: string;
  const late = AbortSignal.timeout(LATE_MS);
  try {
    answer = await fetch(API + path, {
      method,
      headers: {
        Accept: 'application/json',
        'X-Pydag': '1',
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: written(body) }),
      signal: signal ? AbortSignal.any([signal, late]) : late,
    });
    text = await answer.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, 'The server does not answer', 'Is `pydag web` still running?');
  }
  if (!answer.ok) {
    const problem = problemOf(answer, text);
    if (answer.status === 401 && path !== '/session') refused.value = problem;
    throw problem;
  }
  try {
    return (text ? JSON.parse(text) : null) as T;
  } catch {
    throw new Problem(0, 'Something else has answered', 'Something on the way is not `pydag web`.');
  }
}

function problemOf(answer: Response, text: string): Problem {
  try {
    const { title, detail, errors } = JSON.parse(text);
    return new Problem(answer.status, title ?? answer.statusText, detail ?? '', errors ?? []);
  } catch {
    return new Problem(answer.status, answer.statusText || `Answer ${answer.status}`, '');
  }
}

/** An id within a path. */
export const part = encodeURIComponent;
