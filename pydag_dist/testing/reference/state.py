"""What the reference model keeps of runs, tasks and messages."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_DEATHS = 3
MAX_LOSSES = 20
LEASE = 15_000  # ms, as all that follow
QUEUED_GRACE = 5_000
UNNAMED_GRACE = 6_000
MAX_GAP = 4_000
REFUSED = -1  # the token of a try that was given back
GOES_ON_AFTER = {"success", "skipped", "failed", "final"}
ENDED = {"success", "failed", "upstream_failed", "skipped", "cancelled"}
ENDED_RUN = {"success", "failed", "cancelled"}
ACTIVE = {"queued", "running", "cancelling"}


@dataclass(frozen=True)
class Message:
    """A message of a task's try; `number` is its push. One that asks to poll has the run "*"."""

    run: str
    task: str
    try_number: int
    number: int
    celery_id: str
    queue: str  # whose it is, even if it is in the list of one worker


@dataclass
class RefTask:
    """A task, and what its newest try does."""

    queue: str
    rank: int
    upstream: tuple[str, ...]
    rule: str = "all_success"
    retries: int = 0
    allow_failure: bool = False
    remote: bool = False
    sensor: bool = False
    branch: bool = False
    long: bool = False  # it took long in earlier runs
    setup: str = ""  # of a teardown: whose work it undoes
    expands_over: str = ""  # the task whose result lists its children
    items: int | None = None  # of a task that expands over another list: how many
    parent: str = ""  # of a child: the expanded task
    downstream: list[str] = field(default_factory=list)
    state: str = "none"
    try_number: int = 1
    last_try: int = 1
    began: bool = False
    reason: str = ""
    skips: tuple[str, ...] = ()
    heard: dict[str, str] = field(default_factory=dict)
    pushes: int = 0
    told: int = 0  # pushes of its try that history has heard of, while it goes on
    push: int | None = None
    token: int | None = None  # REFUSED if the worker that had it could not run it
    needs: frozenset[str] = frozenset()  # what workers that refused it lack
    process: int | None = None  # None if it is not known who claimed it
    charged: int | None = None  # slot time that its run was charged in advance
    group: str = ""  # of a deferred task
    due: bool = False  # a deferred task is to be polled
    waits: bool = False  # a message of it is to be claimed
    waits_since: tuple[int, int] = (0, 0)  # steady time of that push, and `now`
    lease_until: tuple[int, int] = (0, 0)  # likewise, while somebody holds it
    worker: str = ""
    deaths: int = 0
    losses: int = 0
    known: bool = False  # of a child: whether history has heard of it
    settled: int = 0  # the last of its tries whose success, if any, does not count

    @property
    def expands(self) -> bool:
        """Whether it becomes many tasks."""
        return bool(self.expands_over) or self.items is not None

    @property
    def waits_in(self) -> str:
        """The queue in which it waits: workers that lack what it needs don't get it there."""
        return f"{self.queue}!{'+'.join(sorted(self.needs))}" if self.needs else self.queue

    def held(self) -> bool:
        """Whether somebody has a lease on it."""
        return self.state in ("running", "cancelling") and not self.waits

    def renew_try(self, number: int) -> None:
        """Begin a try."""
        self.try_number, self.began, self.reason, self.token = number, False, "", None
        self.charged = None
        self.pushes = self.told = self.deaths = self.losses = 0

    def renew_again(self, anew: bool) -> None:
        """Begin the try with which a resumed run goes on."""
        unknown = self.state == "failed" and self.reason == "poison" and not anew
        over, pushes = self.began and not unknown, self.pushes
        if anew or self.state == "success":
            self.settled = self.try_number
        self.renew_try(self.try_number + over)
        if not over:  # no two messages of a try may have the same id
            self.pushes = self.told = pushes
        self.needs = frozenset()

    def is_active(self) -> bool:
        """Whether it counts against its run's processors."""
        return self.state in ACTIVE or (self.state == "deferred" and not self.sensor)


@dataclass
class RefRun:
    """A run and its tasks, by id in the order of their walk."""

    processors: int
    weight: float
    tasks: dict[str, RefTask]
    queues: list[str]
    state: str = "queued"
    planned: bool = False
    reason: str = ""
    from_task: str = ""
    marked: set[str] = field(default_factory=set)  # since it ended
    acts: list[tuple[str, str, str]] = field(default_factory=list)  # of people: act, task, state
    restored: bool = False
    expected_at: int | None = None  # ms by the server's clock
    late_tries: int = 0  # how often somebody was to be told that it is late
    rounds: int = 1
    counts: dict[str, int] = field(default_factory=dict)  # expanded task -> items of its list
    since: dict[str, int] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)  # queue -> slot time, 1 for each task
    timed: set[str] = field(default_factory=set)  # queues on which a task of it left its slot
    todo: deque[str] = field(default_factory=deque)  # ended or expanding, nobody has heard of it
    spreading: bool = False

    def active(self) -> set[str]:
        """The tasks that count against `processors`."""
        return {t for t, task in self.tasks.items() if task.is_active()}

    def between(self, teardown: str) -> set[str]:
        """The tasks that are downstream of a teardown's setup and upstream of it."""
        setup, found = self.tasks[teardown].setup, set[str]()
        grows = True
        while grows:
            more = {
                t
                for t, task in self.tasks.items()
                if {setup, *found} & set(task.upstream) and t in self.tasks[teardown].upstream
            }
            grows = not more <= found
            found |= more
        return found - {setup}

    def children(self, name: str) -> list[str]:
        """The children that an expanded task has ever had, in their order."""
        found = [t for t, task in self.tasks.items() if task.parent == name]
        return sorted(found, key=lambda child: int(child.rpartition(".")[2]))

    def ready(self, queue: str) -> list[str]:
        """Ready tasks of a queue, most urgent first."""
        found = [t for t, k in self.tasks.items() if k.state == "ready" and k.waits_in == queue]
        return sorted(found, key=lambda t: self.tasks[t].rank)


def states(tasks: Mapping[str, RefTask]) -> dict[str, str]:
    """Task -> its state."""
    return {name: task.state for name, task in tasks.items()}
