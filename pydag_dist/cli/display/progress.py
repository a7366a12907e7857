"""Watching a run: a table that is redrawn in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from rich.console import Console
from rich.live import Live

from pydag_dist.cli.display.live import Outlook, live_screen
from pydag_dist.cli.display.run_status import counts_text, error_line
from pydag_dist.cli.display.states import AT_WORK
from pydag_dist.cli.display.tables import duration
from pydag_dist.engine import ENDED_TASK_STATES, RunSnapshot, TaskSnapshot
from pydag_dist.visible import one_line

LINES = 200  # without a terminal, tasks of a larger DAG are shown as counts only
STILL = 5.0  # seconds without a change after which the reason is shown
AGAIN = 2.0  # seconds after which the reason is asked for again

Explain = Callable[[RunSnapshot], str]


def watch(
    snapshots: Iterable[RunSnapshot],
    console: Console,
    explain: Explain = lambda _: "",
    now: Callable[[], float] = time.monotonic,
    outlook: Callable[[RunSnapshot], Outlook] = lambda _: (time.time(), None),
) -> RunSnapshot:
    """Show a run's snapshots as they come; the last one.

    When nothing has changed for five seconds, `explain` says why, until something changes. The
    `outlook` says what time it is, and when the run may end.
    """
    pause = _Pause(explain, now)
    if not console.is_terminal or console.is_dumb_terminal:
        return _watch_lines(snapshots, console, pause)
    size = console.size
    screen = Live(console=console, auto_refresh=False)
    screen.start()
    try:
        for snapshot in snapshots:
            if console.size != size:
                # The terminal has broken its lines anew, so nobody knows where the table begins.
                screen.transient = True
                screen.stop()
                console.clear()
                size = console.size
                screen = Live(console=console, auto_refresh=False)
                screen.start()
            shown = live_screen(
                snapshot, outlook(snapshot), size.width, size.height, pause.note(snapshot)
            )
            screen.update(shown, refresh=True)
    finally:
        screen.stop()
    return snapshot


class _Pause:
    """Notices that a run stands still."""

    def __init__(self, explain: Explain, now: Callable[[], float]) -> None:
        self._explain = explain
        self._now = now
        self._seen: object = None
        self._since = self._asked = 0.0
        self._rest = AGAIN
        self._reason = ""

    def note(self, run: RunSnapshot, *, is_asked: bool = True) -> str:
        """Why nothing has changed for a while; empty if something has, or if the run is over."""
        now = self._now()
        seen = run.state, [(task.state, task.try_number) for task in run.tasks.values()]
        if seen != self._seen:
            self._seen, self._since, self._asked, self._reason = seen, now, 0.0, ""
        if run.ended or now - self._since < STILL or not is_asked:
            return ""
        if not self._asked or now - self._asked >= self._rest:
            began = time.monotonic()
            self._asked, self._reason = now, self._explain(run)
            self._rest = max(AGAIN, 20 * (time.monotonic() - began))  # a big DAG takes a while
        return self._reason


def _watch_lines(snapshots: Iterable[RunSnapshot], console: Console, pause: _Pause) -> RunSnapshot:
    shown: dict[str, tuple[str, int]] = {}
    state = counted = noted = ""
    for snapshot in snapshots:
        lines = [f"run {snapshot.run_id}: {snapshot.state}"]
        if snapshot.state == state or snapshot.ended:  # its end is the last line
            lines = []
        state = snapshot.state
        changes = _changes(shown, snapshot.tasks)
        if len(snapshot.tasks) <= LINES:
            lines += [line for line, _ in changes]
        else:
            lines += [line for line, is_bad in changes if is_bad][:LINES]
            if (counts := counts_text(snapshot.tasks.values())) != counted:
                lines.append(counts)
                counted = counts
        # A task that runs has had its line.
        still = all(task.state not in AT_WORK for task in snapshot.tasks.values())
        note = pause.note(snapshot, is_asked=still)
        if note and not noted:
            lines += note.splitlines()
        noted = note
        for line in lines:
            _say(console, line)
    _say(console, f"run {snapshot.run_id}: {snapshot.state}")
    return snapshot


def _say(console: Console, line: str) -> None:
    text = f"{time.strftime('%H:%M:%S')} {one_line(line)}"
    console.print(text, highlight=False, soft_wrap=True, markup=False)


def _changes(
    shown: dict[str, tuple[str, int]], tasks: Mapping[str, TaskSnapshot]
) -> list[tuple[str, bool]]:
    """A line for each task whose state is not as in `shown`, which is brought up to date.

    With each line stands whether something went wrong.
    """
    lines = []
    for name, task in tasks.items():
        now = (task.state, task.try_number)
        if shown.get(name) == now:
            continue
        shown[name] = now
        if line := _change(task):
            lines.append((f"{name}: {line}", task.state in {"failed", "up_for_retry"}))
    return lines


def _change(task: TaskSnapshot) -> str:
    if task.state == "running":
        again = f", try {task.try_number}" if task.try_number > 1 else ""
        return f"running on {task.worker}{again}"
    error = error_line(task.error)
    if task.state == "up_for_retry":
        return f"up_for_retry, try {task.try_number} failed: {error or 'no error'}"
    if task.state in ENDED_TASK_STATES:
        took = duration(task.started_at, task.ended_at)
        what = f": {error}" if task.state == "failed" and error else ""
        return f"{task.state}{' after ' + took if took else ''}{what}"
    return task.state if task.state in {"deferred", "cancelling", "expanding"} else ""
