"""One run, live: what events tell, and the difference of what is read anew now and then."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydag_dist.client.logs import LogReader
from pydag_dist.engine import ENDED_RUN_STATES, ENDED_TASK_STATES
from pydag_dist.engine.head import head_fields
from pydag_dist.engine.roles.watching import NO_EVENT, RunRows, TaskRow
from pydag_dist.engine.snapshot import acts_of
from pydag_dist.errors import PydagError, UnknownRun
from pydag_dist.web.columns import columns
from pydag_dist.web.live.topic import Topic, frame
from pydag_dist.web.site import Site
from pydag_dist.web.views import run_view

SHARE: Final = 20  # reading a run anew takes at most this part of the time
SOON, LATER = 0.5, 2.0  # seconds between two times, with events and without
GONE_SECONDS: Final = 30.0  # that a run which Redis has no longer is waited for
LOG_SECONDS: Final = 0.25
LOG_LINES: Final = 1_000  # that a viewer gets at first
ALL: Final = "*"  # the tasks whose log is told


class RunTopic(Topic):
    """A run and its tasks."""

    def __init__(self, site: Site, run_id: str) -> None:
        super().__init__()
        self._site, self.run_id = site, run_id
        self.cursor = NO_EVENT
        self._rows: dict[str, TaskRow] = {}
        self._run: dict[str, Any] = {}
        self._next = 0.0
        self._kept: bytes | None = None
        self._gone_at = 0.0

    def begin(self) -> None:
        """Read the run for the first time; `UnknownRun` if there is none."""
        self._run = run_view(self._site, self.run_id)
        if self._run["place"] == "history":
            self._rows = dict(self._site.rows(self.run_id))
            self._over()
            return
        found = self._site.engine.watching.rows(self.run_id)
        self._rows, self.cursor = dict(found.rows), found.event
        self._run |= self._head(found.head)
        if found.head["state"] in ENDED_RUN_STATES:
            self._over()

    def snapshot(self) -> bytes:
        """The run and all its tasks."""
        if self._kept is None:
            self._kept = frame("snapshot", {"run": self._run, "tasks": columns(self._rows)})
        return self._kept

    def advance(self, entries: Sequence[tuple[str, Mapping[str, str]]]) -> None:
        """Make frames of what has happened."""
        if self.is_over:
            return
        if entries:
            self.cursor = entries[-1][0]
        tasks = dict.fromkeys(fields["task"] for _, fields in entries if fields.get("task"))
        is_of_run = any(fields.get("kind") == "run" for _, fields in entries)
        if is_of_run or time.monotonic() >= self._next:
            self._look(is_busy=bool(entries))
        elif tasks:
            head, rows = self._site.engine.watching.some_rows(self.run_id, tasks)
            if head and head.get("state") != "queued":
                self._tell(head, rows)

    def _look(self, *, is_busy: bool = False) -> None:
        began = time.monotonic()
        try:
            found = self._site.engine.watching.rows(self.run_id)
        except UnknownRun:  # Redis has lost it, and gets it back maybe
            self._next = began + LATER
            self._gone_at = self._gone_at or began
            if began - self._gone_at > GONE_SECONDS:  # who comes again learns what there is
                self.is_over = True
                self.wake()
            return
        self._gone_at = 0.0
        cost = time.monotonic() - began
        self._next = began + max(SOON if is_busy else LATER, SHARE * cost)
        if not self._after(found.event):
            self.cursor = found.event  # of a Redis that went back in time
        self._tell_all(found)

    def _after(self, event: str) -> bool:
        """Whether the stream has what was read of it last."""
        at, last = (tuple(map(int, each.split("-"))) for each in (self.cursor, event))
        return at <= last

    def _tell_all(self, found: RunRows) -> None:
        gone = self._rows.keys() - found.rows.keys()
        head = found.head
        counts = dict(Counter(row.state for row in found.rows.values()))
        news = {"counts": counts, "total": len(found.rows), "dag_hash": head.get("dag_hash", "")}
        if gone or (self._rows and head.get("dag_hash") != self._run["dag_hash"]):
            with self.lock:
                self._rows, self._kept = dict(found.rows), None
                self._run |= self._head(head) | news
                self.add(frame("reset", {}), self.snapshot())
            self.wake()
        else:
            self._tell(head, found.rows, news)
        if head["state"] in ENDED_RUN_STATES:
            self._over()

    def _head(self, head: Mapping[str, str]) -> dict[str, Any]:
        told = head_fields(self.run_id, head)
        acts = [vars(act) for act in acts_of(head)]
        return {**told, "reason": head.get("reason"), "error": head.get("error"), "acts": acts}

    def _tell(
        self,
        head: Mapping[str, str],
        rows: Mapping[str, TaskRow],
        news: Mapping[str, Any] | None = None,
    ) -> None:
        changed = {name: row for name, row in rows.items() if self._rows.get(name) != row}
        told = {**self._head(head), **(news or {})}
        differing = {k: value for k, value in told.items() if self._run.get(k) != value}
        if not (changed or differing):
            return
        with self.lock:
            self._rows |= changed
            self._run |= differing
            self._kept = None
            if changed:
                self.add(frame("changes", columns(changed)))
            if differing:
                self.add(frame("run", differing))
        self.wake()

    def _over(self) -> None:
        """The run has ended: its last frames."""
        view = run_view(self._site, self.run_id)
        last = {k: view[k] for k in ("bytes_billed", "took", "enqueued")}
        with self.lock:
            self._run |= last
            self._kept = None
            self.add(frame("run", last), frame("end", {"state": self._run["state"]}))
            self.is_over = True
        self.wake()

    def reader_of(self, task: str) -> LogReader:
        """What reads the log of a task and its children; `PydagError` if there is none."""
        if task not in self._rows and task != ALL:
            raise PydagError(f"run {self.run_id} has no task {task!r}")
        store = self._site.engine.store
        name = None if task == ALL else task
        return LogReader(store.redis, store.prefix, self.run_id, name, self._site.log_store)

    def log_view(self, task: str) -> TasksView:
        """What a `LogReader` asks of a run, of a task and its children."""
        with self.lock:
            return TasksView(
                {
                    name: row
                    for name, row in self._rows.items()
                    if name == task
                    or name.startswith(f"{task}.")
                    or (task == ALL and (row.started_at or row.try_number > 1))
                }
            )


class TasksView:
    """Tasks as a `LogReader` looks at them."""

    def __init__(self, rows: Mapping[str, TaskRow]) -> None:
        self.tasks = {name: _Seen(row, len(rows) - 1) for name, row in rows.items()}

    @property
    def ended(self) -> bool:
        """Whether none of them will write any more."""
        return all(seen.state in ENDED_TASK_STATES for seen in self.tasks.values())


class _Seen:
    def __init__(self, row: TaskRow, children: int) -> None:
        self.state, self.try_number, self.children = row.state, row.try_number, children


class LogTopic(Topic):
    """The log of a task of a run. A frame is a batch of lines."""

    def __init__(self, run: RunTopic, task: str) -> None:
        super().__init__()
        self.run, self._task = run, task
        self._reader = run.reader_of(task)
        self._tail: list[dict[str, Any]] = []
        self._left_out = False
        self._next = 0.0
        self._reading = threading.Lock()

    def advance(self, *, at_once: bool = False) -> None:
        """Read what was written since, now and then, or `at_once`."""
        with self._reading:
            if time.monotonic() < self._next and not at_once:
                return
            began = time.monotonic()
            lines = [vars(line) for line in self._reader.read(self.run.log_view(self._task))]
            now = time.monotonic()
            self._next = now + max(LOG_SECONDS, SHARE * (now - began))
        if lines:
            with self.lock:
                self.add(frame("log", {"items": lines, "start": False}))
                self._tail += lines
                self._left_out = self._left_out or len(self._tail) > LOG_LINES
                del self._tail[:-LOG_LINES]
            self.wake()

    def snapshot(self) -> bytes:
        """The last lines."""
        return frame("log", {"items": self._tail, "start": True, "left_out": self._left_out})
