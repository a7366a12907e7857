"""What answers look like: OpenAPI is made of these. Times are epoch seconds, by Redis's clock.

Routes that are asked often answer with bytes that were made without them; a test holds these bytes
against them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pydag_dist.dag import limits
from pydag_dist.engine.protocol import Again, MarkState
from pydag_dist.web.settings import Mode, Role

RunStateName = Literal["queued", "running", "cancelling", "success", "failed", "cancelled"]
Seconds = Annotated[float, Field(description="epoch seconds")]
Missing = Annotated[
    str | None, Field(description="why the history can't say what it has of it, if it can't")
]


class Model(BaseModel):
    """An answer."""

    model_config = ConfigDict(extra="forbid")


class ProblemItem(Model):
    """One thing that is wrong in a request: in which place of its body, task and field."""

    pointer: str | None = None
    task: str | None = None
    field: str | None = None
    detail: str


class ProblemDetails(Model):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemItem] = []


class Me(Model):
    """Who asks, what that one may do, and what this installation can."""

    user: str
    role: Role
    mode: Mode
    version: str
    prefix: str
    history: bool
    now: Seconds


class Health(Model):
    """Whether Redis answers, and whether this process can read the history."""

    redis: bool
    history: bool


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


class Task(TaskNow):
    """A task of a run, with its id."""

    task: str


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


class Graph(Model):
    """A run's DAG as it is drawn, by columns; the n-th value of each is of the n-th task.

    Tasks are in the order of a walk. `upstream` are the places of the tasks that one waits for.
    `operator` and `queue` are places in `operators` and `queues`. `expand`, `branch`, `sensor` and
    `script` are the places of the tasks that are such. `teardown_of` is [task, its setup].
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
    teardown_of: list[tuple[int, int]]


class Reason(Model):
    """Why a run (`task` is null) or a task is where it is, in one sentence."""

    state: str
    why: str
    task: str | None


class Why(Model):
    """What matters most first."""

    reasons: list[Reason]


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


class LogLine(Model):
    """A line that a try wrote."""

    at: Seconds
    task: str
    try_number: int
    level: str
    line: str


class Logs(Model):
    """Lines by their times; `next` is what `after` is given to go on, null if the end is known."""

    items: list[LogLine]
    next: int
    ended: bool


class Dag(Model):
    """A published DAG, as of `pydag dags --json`."""

    dag_id: str
    version: int
    settled: Seconds | None
    hash: str
    schedule: dict[str, Any] | None
    schedule_text: str | None
    source: str
    published_at: Seconds | None
    published_by: str
    due: Seconds | None
    held: bool
    paused_at: Seconds | None
    paused_by: str
    max_active: int
    missed: int
    missed_last: Seconds | None
    last_run: str | None
    last_state: str | None
    last_ended: Seconds | None


class ChangedDag(Dag):
    """A published DAG, and whether it was not so before."""

    changed: bool


class Dags(Model):
    """The published DAGs, and why files of a published folder can't be published."""

    items: list[Dag]
    problems: dict[str, str]


class DagVersion(Model):
    """A version of a DAG, and what it has changed: a line for each field and task."""

    number: int
    at: Seconds | None
    by: str
    hash: str
    difference: list[str]
    text: str | None


class DagVersions(Model):
    """The newest first."""

    items: list[DagVersion]
    missing: Missing


class Durations(Model):
    """Task -> the median of the seconds that it took in the DAG's newest runs."""

    durations: dict[str, float]


class Preview(Model):
    """The next times at which a DAG is due."""

    zone: str
    due: list[Seconds]


class Worker(Model):
    """A live worker, as of `pydag workers --json`."""

    name: str
    process: str
    busy: int
    heard_at: Seconds
    info: dict[str, Any]
    running: list[str]


class Coordinator(Model):
    """A live coordinator."""

    name: str
    process: str
    busy: int
    heard_at: Seconds
    info: dict[str, Any]


class Workers(Model):
    """Who is there."""

    workers: list[Worker]
    coordinators: list[Coordinator]


class Queue(Model):
    """A queue: slots of its live workers, busy ones, messages, runs that wait for it.

    `refusals` are of workers that gave tasks back since their host lacks something.
    """

    name: str
    slots: int
    workers: list[str]
    messages: int
    waiting_runs: list[str]
    refusals: list[dict[str, str]]


class Queues(Model):
    """The queues, in lexical order."""

    items: list[Queue]


class DagText(Model):
    """The text of a DAG file, or of what it was converted to."""

    text: Annotated[str, Field(max_length=limits.DAG_BYTES)]


class PlacedProblem(ProblemItem):
    """A problem of a text; offset and length count characters of what it is about."""

    offset: int
    length: int


class UnservedTask(Model):
    """A task that no live worker can run, and why."""

    task: str
    reason: str


class Validated(Model):
    """What is to be said of a DAG file's text: the first 200 problems, or how many tasks it has."""

    dag_id: str | None
    tasks: int | None
    problems: list[PlacedProblem]
    unserved: list[UnservedTask]


class Operator(Model):
    """An operator, its usual queue, and the JSON Schema of its params."""

    name: str
    queue: str
    may_be_cached: bool
    params: dict[str, Any] | None


class Operators(Model):
    """In lexical order."""

    items: list[Operator]


class Submission(Model):
    """What a run is made of: a `dag`, as in a file, or the `dag_id` of a published one."""

    dag: dict[str, Any] | None = None
    dag_id: Annotated[str, Field(max_length=limits.ID)] | None = None
    params: dict[str, Any] = {}
    logical_date: Annotated[str, Field(max_length=64)] | None = None


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


class Published(Model):
    """A published DAG, whether that is a new version of it, and when it is due next."""

    dag_id: str
    version: int
    is_new: bool
    due: Seconds | None


class Pause(Model):
    """Whether to stand still."""

    paused: bool


class NewBackfill(Model):
    """Which due times are to be run again: days or times, ISO 8601, in the DAG's zone."""

    first: Annotated[str, Field(max_length=64)]
    last: Annotated[str, Field(max_length=64)]
    max_active: Annotated[int, Field(ge=1, le=limits.ACTIVE_RUNS)] = 1
    newest_first: bool = False
    again: Again = "none"
    weight: Annotated[float, Field(ge=limits.WEIGHT[0], le=limits.WEIGHT[1])] = 0.5


class BackfillPreview(Model):
    """How many due times a backfill would have, and the oldest and the newest of them.

    Those wanted from `left_to_schedule` on are still to come, or the schedule runs them itself.
    """

    total: int
    first: Seconds
    last: Seconds
    left_to_schedule: Seconds | None


class Backfill(Model):
    """A backfill, as of `pydag backfills --json`."""

    backfill_id: str
    dag_id: str
    state: str
    schedule: dict[str, Any]
    first: Seconds
    last: Seconds
    next: Seconds | None
    newest_first: bool
    again: str
    weight: float
    max_active: int
    total: int
    left_out: int
    made: int
    success: int
    failed: int
    cancelled: int
    active: int
    spent: float
    made_at: Seconds
    made_by: str
    changed_at: Seconds
    changed_by: str
    why: str
    ended_at: Seconds | None


class ChangedBackfill(Backfill):
    """A backfill, and whether it was not so before."""

    changed: bool


class Backfills(Model):
    """The newest first."""

    items: list[Backfill]


class NewToken(Model):
    """Who is to hold a token, and may do what by it."""

    name: Annotated[str, Field(max_length=limits.ID)]
    role: Role


class Token(Model):
    """Who holds a token."""

    name: str
    role: Role
    created_at: Seconds
    created_by: str


class MadeToken(Model):
    """A token, which is told only once."""

    name: str
    role: Role
    token: str


class Tokens(Model):
    """By their names."""

    items: list[Token]


class NewSession(Model):
    """A token that a browser is to keep."""

    token: Annotated[str, Field(max_length=200)]


class Session(Model):
    """Who it is."""

    user: str
    role: Role
