"""Runs: what is told of them, and what is asked for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from pydag_dist.dag import limits
from pydag_dist.engine.protocol import MarkState
from pydag_dist.web.models.base import Missing, Model, Seconds


class RunHead(Model):
    """What a run is, without its tasks."""

    run_id: str
    dag_id: str
    state: str
    submitted_at: Seconds | None
    started_at: Seconds | None
    ended_at: Seconds | None
    round_at: Seconds | None
    spent: float
    rounds: int
    submitted_by: str | None
    logical_date: str | None
    run_type: str | None
    version: int | None
    backfill: str | None
    parent_run: str | None
    parent_task: str | None
    expected_at: Seconds | None
    took: float | None


class Act(Model):
    """What somebody did to a run by hand.

    `task` is from which one it was resumed, or which one was marked, and as which `state`.
    """

    at: Seconds
    act: Literal["cancel", "resume", "mark"]
    by: str
    task: str | None
    state: str | None


class RunCounts(Model):
    """How many tasks a run has, and how many of these have ended, are active and have failed."""

    total: int
    ended: int
    active: int
    failed: int


class RunItem(RunHead):
    """A run in a list; what BigQuery billed is null, too, if it has not been counted yet."""

    counts: RunCounts
    bytes_billed: int | None


class RunPage(Model):
    """The newest runs first; `next` is the cursor of the next page, null at the end."""

    items: list[RunItem]
    next: str | None
    missing: Missing


class Run(RunHead):
    """A run; `counts` are of its tasks by state, `place` says who has it still."""

    place: Literal["redis", "history"]
    reason: str | None
    error: str | None
    total: int
    counts: dict[str, int]
    enqueued: dict[str, int]
    bytes_billed: int | None
    params: dict[str, Any]
    tags: list[str]
    dag_hash: str
    acts: list[Act]


class TaskNow(Model):
    """A task of a run, as of `pydag status --json`."""

    state: str
    try_number: int
    ready_at: Seconds | None
    queued_at: Seconds | None
    started_at: Seconds | None
    ended_at: Seconds | None
    worker: str | None
    result: Any
    error: str | None
    children: int | None
    refused: str | None
    bytes_billed: int | None
    cached_from: str | None


class RunStatus(RunHead):
    """A run and all of its tasks at one moment, as of `pydag status --json`."""

    reason: str | None
    error: str | None
    counts: dict[str, int]
    enqueued: dict[str, int]
    bytes_billed: int | None
    acts: list[Act]
    tasks: dict[str, TaskNow]


class RunEvent(Model):
    """A change of a run (`task` is null), or of one of its tasks."""

    id: str
    kind: str
    state: str
    at: Seconds
    task: str | None
    try_number: int | None
    worker: str | None


class RunEvents(Model):
    """In their order; `after` is given the last one's id to go on."""

    items: list[RunEvent]


class Names(Model):
    """Ids of runs, in lexical order."""

    items: list[str]


class Reason(Model):
    """Why a run (`task` is null) or a task is where it is, in one sentence."""

    state: str
    why: str
    task: str | None


class Why(Model):
    """What matters most first."""

    reasons: list[Reason]


class Submission(Model):
    """What a run is made of: a `dag`, as in a file, or the `dag_id` of a published one.

    With `from_task`, which goes with a `dag`, that task and all downstream of it run; all others
    count as succeeded, with the results that their newest runs have made.
    """

    dag: dict[str, Any] | None = None
    dag_id: Annotated[str, Field(max_length=limits.ID)] | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    logical_date: Annotated[str, Field(max_length=64)] | None = None
    from_task: Annotated[str, Field(max_length=limits.ID, description="where it begins")] = ""


class Submitted(Model):
    """A run, and whether this request has made it."""

    run_id: str
    dag_id: str
    is_new: bool


class RunNow(Model):
    """What has become of a run."""

    run_id: str
    state: str


class Resume(Model):
    """How a run goes on: from a task, with a corrected DAG."""

    from_task: Annotated[str, Field(max_length=limits.ID)] | None = None
    dag: dict[str, Any] | None = None
    dry_run: Annotated[bool, Field(description="only say what would run, and why")] = False


class Resumption(Model):
    """What a resume would do: each task that would run `again` and why, how many are kept.

    `removed` tasks are not in the new DAG; of `unseen` ones nobody has compared the scripts.
    """

    again: dict[str, str]
    kept: int
    removed: list[str]
    unseen: list[str]


class Mark(Model):
    """How a task ended whose work somebody did; a success may have a result."""

    state: MarkState
    result: Any = None


class Graph(Model):
    """A run's DAG as it is drawn, by columns; the n-th value of each is of the n-th task.

    Tasks are in the order of a walk. `upstream` are the places of the tasks that one waits for.
    `operator` and `queue` are places in `operators` and `queues`. `expand` and `branch` are
    the places of the tasks that are such. `teardown_of` is [task, its setup].
    """

    dag_id: str
    dag_hash: str
    operators: list[str]
    queues: list[str]
    task: list[str]
    operator: list[int]
    queue: list[int]
    upstream: list[list[int]]
    expand: list[int]
    branch: list[int]
    teardown_of: list[Annotated[list[int], Field(min_length=2, max_length=2)]]
