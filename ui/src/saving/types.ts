// What the API answers about files (docs/openapi.json).

interface FileItem {
  path: string;
  bytes: number;
  modified_at: number;
}

export interface FileList {
  items: FileItem[];
  is_git: boolean;
}

export interface FileHistory {
  saves: {
    at: number;
    by: string;
    kind: 'save' | 'delete' | 'failed';
    before: string | null;
    after: string | null;
    problems: number;
  }[];
  is_git: boolean;
  commits: { commit: string; author: string; at: number; message: string }[];
}

export type What = 'added' | 'removed' | 'changed';

/** What a text has otherwise than it had; `before` is the text as it was. */
export interface Compared {
  run_id: string | null;
  version: number | null;
  before: string;
  fields: string[];
  tasks: { task: string; what: What; fields: string[] }[];
  edges: { upstream: string; task: string; what: What }[];
}

/** What going on with a run would do: each task that would run, and why. */
export interface Resumption {
  again: Record<string, string>;
  kept: number;
  removed: string[];
  unseen: string[];
}
