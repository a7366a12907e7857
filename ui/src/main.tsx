import { useSignal } from '@preact/signals';
import { type ComponentChildren, render } from 'preact';
import { useEffect } from 'preact/hooks';
import { refused } from './api/client';
import { me, meet, path } from './app';
import { ComparePage } from './pages/compare';
import { DagPage } from './pages/dag';
import { DagsPage } from './pages/dags';
import { FleetPage } from './pages/fleet';
import { RunPage } from './pages/run';
import { RunsPage } from './pages/runs';
import { SchedulesPage } from './pages/schedules';
import { SettingsPage } from './pages/settings';
import { SignIn } from './pages/sign-in';
import { Link, Waiting, Wrong } from './parts/basics';
import { Show, useLoaded } from './parts/loaded';
import { Shell } from './shell';

const ID = '([^/]+)';
const PAGES: [pattern: RegExp, page: (...ids: string[]) => ComponentChildren][] = [
  [/^\/$/, () => <RunsPage />],
  [new RegExp(`^/runs/${ID}$`), (run) => <RunPage key={run} runId={run!} />],
  [
    new RegExp(`^/runs/${ID}/tasks/${ID}$`),
    (run, task) => <RunPage key={run} runId={run!} task={task!} />,
  ],
  [new RegExp(`^/runs/${ID}/compare/${ID}$`), (a, b) => <ComparePage a={a!} b={b!} />],
  [/^\/dags$/, () => <DagsPage />],
  [new RegExp(`^/dags/${ID}$`), (dag) => <DagPage key={dag} dagId={dag!} />],
  [/^\/schedules$/, () => <SchedulesPage />],
  [/^\/fleet$/, () => <FleetPage />],
  [/^\/settings$/, () => <SettingsPage />],
  [/^\/edit\/(.*)$/, (file) => <Editor key={file} file={file!} />],
];

/** A bundle of its own, since most visits need none of it. */
function Editor({ file }: { file: string }) {
  const page = useLoaded('', () => import('./editor/page'));
  return (
    <Show of={page} what="the editor">
      {({ EditorPage }) => <EditorPage file={file} />}
    </Show>
  );
}

function decoded(ids: string[]): string[] | null {
  try {
    return ids.map(decodeURIComponent);
  } catch {
    return null; // a % that says nothing
  }
}

function Pages() {
  for (const [pattern, page] of PAGES) {
    const found = pattern.exec(path.value);
    const ids = found && decoded(found.slice(1));
    if (ids) return <>{page(...ids)}</>;
  }
  return (
    <div class="page">
      <h1>There is no such page</h1>
      <p>
        <Link to="/">All runs</Link>
      </p>
    </div>
  );
}

function App() {
  const error = useSignal<unknown>(null);
  const turn = useSignal(0);
  const asked = turn.value;
  useEffect(() => {
    meet().then(
      () => {
        error.value = null;
      },
      (problem) => {
        error.value = problem;
      },
    );
  }, [asked]);
  const again = () => {
    turn.value++;
  };
  return (
    <Shell>
      {refused.value ? (
        <SignIn why={refused.value} onDone={again} />
      ) : me.value ? (
        <Pages />
      ) : error.value ? (
        <Wrong error={error.value} retry={again} />
      ) : (
        <Waiting what="the server" />
      )}
    </Shell>
  );
}

render(<App />, document.getElementById('app')!);
