"""What those read who show many runs at once, live: the records of tasks only, and many streams."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from pydag_dist.engine.protocol import OUT, RECORD_FIELDS
from pydag_dist.engine.roles.reading import Reading
from pydag_dist.engine.snapshot import RunSnapshot, TaskSnapshot, parse_task
from pydag_dist.engine.store import Role, Store, unknown_run

_STATE, _TRY, _READY, _QUEUED, _STARTED, _ENDED, _WORKER = (
    RECORD_FIELDS.index(name)
    for name in ("state", "try", "ready_at", "queued_at", "started_at", "ended_at", "worker")
)
NO_EVENT: Final = "0-0"
EVENTS: Final = 5_000  # of one run that are read at once


class TaskRow(NamedTuple):
    """A task's state at one moment, without what it made. Times are epoch seconds."""

    state: str
    try_number: int
    ready_at: float | None
    queued_at: float | None
    started_at: float | None
    ended_at: float | None
    worker: str | None


@dataclass(frozen=True)
class RunRows:
    """A run's hash and the rows of its tasks at one moment, and its last event until then."""

    head: Mapping[str, str]
    rows: Mapping[str, TaskRow]
    event: str


@dataclass(frozen=True)
class RunTotals:
    """A run's hash at one moment, its tasks by state, and what BigQuery billed for all of them."""

    head: Mapping[str, str]
    counts: Mapping[str, int]
    bytes_billed: int | None


class Watching(Role):
    """Runs as they change; nothing here changes anything."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._reading = Reading(store)

    def rows(self, run_id: str) -> RunRows:
        """The run, its tasks and its last event at one moment; `UnknownRun` if there is none."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(self._run_key(run_id))
            pipe.hgetall(self._run_key(run_id, "tasks"))
            pipe.xrevrange(self._run_key(run_id, "events"), count=1)
            head, records, last = pipe.execute()
        if not head:
            raise unknown_run(run_id)
        event = last[0][0] if last else NO_EVENT
        if head["state"] == "queued" or not records:
            return RunRows(head, rows_of(self._reading.snapshot(run_id)), event)
        return RunRows(head, {name: _row(packed) for name, packed in records.items()}, event)

    def some_rows(
        self, run_id: str, tasks: Iterable[str]
    ) -> tuple[Mapping[str, str], Mapping[str, TaskRow]]:
        """The run's hash and the rows of those of the tasks that have records."""
        names = list(tasks)
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(self._run_key(run_id))
            if names:
                pipe.hmget(self._run_key(run_id, "tasks"), names)
            head, *packed = pipe.execute()
        pairs = zip(names, packed[0] if packed else (), strict=True)
        return head, {name: _row(record) for name, record in pairs if record}

    def totals(self, run_id: str) -> RunTotals:
        """What is to be said of a run without its tasks; `UnknownRun` if there is none."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(self._run_key(run_id))
            pipe.hgetall(self._run_key(run_id, "tasks"))
            pipe.hgetall(self._run_key(run_id, "out"))
            head, records, out = pipe.execute()
        if not head:
            raise unknown_run(run_id)
        if head["state"] == "queued" or not records:
            found = self._reading.snapshot(run_id)
            return RunTotals(head, found.counts, found.bytes_billed)
        counts = Counter(_row(packed).state for packed in records.values())
        return RunTotals(head, dict(counts), _billed(records, out))

    def task(self, run_id: str, task: str) -> TaskSnapshot | None:
        """One task with what it made; None if the run has no such task."""
        parts = [OUT[kind] + task for kind in ("result", "number", "error", "refused")]
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hget(self._run_key(run_id), "state")
            pipe.hget(self._run_key(run_id, "tasks"), task)
            pipe.hmget(self._run_key(run_id, "out"), parts)
            state, packed, found = pipe.execute()
        if state is None:
            raise unknown_run(run_id)
        if state == "queued" or packed is None:
            return self._reading.snapshot(run_id).tasks.get(task)
        out = {name: text for name, text in zip(parts, found, strict=True) if text is not None}
        results = [f"{OUT['result']}{task}.{at}" for at in range(int(out.get(parts[1], 0)))]
        if results:  # an expanded task's result is those of its children
            texts = self._redis.hmget(self._run_key(run_id, "out"), results)
            out |= {name: text for name, text in zip(results, texts, strict=True) if text}
        return parse_task(task, packed, out)

    def row(self, run_id: str, task: str) -> TaskRow | None:
        """One task's row; None if it has no record."""
        packed = self._redis.hget(self._run_key(run_id, "tasks"), task)
        return _row(packed) if packed else None

    def tail(self, cursors: Mapping[str, str], block_ms: int) -> dict[str, list[Any]]:
        """Run -> its events after the one named by its cursor; waits so long for the first."""
        keys = {self._run_key(run_id, "events"): run_id for run_id in cursors}
        streams = {key: cursors[run_id] for key, run_id in keys.items()}
        reply = self._redis.xread(streams, count=EVENTS, block=block_ms) or {}
        if isinstance(reply, dict):  # of RESP3
            return {keys[key]: parts[0] for key, parts in reply.items()}
        return {keys[key]: entries for key, entries in reply}


def _billed(records: Mapping[str, str], out: Mapping[str, str]) -> int | None:
    """What the results of these tasks say that BigQuery billed; only those that do are read."""
    prefix = OUT["result"]
    told = [
        json.loads(text)
        for name, text in out.items()
        if '"bytes_billed"' in text and name.startswith(prefix) and name[len(prefix) :] in records
    ]
    dicts = [result.get("bytes_billed") for result in told if isinstance(result, dict)]
    billed = [count for count in dicts if isinstance(count, int)]
    return sum(billed) if billed else None


def rows_of(run: RunSnapshot) -> dict[str, TaskRow]:
    """The rows of a snapshot's tasks."""
    return {name: _row_of(task) for name, task in run.tasks.items()}


def _row_of(task: TaskSnapshot) -> TaskRow:
    return TaskRow(*(getattr(task, name) for name in TaskRow._fields))


def _row(packed: str) -> TaskRow:
    part = packed.split("|")
    if len(part) <= _WORKER:
        return TaskRow("unknown", 0, None, None, None, None, None)
    return TaskRow(
        part[_STATE],
        int(part[_TRY]),
        _seconds(part[_READY]),
        _seconds(part[_QUEUED]),
        _seconds(part[_STARTED]),
        _seconds(part[_ENDED]),
        part[_WORKER] or None,
    )


def _seconds(micro: str) -> float | None:
    return int(micro) / 1e6 if micro else None
