"""What goes into the engine and comes out of it: plans, claims, tries, deferrals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from pydag_dist.dag.ids import check_group
from pydag_dist.engine.head import microseconds
from pydag_dist.engine.protocol import RECORD_FIELDS, TIMES, Left, Order, pack_numbers

# Tasks of one `plan_chunk`, and task ids of one chunk of downstream tasks: small enough that a
# script blocks Redis for milliseconds only.
CHUNK: Final = 500


@dataclass(slots=True)  # not frozen, since that makes each of up to 100,000 of them dear
class PlannedTask:
    """A row of a plan: everything that the engine has to know of a task.

    Times are in seconds. A `long` task took longer than `limits.SHORT` in earlier runs. With
    `keep`, the task of a resumed run keeps its record. Otherwise it gets a new record:

    - It begins in `state` (``none`` or ``skipped``) with the try `try_number`. A failure of the try
      `last_try` is final; None is the last one that `retries` allow. Of that try, messages up to
      the number `pushes` may have been sent before.
    - `ok`, `bad`, `dead_up` and `skips` count its upstream tasks that have ended before, by how
      they ended. `asks` counts its upstream tasks that are branches and have not ended.
    - It expands over the result of `list_task`, or over a list of `items` items, or not at all.
      `lists_for` are the tasks that expand over its own result. A `child` is one of the tasks that
      an expanded task has become.
    - `setup` is the task whose work it undoes, if it is a teardown.
    - `again`: the run was resumed, or the task has another record now; the new one replaces it.
      `anew`: what the task did before does not count.
    """

    task: str
    queue: str
    rank: int
    downstream: Sequence[str]
    spec: str
    long: bool = False
    upstream: int = 0
    rule: str = "all_success"
    setup: str = ""
    retries: int = 0
    retry_delay: float = 0
    retry_backoff: bool = False
    max_retry_delay: float = 0
    timeout: float = 0
    allow_failure: bool = False
    remote: bool = False
    sensor: bool = False
    branch: bool = False
    expand: bool = False
    list_task: str = ""
    items: int | None = None
    lists_for: Sequence[str] = ()
    child: bool = False
    keep: bool = False
    again: bool = False
    anew: bool = False
    state: str = "none"
    try_number: int = 1
    last_try: int | None = None
    pushes: int = 0
    ok: int = 0
    bad: int = 0
    dead_up: int = 0
    skips: int = 0
    asks: int = 0

    def row(self) -> dict[str, Any]:
        """As `plan_chunk` of the script takes it."""
        return {
            "task": self.task,
            "queue": self.queue,
            "rank": f"{self.rank:06}{'s' if self.long else ''}",
            "downstream": chunked(self.downstream),
            "spec": self.spec,
            "upstream": self.upstream,
            "rule": self.rule,
            "setup": self.setup,
            "retries": self.retries,
            "retry_delay": round(self.retry_delay * 1e6),
            "retry_backoff": int(self.retry_backoff),
            "max_retry_delay": round(self.max_retry_delay * 1e6),
            "timeout": round(self.timeout * 1e6),
            "allow_failure": int(self.allow_failure),
            "remote": int(self.remote),
            "sensor": int(self.sensor),
            "branch": int(self.branch),
            "expand": int(self.expand),
            "list_task": self.list_task,
            "expansions": "" if self.items is None else f"{self.task} {self.items}",
            "lists_for": list(self.lists_for),
            "child": self.child,
            "keep": self.keep,
            "again": self.again,
            "anew": self.anew,
            "state": self.state,
            "try": self.try_number,
            "pushes": self.pushes,
            "last_try": self.last_try or self.try_number + self.retries,
            "ok": self.ok,
            "bad": self.bad,
            "dead_up": self.dead_up,
            "skips": self.skips,
            "asks": self.asks,
        }


@dataclass(frozen=True)
class Claim:
    """What a claimed message asks for: to `run` the try, or to `cancel` what it left running.

    A success of the remote job of a try up to `settled` does not count: somebody resumed the run
    from this task or from one upstream of it, so the task has to run again.
    """

    order: Order
    spec: dict[str, Any]
    settled: int = 0


@dataclass(frozen=True)
class Held:
    """A try that a worker holds: the task, the try and its fencing token."""

    run: str
    task: str
    try_number: int
    token: str


class Deferral(NamedTuple):
    """For how long a worker gives a try up, until its remote job is to be asked for again.

    Tries of one `group` (operator and connection) can be asked for by one poll. The poll is given
    `handle`, which is JSON. `delay` is in seconds.
    """

    group: str
    delay: float
    handle: str


@dataclass(frozen=True)
class End:
    """How a try left its process: `result` is JSON or empty.

    `skips` are the downstream tasks that a branch does not follow; `expand` says into how many each
    task expands that does so over the result. A `deferral` is there if it is deferred. Of a try
    that its process was handed, it `lasted` so many seconds and ended so many seconds `ago`.
    """

    held: Held
    outcome: Left
    result: str = ""
    error: str = ""
    skips: Iterable[str] = ()
    expand: Mapping[str, int] = field(default_factory=dict)
    deferral: Deferral | None = None
    lasted: float | None = None
    ago: float = 0.0

    def packed(self) -> list[str | int]:
        """Its values as the engine takes them."""
        outcome: str = self.outcome
        result = self.result
        if (wait := self.deferral) is not None:
            outcome = f"deferred {round(wait.delay * 1e6)} {check_group(wait.group)}"
            result = wait.handle
        told = (outcome, result, self.error, " ".join(self.skips))
        times: tuple[str | int, str | int] = "", ""
        if self.lasted is not None:
            times = round(self.lasted * 1e6), round(self.ago * 1e6)
        return [*vars(self.held).values(), *told, pack_numbers(self.expand), *times]


@dataclass(frozen=True)
class Next:
    """A claimed try that a process is handed: what it would else have had a message for.

    `pushes` is the number that this message would have among those of its try.
    """

    held: Held
    claim: Claim
    pushes: int
    dag_id: str

    @property
    def celery_id(self) -> str:
        """The id that its message would have: no two of a try have the same."""
        held = self.held
        again = f".{self.pushes}" if self.pushes > 1 else ""
        return f"{held.run}/{held.task}/{held.try_number}{again}"


@dataclass(frozen=True)
class Due:
    """A deferred try that is to be polled; `held` has the poll's own token."""

    held: Held
    spec: dict[str, Any]
    handle: str


@dataclass(frozen=True)
class LogPart:
    """A piece of a try's log, by a writer that sends its pieces in order.

    `position` says how far the writer has come with this part, and grows from part to part. `line`
    and `byte` are the numbers of its first line and byte among all that the writer wrote, also what
    it left out.
    `lines` is JSON: a list of [epoch seconds, level, text].
    """

    writer: str
    position: int
    line: int
    byte: int
    lines: str


@dataclass(frozen=True)
class LostTask:
    """What is known of the newest try of a task that Redis has lost. Times are epoch seconds."""

    task: str
    state: str
    try_number: int
    ready_at: float | None = None
    queued_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    worker: str = ""
    pushes: int = 0
    reason: str = ""
    result: str = ""  # JSON
    error: str = ""
    skips: str = ""
    expansions: str = ""

    def row(self) -> dict[str, Any]:
        """As `restore` of the script takes it."""
        return {
            **dict.fromkeys(RECORD_FIELDS, ""),
            **dict.fromkeys(("upstream", "ok", "bad", "dead_up", "skips", "asks"), 0),
            **dict.fromkeys(("deaths", "losses"), 0),
            "task": self.task,
            "state": self.state,
            "try": self.try_number,
            "last_try": self.try_number,
            "worker": self.worker,
            "pushes": self.pushes,
            "reason": self.reason,
            **{name: microseconds(getattr(self, name)) for name in TIMES},
            "result": self.result,
            "error": self.error,
            "branch_skips": self.skips,
            "expansions": self.expansions,
        }


def chunked(ids: Sequence[str]) -> list[str]:
    """Task ids in space-separated chunks of at most `CHUNK`."""
    return [" ".join(ids[at : at + CHUNK]) for at in range(0, len(ids), CHUNK)]
