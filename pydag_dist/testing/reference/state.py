"""What the reference model keeps of runs, tasks and messages."""

from __future__ import annotations

import itertools
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_DEATHS = 3
MAX_LOSSES = 20
HAND = 8
LEASE = 15_000  # ms, as all that follow
QUEUED_GRACE = 5_000
UNNAMED_GRACE = 6_000
MAX_GAP = 4_000
REFUSED = -1  # the token of a try that was given back
GOES_ON_AFTER = {"success", "skipped", "failed", "final", "deferred"}
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


@dataclass(eq=False)
class RefTask:
    """A task, and what its newest try does. Its `state` is "none" at first."""

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
    place: Place | None = None  # in its run

    def __post_init__(self) -> None:
        self._state = "none"

    @property
    def state(self) -> str:
        """What it is in."""
        return self._state

    @state.setter
    def state(self, state: str) -> None:
        self._state = state
        if self.place:
            self.place.tasks.moved(self)

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
class Place:
    """Of a task where it stands among those of its run, and what is known of it there."""

    tasks: Tasks
    name: str
    number: int
    ready_in: str | None = None  # the queue in which it is known to be ready
    is_open: bool = False


class Tasks(dict[str, RefTask]):
    """A run's tasks, by id in the order of their walk.

    What is asked after each step is known without a look at all of them, so that a run of
    thousands of tasks takes no longer for each.
    """

    def __init__(self, tasks: Mapping[str, RefTask]) -> None:
        super().__init__()
        self._numbers = itertools.count()
        self.ready: dict[str, list[tuple[int, int, str]]] = {}  # by queue, the most urgent first
        self.active: set[str] = set()
        self.deferred: set[str] = set()
        self.busy: set[str] = set()  # those that somebody holds, or of which there is a message
        self.open = 0  # how many have not ended
        # By their expanded task, with their numbers.
        self.children: dict[str, list[tuple[int, str]]] = {}
        for name, task in tasks.items():
            self[name] = task

    def __setitem__(self, name: str, task: RefTask) -> None:
        super().__setitem__(name, task)
        task.place = Place(self, name, next(self._numbers))
        if task.parent:
            insort(self.children.setdefault(task.parent, []), _numbered(name))
        self.moved(task)

    def __delitem__(self, name: str) -> None:
        task = self[name]
        task.state = "success"  # it is nowhere any more
        task.place = None
        if task.parent:
            self.children[task.parent].remove(_numbered(name))
        super().__delitem__(name)

    def moved(self, task: RefTask) -> None:
        """The task is in another state."""
        place = task.place
        assert place is not None  # noqa: S101  it is in here
        entry = task.rank, place.number, place.name
        ready_in = task.waits_in if task.state == "ready" else None
        if place.ready_in is not None:
            waiting = self.ready[place.ready_in]
            del waiting[bisect_left(waiting, entry)]
        if ready_in is not None:
            insort(self.ready.setdefault(ready_in, []), entry)
        place.ready_in = ready_in
        for names, is_in in (
            (self.active, task.is_active()),
            (self.deferred, task.state == "deferred"),
            (self.busy, task.state in ACTIVE),
        ):
            (names.add if is_in else names.discard)(place.name)
        is_open = task.state not in ENDED
        self.open += is_open - place.is_open
        place.is_open = is_open


@dataclass
class RefRun:
    """A run and its tasks, by id in the order of their walk."""

    processors: int
    weight: float
    tasks: Tasks
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
        return self.tasks.active

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
        return [child for _, child in self.tasks.children.get(name, ())]

    def first(self, queue: str) -> str | None:
        """The most urgent ready task of a queue."""
        waiting = self.tasks.ready.get(queue)
        return waiting[0][2] if waiting else None


def _numbered(child: str) -> tuple[int, str]:
    return int(child.rpartition(".")[2]), child


def states(tasks: Mapping[str, RefTask]) -> dict[str, str]:
    """Task -> its state."""
    return {name: task.state for name, task in tasks.items()}
