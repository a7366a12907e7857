"""One run, as a client sees it by REST."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydag_dist.client.logs import ALL_LINES, LogFilter, LogLine
from pydag_dist.client.marking import packed
from pydag_dist.client.rest.frames import Frame
from pydag_dist.client.rest.parsing import made, snapshot_of
from pydag_dist.client.rest.service import Service, path_of
from pydag_dist.client.resuming import Resumption
from pydag_dist.client.run import MarkedState, Run
from pydag_dist.dag.ids import is_id
from pydag_dist.engine import ENDED_TASK_STATES, Event, RunSnapshot, unknown_run
from pydag_dist.errors import EngineError, PydagError, UnknownRun
from pydag_dist.why import Reason

if TYPE_CHECKING:
    from pydag_dist.dag import Dag

ALL = "*"  # the tasks whose log is followed


class RestRun(Run):
    """A run by its id; every property asks the service anew."""

    def __init__(
        self,
        run_id: str,
        service: Service,
        resubmit: Callable[[], bool] | None = None,
        *,
        is_new: bool = False,
    ) -> None:
        self.id, self.is_new = run_id, is_new
        self._service, self._resubmit = service, resubmit
        self._seen = "0"  # the newest event that it has heard of
        self._retries = service  # type: ignore[assignment]  # as far as `Run` asks

    def _path(self, *names: str) -> str:
        if not all(is_id(name) for name in (self.id, *names)):
            raise unknown_run(self.id) if not is_id(self.id) else self._no_task(names[1])
        return path_of("runs", self.id, *names)

    def _no_task(self, task: str) -> PydagError:
        return PydagError(
            f"run {self.id} has no task {task!r}: `pydag status {self.id}` lists them"
        )

    def _state(self) -> str | None:
        try:
            return str(self._service.get(self._path())["state"])
        except UnknownRun:
            return None

    def snapshot(self) -> RunSnapshot:
        """The run and all of its tasks at one moment."""
        return snapshot_of(self._service.get(self._path("status")))

    def logs(
        self,
        task: str | None = None,
        wanted: LogFilter = ALL_LINES,
        *,
        seen: RunSnapshot | None = None,  # noqa: ARG002  the service knows the history
    ) -> list[LogLine]:
        """The log lines of one task and its children, or of all by their times, all tries."""
        query: list[tuple[str, str | float]] = [("as", "ndjson"), ("level", wanted.level)]
        query += [("task", task)] if task is not None else []
        query += [("since", wanted.since)] if wanted.since is not None else []
        query += [("q", wanted.text)] if wanted.text else []
        try:
            lines = self._service.lines(self._path("logs"), query)
        except UnknownRun:
            raise
        except EngineError:
            raise self._no_task(str(task)) from None
        # An older service does not know all of them.
        return [found for line in lines if wanted.fits(found := made(LogLine, line))]

    def follow_logs(
        self, task: str | None = None, wanted: LogFilter = ALL_LINES
    ) -> Iterator[LogLine]:
        """The log lines that are there and, as they come, those written until the run's end."""
        return filter(wanted.fits, self._follow_logs(task))

    def _follow_logs(self, task: str | None) -> Iterator[LogLine]:
        told = _Told(lambda: self.logs(task))
        while True:
            self._resubmitting(lambda: self.state)
            frames = self._service.follow(self._path("events"), [("log", task or ALL)])
            try:
                for frame in frames:
                    if frame.kind == "log":
                        yield from told.new_of(frame.data)
                    if frame.kind == "end" or (task and _has_ended(task, frame)):
                        yield from told.rest()
                        return
            except UnknownRun:
                if self._resubmit is None:
                    raise

    def events(self, after: str = "0", *, timeout: float | None = None) -> list[Event]:
        """What happened after that event; waits `timeout` seconds for something if need be."""
        wait = 0 if timeout is None else max(1, math.ceil(timeout))
        found = self._service.get(self._path("changes"), [("after", after)], wait=wait)
        return [made(Event, event) for event in found["items"]]

    def _newest(self) -> str:
        return self._seen

    def _happens(self, after: str, seconds: float) -> bool:
        found = self.events(after, timeout=seconds)
        self._seen = found[-1].id if found else after
        return bool(found)

    def _cancel(self) -> str:
        return str(self._service.send("POST", self._path("cancel"))["state"])

    def resumption(self, from_task: str | None = None, dag: Dag | None = None) -> Resumption:
        """What `resume` would run again, and why; nothing is changed."""
        body = {**_resume(from_task, dag), "dry_run": True}
        return made(Resumption, self._service.send("POST", self._path("resume"), body))

    def _resume(self, from_task: str, dag: Dag | None) -> None:
        self._service.send("POST", self._path("resume"), _resume(from_task, dag), may_repeat=False)

    def mark(self, task: str, state: MarkedState, result: Any = None) -> None:
        """Say how a task ended, since somebody did its work, or knows that it need not be done."""
        packed(task, state, result)
        body = {"state": state, "result": result}
        self._service.send("POST", self._path("tasks", task, "mark"), body, may_repeat=False)

    def why(self, task: str | None = None) -> str:
        """Why that task, or the run, is where it is."""
        reasons = self.reasons() if task is None else self._reasons("tasks", task, "why")
        return "\n".join(reason.why for reason in reasons)

    def reasons(self, seen: RunSnapshot | None = None) -> list[Reason]:
        """The sentences of `why` without a task, with the tasks that they are about."""
        del seen  # the service looks itself
        return self._reasons("why")

    def _reasons(self, *names: str) -> list[Reason]:
        found = self._service.get(self._path(*names))["reasons"]
        return [made(Reason, reason) for reason in found]


class _Told:
    """Which lines were told, so that none is told twice, whatever is read anew."""

    def __init__(self, read: Callable[[], list[LogLine]]) -> None:
        self._read = read
        self._told: Counter[LogLine] = Counter()
        self._ahead: Counter[LogLine] = Counter()  # told before the stream has come to them

    def new_of(self, data: Mapping[str, Any]) -> Iterator[LogLine]:
        """Those of a frame that were not told."""
        lines = [made(LogLine, line) for line in data["items"]]
        if data["start"] and data["left_out"]:  # the last lines only
            new = list(self.rest())
            self._ahead = Counter(new) - Counter(lines)
            yield from new
        elif data["start"]:
            self._ahead.clear()
            yield from self._new(lines)
        else:
            for line in lines:
                if self._ahead[line] > 0:
                    self._ahead[line] -= 1
                else:
                    self._told[line] += 1
                    yield line

    def rest(self) -> Iterator[LogLine]:
        """Those of all that there are that were not told."""
        return self._new(self._read())

    def _new(self, lines: Iterable[LogLine]) -> Iterator[LogLine]:
        seen: Counter[LogLine] = Counter()
        for line in lines:
            seen[line] += 1
            if seen[line] > self._told[line]:
                self._told[line] += 1
                yield line


def _has_ended(task: str, frame: Frame) -> bool:
    columns = frame.data["tasks"] if frame.kind == "snapshot" else frame.data
    if frame.kind not in {"snapshot", "changes"} or task not in columns["task"]:
        return False
    place = columns["state"][columns["task"].index(task)]
    return columns["states"][place] in ENDED_TASK_STATES


def _resume(from_task: str | None, dag: Dag | None) -> dict[str, Any]:
    return {"from_task": from_task or None, "dag": dag.to_dict() if dag else None}
