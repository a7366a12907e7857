// What tests use of Node.
declare module 'node:child_process' {
  interface Child {
    stdin: { write(text: string): void };
    stdout: AsyncIterable<{ toString(): string }>;
    kill(): void;
  }
  export function spawn(
    command: string,
    given: string[],
    options: { cwd: string; stdio: ('pipe' | 'inherit')[] },
  ): Child;
}
declare module 'node:fs' {
  export function globSync(pattern: string): string[];
  export function readFileSync(path: string, encoding: 'utf8'): string;
}
declare const process: { env: Record<string, string | undefined> };
