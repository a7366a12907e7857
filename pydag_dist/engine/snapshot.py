"""What can be read of a run: its state, its tasks, its events."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

from pydag_dist.engine.head import RunHead, head_fields, seconds
from pydag_dist.engine.protocol import (
    ENDED_RUN_STATES,
    ENDED_TASK_STATES,
    ENQUEUED,
    OUT,
    RECORD_FIELDS,
    SOURCES,
    unpack_record,
)


@dataclass(frozen=True)
class TaskSnapshot:
    """A task of a run at one moment. Times are epoch seconds by Redis's clock, None if not yet."""

    state: str
    try_number: int
    ready_at: float | None
    queued_at: float | None
    started_at: float | None
    ended_at: float | None
    worker: str | None
    result: Any = None
    error: str | None = None
    children: int | None = None  # of a task that was expanded: into how many
    refused: str | None = None  # by which worker, whose host can't run it, and why; while it waits

    @property
    def bytes_billed(self) -> int | None:
        """What BigQuery billed for it; None if its result doesn't say."""
        billed = self._told("bytes_billed")
        return billed if isinstance(billed, int) else None

    @property
    def cached_from(self) -> str | None:
        """The run whose result it has because nothing had changed since."""
        run_id = self._told("cached_from")
        return run_id if isinstance(run_id, str) else None

    def _told(self, name: str) -> Any:
        # An expanded task's result is a list: of its children, which are tasks of their own.
        return self.result.get(name) if isinstance(self.result, dict) else None


@dataclass(frozen=True)
class Act:
    """What somebody did to a run by hand: ``cancel``, ``resume`` or ``mark``.

    `task` is from which one it was resumed, or which one was marked, and as which `state`.
    """

    at: float
    act: str
    by: str
    task: str | None = None
    state: str | None = None


def acts_of(head: Mapping[str, str]) -> list[Act]:
    """The last ones that a run's hash has, the oldest first; those that are damaged left out."""
    found = []
    for packed in head.get("acts", "").split("|"):
        at, _, rest = packed.partition(" ")
        parts = rest.split(" ")
        if at.isdecimal() and len(parts) == 4:
            found.append(Act(int(at) / 1e6, parts[0], parts[1], parts[2] or None, parts[3] or None))
    return found


@dataclass(frozen=True, kw_only=True)
class RunSnapshot(RunHead):
    """A run and all its tasks at one moment.

    `counts` is the number of tasks per state; `enqueued` says who gave tasks to workers:
    the coordinator at the start, chord callbacks, or a tick. `error` is set if the run could not
    be planned; `reason` if it was stopped: ``cancel``, or ``timeout`` of the run. `acts` is what
    people did to it, the oldest first: the last 20, of the history all.
    """

    error: str | None
    enqueued: dict[str, int]
    tasks: dict[str, TaskSnapshot] = field(repr=False)
    reason: str | None = None
    acts: list[Act] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """The number of tasks per state."""
        return dict(Counter(task.state for task in self.tasks.values()))

    @property
    def bytes_billed(self) -> int | None:
        """What BigQuery billed for all tasks until now; None if none tells."""
        told = [task.bytes_billed for task in self.tasks.values()]
        billed = [count for count in told if count is not None]
        return sum(billed) if billed else None

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self.state in ENDED_RUN_STATES

    def to_dict(self) -> dict[str, Any]:
        """The form of ``pydag status --json``."""
        told = {
            **asdict(self),
            "took": self.took(time.time()),
            "counts": self.counts,
            "bytes_billed": self.bytes_billed,
        }
        for name, task in self.tasks.items():
            told["tasks"][name] |= {
                "bytes_billed": task.bytes_billed,
                "cached_from": task.cached_from,
            }
        return told


@dataclass(frozen=True)
class Event:
    """A change of a run (`task` is None) or of one of its tasks; `at` in epoch seconds."""

    id: str
    kind: str
    state: str
    at: float
    task: str | None = None
    try_number: int | None = None
    worker: str | None = None


def parse_event(event_id: str, fields: Mapping[str, str]) -> Event:
    """An entry of a run's event stream."""
    return Event(
        id=event_id,
        kind=fields["kind"],
        state=fields["state"],
        at=int(fields["at"]) / 1e6,
        task=fields.get("task"),
        try_number=int(fields["try"]) if "try" in fields else None,
        worker=fields.get("worker") or None,
    )


def children_of(ready_at: object, number: int | str | None) -> int | None:
    """Into how many tasks one was expanded that expands over a list of so many items.

    None if it never was: such a task has no result.
    """
    return int(number) if ready_at and number and int(number) else None


def _result(task: str, out: Mapping[str, str], children: int | None = None) -> Any:
    """A task's result; an expanded task's is the list of its children's."""
    if children is not None:
        return [_result(f"{task}.{index}", out) for index in range(children)]
    packed = out.get(OUT["result"] + task)
    return None if packed is None else json.loads(packed)


def task_ids(dag: str) -> list[str]:
    """The ids of a run's DAG, which is JSON, in its order."""
    return [task["task_id"] for task in json.loads(dag)["tasks"]]


def unplanned(state: str) -> TaskSnapshot:
    """A task of a run of that state that has not been planned."""
    ended = "cancelled" if state == "cancelled" else "none"
    return TaskSnapshot(ended, 1, None, None, None, None, None)


def parse_task(task: str, packed: str, out: Mapping[str, str]) -> TaskSnapshot:
    """A task's snapshot from its record and what `out` has of it and its children."""
    record = unpack_record(packed)
    if len(record) < len(RECORD_FIELDS):
        error = "its record in Redis is damaged"
        return TaskSnapshot("unknown", 0, None, None, None, None, None, error=error)
    children = children_of(record["ready_at"], out.get(OUT["number"] + task))
    is_over = record["state"] in ENDED_TASK_STATES
    return TaskSnapshot(
        state=record["state"],
        try_number=int(record["try"]),
        ready_at=seconds(record["ready_at"]),
        queued_at=seconds(record["queued_at"]),
        started_at=seconds(record["started_at"]),
        ended_at=seconds(record["ended_at"]),
        worker=record["worker"] or None,
        result=_result(task, out, children),
        children=children,
        error=out.get(OUT["error"] + task),
        refused=None if is_over else out.get(OUT["refused"] + task),
    )


def parse_run(
    run_id: str,
    head: Mapping[str, str],
    records: Mapping[str, str],
    out: Mapping[str, str],
    known: Mapping[str, TaskSnapshot] = MappingProxyType({}),
) -> RunSnapshot:
    """A run's snapshot from its hashes; the `known` tasks come first, if they have no records."""
    tasks = dict(known)
    for task, packed in records.items():
        tasks[task] = parse_task(task, packed, out)
    return RunSnapshot(
        **head_fields(run_id, head),
        error=head.get("error"),
        enqueued={source: int(head.get(f"{ENQUEUED}{source}", 0)) for source in SOURCES},
        tasks=tasks,
        reason=head.get("reason"),
        acts=acts_of(head),
    )
