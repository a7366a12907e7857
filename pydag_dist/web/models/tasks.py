"""Tasks of a run: what is told of them, and what is asked for."""

from __future__ import annotations

from typing import Any

from pydag_dist.web.models.base import Missing, Model, Seconds
from pydag_dist.web.models.runs import TaskNow


class Task(TaskNow):
    """A task of a run, with its id."""

    task: str


class TaskPage(Model):
    """Tasks in the order of their ids; `next` is the cursor of the next page."""

    items: list[Task]
    next: str | None


class Columns(Model):
    """Tasks by columns: the n-th value of each column is of the n-th task.

    `state` and `worker` are places in the lists `states` and `workers`; -1 is none.
    """

    states: list[str]
    workers: list[str]
    task: list[str]
    state: list[int]
    try_number: list[int]
    ready_at: list[Seconds | None]
    queued_at: list[Seconds | None]
    started_at: list[Seconds | None]
    ended_at: list[Seconds | None]
    worker: list[int]


class TaskColumns(Columns):
    """All tasks of a run at one moment, in the order of its DAG where it is planned in one."""

    run_id: str


class Try(Model):
    """A try of a task."""

    try_number: int
    state: str
    ready_at: Seconds | None
    queued_at: Seconds | None
    started_at: Seconds | None
    ended_at: Seconds | None
    worker: str | None
    error: str | None
    reason: str | None


class Tries(Model):
    """All tries of a task that are known, the first one first."""

    items: list[Try]
    missing: Missing


class TaskParams(Model):
    """A task's params as its DAG has them, and with values in the place of templates.

    `rendered` is what the try of that number has, or would have now; if nobody can know that yet,
    `why` says so. Values of secrets are in neither.
    """

    try_number: int
    operator: str
    script: str | None
    params: Any
    rendered: dict[str, Any] | None
    why: str | None


class Costs(Model):
    """Task -> the bytes that BigQuery billed for it; only those that say so."""

    bytes_billed: dict[str, int]


class LogLine(Model):
    """A line that a try wrote."""

    at: Seconds
    task: str
    try_number: int
    level: str
    line: str


class Logs(Model):
    """Lines by their times; `next` is the `after` to go on with, `ended` whether the run has."""

    items: list[LogLine]
    next: int
    ended: bool
