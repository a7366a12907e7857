"""What the engine's two languages write for each other, declared once: names, fields, forms.

`script.py` puts `LUA` in front of the Lua files, which know it as PROTOCOL, so that Lua and Python
can't differ. What each key holds, and which state follows which, is said in lua/table.lua.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

# States

TaskState = Literal[
    "none",
    "ready",
    "queued",
    "running",
    "up_for_retry",
    "deferred",
    "cancelling",
    "expanding",
    "success",
    "failed",
    "upstream_failed",
    "skipped",
    "cancelled",
]
RunState = Literal["queued", "running", "cancelling", "success", "failed", "cancelled"]
BackfillState = Literal["running", "paused", "cancelling", "done", "cancelled"]

TASK_STATES: Final[tuple[TaskState, ...]] = get_args(TaskState)
# Ended state of an upstream task -> the field of its downstream tasks' records that counts it.
COUNTS_AS: Final[Mapping[str, str]] = {
    "success": "ok",
    "failed": "bad",
    "cancelled": "bad",
    "upstream_failed": "dead_up",
    "skipped": "skips",
}
ENDED_TASK_STATES: Final = frozenset(COUNTS_AS)
ENDED_RUN_STATES: Final = frozenset({"success", "failed", "cancelled"})
ENDED_BACKFILL_STATES: Final = frozenset({"done", "cancelled"})

# What operations are given

Source = Literal["coordinator", "chord", "tick"]  # who puts messages on the queues
Kind = Literal["workers", "coordinators"]
# What has started a run of a published DAG: triggered, if a task of another run has.
RunType = Literal["scheduled", "backfill", "manual", "triggered"]
MarkState = Literal["success", "skipped", "failed"]
# Which due times of a backfill get a run: those without any; also those whose runs failed or were
# cancelled; all but those with a run that goes on.
Again = Literal["none", "failed", "all"]
# What webhooks are told of a run: that it did not end in time, and that it has ended.
Notice = Literal["late", "ended"]
# Of a try: `skipped` by itself; `final`: failed, and another try would end alike.
Outcome = Literal["success", "skipped", "failed", "final", "stopped", "dead", "lost", "revoked"]
# How it leaves its process: `deferred` waits for its remote job.
Left = Outcome | Literal["deferred"]

SOURCES: Final[tuple[Source, ...]] = get_args(Source)
# After these a process can go on with another try; after others something may be left there.
GOES_ON_AFTER: Final[frozenset[Left]] = frozenset(
    {"success", "skipped", "failed", "final", "deferred"}
)

# The reason of a task that its run has not run: `worker` is the run that did.
TAKEN: Final = "taken"

# A task's record and its plan: the values of their fields, each with a "|" after it

TIMES: Final = ("ready_at", "queued_at", "started_at", "ended_at")
RECORD_FIELDS: Final = (
    "state",
    "try",  # 1 for the first
    "last_try",  # the try after which a failure is final
    "pushes",  # messages pushed for this try; more than one makes its Celery id differ
    "push",  # number of the last push
    "token",  # push that was claimed last: the fencing token
    "rule",  # trigger rule
    "upstream",  # how many upstream tasks it has
    *("ok", "bad", "dead_up", "skips"),  # how many of these ended so
    "asks",  # how many of these are branches that it has not heard of: each may skip it
    "deaths",  # children that died while they ran this try
    "losses",  # leases of this try that expired
    "reason",  # why it is cancelling: cancel, timeout or "mark STATE"; or of its failure: poison
    # (and `lost`); marked, if somebody said how it ended; taken, if a run that begins at a task
    # does not run it
    *TIMES,  # µs, or empty
    "worker",
    "process",  # of that worker, which claimed it: it may ask again if the answer got lost
    "charged",  # µs of slot time that its run was charged for it in advance, or empty
    "began",  # µs of steady time of the try's first claim, as `started_at` by the server's
    "needs",  # what workers that refused it lack, as "need+need", or empty
)
RECORD_NUMBERS: Final = frozenset(
    {
        *("try", "last_try", "pushes", "upstream", "ok", "bad", "dead_up", "skips", "asks"),
        *("deaths", "losses"),
    }
)

# What a plan says of a task besides its rule. Times are in µs; of a flag 1 is yes.
PLAN_FIELDS: Final = (
    "queue",
    "rank",  # ready tasks of a run are pushed in its order; ends with "s" if the task takes long
    "chunks",  # of downstream tasks
    "retries",
    "retry_delay",  # before the next try
    "retry_backoff",  # flag: the delay doubles, up to `max_retry_delay`
    "max_retry_delay",
    "timeout",  # of a try, from its first claim
    "allow_failure",  # flag: the run does not fail with it
    "remote",  # flag: what it started elsewhere has to be cancelled
    "sensor",  # flag: it does not count as active while it is deferred
    "expand",  # flag: it becomes many tasks, its children
    "list_task",  # of such a task: the upstream task whose result is its list, or empty
    "setup",  # of a teardown: the task whose work it undoes
)
PLAN_NUMBERS: Final = frozenset({"chunks", "retries", "retry_delay", "max_retry_delay", "timeout"})


def unpack_record(packed: str) -> dict[str, str]:
    """A task's record, field by field; fewer than `RECORD_FIELDS` if it is damaged."""
    return dict(zip(RECORD_FIELDS, packed.split("|"), strict=False))


def pack_record(record: Mapping[str, str]) -> str:
    """The record as it is kept."""
    return "".join(f"{record[name]}|" for name in RECORD_FIELDS)


def unpack_plan(packed: str) -> dict[str, str]:
    """What a run's plan says of a task, field by field."""
    return dict(zip(PLAN_FIELDS, packed.split("|"), strict=False))


# What stands in keys and fields before ids

RunPart = Literal[
    "dag", "tasks", "kept", "plan", "specs", "out", "ready", "active", "work", "events"
]
# The fields of the hash `out` of a run, each before a task's id.
OUT: Final = {
    "result": "r/",
    "error": "e/",
    "skips": "s/",
    "number": "n/",  # of the children that it expands into
    "expansion": "x/",
    "deferral": "d/",
    "gone": "t/",
    "mark": "m/",
    "settled": "b/",
    "refused": "w/",
    "deaths": "k/",
    "child": "c/",
}
# The members of `timers`: "retry/run/task", "poll/run/task", "timeout/run".
TIMERS: Final = {"retry": "retry/", "poll": "poll/", "timeout": "timeout/"}
DUE: Final = "due/"  # in `windows`, before a queue
ENQUEUED: Final = "enqueued/"  # in a run's hash, before a `Source`


def split_out(out: Mapping[str, str], kind: str) -> dict[str, str]:
    """What the hash `out` of a run has of one kind, by task."""
    prefix = OUT[kind]
    return {name[len(prefix) :]: kept for name, kept in out.items() if name.startswith(prefix)}


def unpack_deferral(packed: str | None) -> tuple[str, str]:
    """The group and the handle of a deferred task, which `out` has; empty without one."""
    group, _, handle = (packed or "").partition(" ")
    return group, handle


def unpack_expansion(packed: str | None) -> tuple[int, ...]:
    """How far a task's expansion is: how many of its children are all, created, ended; or ()."""
    return tuple(map(int, packed.split()[:3])) if packed else ()


def unpack_numbers(expansions: str | None) -> dict[str, int]:
    """Into how many children tasks expand, of "task number task number ..."."""
    words = (expansions or "").split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


def pack_numbers(expansions: Mapping[str, int]) -> str:
    """The same as the engine takes it."""
    return " ".join(f"{task} {number}" for task, number in expansions.items())


# Streams. docs/events.md has the fields of events; a test holds it against what is written.

# The consumer group as which planners read `submissions`
PLANNERS: Final = "coordinators"
# `log:R:T:N`
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
LOG_LEVELS: Final[tuple[LogLevel, ...]] = get_args(LogLevel)
LOG_PART: Final = {"writer": "w", "line": "n", "byte": "o", "lines": "lines"}

# What operations answer

# Why a try is not the caller's, or why its run is left alone.
NotHeld = Literal["ended", "lost", "waiting", "unknown", "schema", "broken"]
Released = Literal["ok"] | NotHeld
Renewed = Literal["yours", "cancel"] | NotHeld
Refused = Literal["ok"] | NotHeld
Order = Literal["run", "cancel"]
NotClaimed = Literal["another try", "unknown", "schema", "broken"] | TaskState
Resumed = (
    Literal["ok", "no task", "another", "another dag", "unknown", "schema", "broken"] | RunState
)
Marked = (
    Literal["ok", "no task", "queued", "expanding", "children", "unknown", "schema", "broken"]
    | TaskState
)
LogAdded = Literal["ok", "known", "later", "damaged"]


# What the Lua files know as PROTOCOL; of a set its members are `true` there.
LUA: Final = {
    "task_states": TASK_STATES,
    "ended": ENDED_TASK_STATES,
    "ended_run": ENDED_RUN_STATES,
    "counts_as": COUNTS_AS,
    "outcomes": get_args(Outcome),
    "goes_on_after": GOES_ON_AFTER,
    "deferred": "^deferred (%d+) (%S+)$",  # an `End` that is deferred, as the engine is told
    "marks": get_args(MarkState),
    "kinds": get_args(Kind),
    "run_types": get_args(RunType),
    "backfill_states": get_args(BackfillState),
    "again": get_args(Again),
    "notices": get_args(Notice),
    "record": RECORD_FIELDS,
    "record_numbers": RECORD_NUMBERS,
    "plan": PLAN_FIELDS,
    "plan_numbers": PLAN_NUMBERS,
    "run_parts": get_args(RunPart),
    "out": OUT,
    "timers": TIMERS,
    "due": DUE,
    "enqueued": ENQUEUED,
    "planners": PLANNERS,
    "log_part": LOG_PART,
}
