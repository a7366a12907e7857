"""A reference model of the engine: the table of ``lua/table.lua`` in plain Python.

It keeps only what the table calls state and derives the rest (`ready`, `active`, leases), so
that comparing it with the engine's keys also checks the invariants of those keys. Everything
happens at once and in memory. `now` counts what happened; times are in ms, and only the machine
lets time pass.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

MAX_DEATHS = 3
MAX_LOSSES = 20
LEASE = 15_000  # ms, as all that follow
QUEUED_GRACE = 5_000
UNNAMED_GRACE = 6_000
MAX_GAP = 4_000
REFUSED = -1  # the token of a try that was given back
ENDED = {"success", "failed", "upstream_failed", "skipped", "cancelled"}
ENDED_RUN = {"success", "failed", "cancelled"}
ACTIVE = {"queued", "running", "cancelling"}
FAILED = {"failed", "upstream_failed", "cancelled"}


def decide(rule: str, heard: Collection[str], upstream: int, asks: bool = False) -> str | None:
    """What becomes of a task that has heard of these ends of its upstream tasks.

    `asks`: whether a branch among these has not ended, which may skip the task.
    """
    done = len(heard) == upstream
    some_failed = any(state in FAILED for state in heard)
    some_ok = "success" in heard
    some_skipped = "skipped" in heard
    all_skipped = done and set(heard) == {"skipped"}
    verdicts: dict[str, list[tuple[bool, str]]] = {
        "all_success": [
            (some_failed, "upstream_failed"),
            (done and some_skipped, "skipped"),
            (done, "ready"),
        ],
        "all_done": [(done, "ready")],
        "all_failed": [(some_ok or some_skipped, "skipped"), (done, "ready")],
        "one_success": [
            (some_ok, "ready"),
            (all_skipped, "skipped"),
            (done, "upstream_failed"),
        ],
        "all_skipped": [(some_ok or some_failed, "skipped"), (done, "ready")],
        "all_done_min_one_success": [
            (some_skipped, "skipped"),
            (done and some_ok, "ready"),
            (done, "upstream_failed"),
        ],
        "one_done": [
            (bool({"success", "failed", "cancelled"}.intersection(heard)), "ready"),
            (done, "skipped"),
        ],
        "one_failed": [(some_failed, "ready"), (done, "skipped")],
        "none_failed": [(some_failed, "upstream_failed"), (done, "ready")],
        "none_failed_min_one_success": [
            (some_failed, "upstream_failed"),
            (all_skipped, "skipped"),
            (done, "ready"),
        ],
        "none_skipped": [(some_skipped, "skipped"), (done, "ready")],
        "always": [(True, "ready")],
        "teardown": [(done, "ready")],
    }
    if upstream == 0 or rule == "always":
        return "ready"
    if asks:
        return None
    return next((state for holds, state in verdicts[rule] if holds), None)


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
    queue: str
    rank: int
    upstream: tuple[str, ...]
    rule: str = "all_success"
    retries: int = 0
    allow_failure: bool = False
    remote: bool = False
    sensor: bool = False
    branch: bool = False
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
    processors: int
    weight: float
    tasks: dict[str, RefTask]
    queues: list[str]
    state: str = "queued"
    planned: bool = False
    reason: str = ""
    from_task: str = ""
    marked: set[str] = field(default_factory=set)  # since it ended
    restored: bool = False
    rounds: int = 1
    counts: dict[str, int] = field(default_factory=dict)  # expanded task -> items of its list
    since: dict[str, int] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)  # queue -> slot time, 1 for each task
    timed: set[str] = field(default_factory=set)  # queues on which a task of it left its slot
    todo: deque[str] = field(default_factory=deque)  # ended or expanding, nobody has heard of it
    spreading: bool = False

    def active(self) -> set[str]:
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


class ReferenceEngine:
    """The same operations as the engine's, with the same answers."""

    def __init__(self) -> None:
        self.runs: dict[str, RefRun] = {}
        self.lists: dict[str, list[Message]] = {}
        self.workers: dict[str, dict[str, int]] = {}  # queue -> worker -> slots
        self.busy: dict[str, int] = {}  # worker -> slots that were busy when it was heard of last
        self.refused: set[tuple[str, str, str]] = set()  # queue, need, worker
        self.clock: dict[str, float] = {}  # queue -> charge of the run that it served last
        self.timed: set[str] = set()  # queues on which any task left its slot
        self.polls: dict[str, dict[int, str]] = {}  # queue -> push -> group, not yet claimed
        self.polled_at: dict[int, int] = {}  # push of a poll message -> when
        self.groups: dict[str, dict[str, int]] = {}  # queue -> group -> since when it waits
        self.known_queues: set[str] = set()
        self.now = 0
        self.server = 0  # the time by the server's clock
        self.ticked: int | None = None  # likewise at the last tick
        self.steady_at_tick: int | None = None
        self._pushes = 0

    @property
    def steady(self) -> int:
        """Steady time: it stands from the 4th second after a tick on, and never goes back."""
        gap = 0 if self.ticked is None else max(0, min(self.server - self.ticked, MAX_GAP))
        return (self.server if self.steady_at_tick is None else self.steady_at_tick) + gap

    # Planning

    def submit(
        self, run_id: str, tasks: dict[str, RefTask], processors: int, weight: float
    ) -> None:
        """`tasks` in the order of their walk."""
        for name, task in tasks.items():
            task.last_try = 1 + task.retries
            for parent in task.upstream:
                tasks[parent].downstream.append(name)
        queues = sorted({task.queue for task in tasks.values()})
        counts = {name: task.items for name, task in tasks.items() if task.items is not None}
        self.runs[run_id] = RefRun(processors, weight, tasks, queues, counts=counts)

    def start(self, run_id: str) -> None:
        """What the commit of a plan does."""
        self.now += 1
        run = self.runs[run_id]
        if run.planned and not run.restored:
            self._prepare_again(run)
        run.marked = set()
        run.state, run.planned, run.restored = "running", True, False
        run.queues = sorted({task.queue for task in run.tasks.values()})
        self.known_queues.update(run.queues)
        for name, task in list(run.tasks.items()):
            if task.state == "none" and not task.parent and (task.setup or not run.reason):
                task.state = (
                    self._decided_teardown(run, task) if task.setup else self._decided(run, task)
                )
                self._entered(run, name)
        reason, run.reason = run.reason, ""
        if reason and not self._is_over(run):
            self._begin_cancel(run_id, reason)
        run.reason = reason
        self._spread(run)
        self._reschedule(run_id)

    def wipe(self) -> None:
        """Redis loses everything; what history knows of unfinished runs is given back."""
        self.now += 1
        self.ticked = self.steady_at_tick = None
        self.lists, self.known_queues = {}, set()
        self.workers, self.busy, self.refused = {}, {}, set()
        self.polls, self.groups, self.clock, self.timed = {}, {}, {}, set()
        self.runs = {r: run for r, run in self.runs.items() if run.state not in ENDED_RUN}
        for run in self.runs.values():
            run.since, run.used, run.timed = {}, {}, set()
            if run.state != "queued":
                run.state, run.restored = "queued", True
            for task in run.tasks.values():
                self._forget(run, task)
            # Children that never ended a try were never heard of.
            unknown = [
                t for t, task in run.tasks.items() if task.parent and task.state == "unknown"
            ]
            for name in unknown:
                del run.tasks[name]
            for task in run.tasks.values():
                states = {up: run.tasks[up].state for up in task.upstream}
                task.heard = {up: state for up, state in states.items() if state in ENDED}

    def _forget(self, run: RefRun, task: RefTask) -> None:
        task.deaths = task.losses = task.settled = 0
        task.token, task.push, task.charged = None, None, None
        task.needs = frozenset()
        task.waits = task.due = False
        if not run.planned:
            return
        if task.state in ENDED:  # with its reason and its pushes
            task.last_try = task.try_number
        elif run.restored:
            task.reason = ""
            if task.state == "up_for_retry":
                task.try_number, task.told = task.try_number + 1, 0
            elif task.parent and not task.known:
                task.state = "unknown"
                return
            task.state, task.began, task.pushes = "none", False, task.told + 1
            task.last_try = max(task.try_number, 1 + task.retries)
        task.known = True

    def _prepare_again(self, run: RefRun) -> None:
        """Whatever is downstream of what runs again runs again; the rest is kept."""
        tasks = {t: task for t, task in run.tasks.items() if not task.parent}
        parents = {run.tasks[t].parent for t in {run.from_task, *run.marked} if t}
        again = {
            t
            for t, task in tasks.items()
            if task.state not in ("success", "skipped") or t in {run.from_task, *parents}
        }
        anew = {run.from_task} & set(tasks)
        grows = True
        while grows:
            changed = again | run.marked
            below = {t for t, task in tasks.items() if changed & set(task.upstream)}
            grows = not below <= again
            anew |= below
            again |= below
        # A setup and its teardown are for those between them; others have had theirs.
        grows = True
        while grows:
            needed = {
                task.setup for t, task in tasks.items() if task.setup and again & run.between(t)
            }
            grows = not needed <= again
            anew |= needed - again
            again |= needed
        for name in again:
            self._prepare_children(run, name, anew=name in anew)
            task = tasks[name]
            for expanded in [t for t, k in run.tasks.items() if k.expands_over == name]:
                run.counts.pop(expanded, None)
            task.renew_again(name in anew)
            task.state, task.push = "none", None
            task.last_try = task.try_number + task.retries
            kept = [up for up in task.upstream if up not in again]
            if (
                name != run.from_task
                and not task.setup
                and any(name in tasks[up].skips for up in kept)
            ):
                task.state = "skipped"  # by a branch that is kept
        for name in again:
            tasks[name].skips = ()
            ended = {up: tasks[up].state for up in tasks[name].upstream}
            tasks[name].heard = {up: state for up, state in ended.items() if state in ENDED}

    def _prepare_children(self, run: RefRun, name: str, *, anew: bool) -> None:
        for child in run.children(name):
            task = run.tasks[child]
            task.known = True
            if anew or task.state not in ("success", "skipped") or child == run.from_task:
                task.renew_again(anew or child == run.from_task)
                task.state, task.push = "none", None
                task.last_try = task.try_number + task.retries

    # A try's life

    def task_of(self, message: Message) -> RefTask:
        return self.runs[message.run].tasks[message.task]

    def claim(self, message: Message, process: int, worker: str) -> str | None:
        """The order that the claim answers, None if it is refused."""
        self.now += 1
        task = self.task_of(message)
        if self.runs[message.run].state == "queued" or task.try_number != message.try_number:
            return None
        if task.state == "running":
            same = task.token == message.number and task.process in (process, None)
            return "run" if same and task.worker == worker else None
        if not task.waits:
            return None
        order = "cancel" if task.state == "cancelling" else "run"
        if order == "run":
            task.state, task.began = "running", True
        task.token, task.process, task.waits = message.number, process, False
        task.worker, task.lease_until = worker, self._in(LEASE)
        return order

    def _in(self, milliseconds: int) -> tuple[int, int]:
        return self.steady + milliseconds, self.now

    def holder(self, message: Message) -> str:
        task = self.task_of(message)
        state, mine = task.state, task.token == message.number
        lost_claim = task.token is None and task.push != message.number
        if self.runs[message.run].state == "queued":
            return "unknown"
        if task.try_number != message.try_number or state in ("none", "expanding"):
            return "lost"
        if state in ENDED or state == "up_for_retry":
            return "ended"
        answers = {
            "running": ("yours", "lost"),
            "cancelling": ("yours", "lost"),
            "deferred": ("yours", "ended"),
            "ready": ("back", "back" if lost_claim else "waiting"),
            "queued": ("back", "back" if lost_claim else "waiting"),
        }
        return answers[state][not mine]

    def _take_back(self, task: RefTask, message: Message) -> None:
        if task.token != message.number:
            task.token, task.process = message.number, None
        task.state, task.waits, task.began = "running", False, True

    def release(  # noqa: C901  one case for each outcome
        self,
        message: Message,
        outcome: str,
        skips: tuple[str, ...] = (),
        expand: Mapping[str, int] | None = None,
    ) -> str:
        self.now += 1
        run, task = self.runs[message.run], self.task_of(message)
        whose = self._releaser(message)
        if whose not in ("yours", "back"):
            return whose
        task.waits = task.due = False
        if whose == "back":
            self._take_back(task, message)
        if task.state == "running":
            self._settle(run, task, spent=1)
        if task.reason.startswith("mark ") and outcome in ("success", "failed"):
            outcome = "stopped"
        if outcome == "success":
            task.skips = skips
            run.counts.update(expand or {})
            self._leave(run, message.task, "success")
        elif outcome == "revoked":
            if task.state != "cancelling":
                task.state, task.reason = "cancelling", "cancel"
            self._cancel_elsewhere(run, message.run, message.task)
        elif outcome in ("dead", "lost") or (outcome == "stopped" and task.state != "cancelling"):
            lost = outcome == "lost" and task.state != "cancelling"
            task.deaths += not lost
            poison = lost or task.deaths == MAX_DEATHS
            self._abandon(run, message.run, message.task, poison=poison)
        elif task.state == "cancelling":
            self._stopped(run, message.task)
        elif outcome in ("skipped", "final"):
            self._leave(run, message.task, "skipped" if outcome == "skipped" else "failed")
        else:
            self._fail_try(run, message.task)
        self._reschedule(message.run)
        return "ok"

    def _releaser(self, message: Message) -> str:
        run, task = self.runs[message.run], self.task_of(message)
        if task.waits and task.push == message.number and run.state != "queued":
            return "back" if task.state == "queued" else "yours"
        return self.holder(message)

    def renew(
        self,
        worker: str,
        messages: Sequence[Message],
        *,
        overdue: Message | None = None,
        looked_ago: int | None = None,
    ) -> list[str]:
        """`overdue`: this try runs for longer than its timeout. What the worker holds by an older
        lease than its look, and does not name, it has lost."""
        self.now += 1
        answers = [self._renewed(worker, message, message is overdue) for message in messages]
        if looked_ago is not None:
            named = {(message.run, message.task) for message in messages}
            oldest = self.steady + LEASE - UNNAMED_GRACE - looked_ago
            for run_id, name in self._leases_until(oldest):
                mine = self.runs[run_id].tasks[name].worker == worker
                if mine and (run_id, name) not in named:
                    self._lose_lease(run_id, name)
        return answers

    def _renewed(self, worker: str, message: Message, overdue: bool) -> str:
        whose, task = self.holder(message), self.task_of(message)
        if whose == "back":
            self._take_back(task, message)
            task.worker = worker
            self._refile(message.run)
            whose = "yours"
        if whose == "yours":
            task.lease_until = self._in(LEASE)
        if whose == "yours" and task.state == "running" and overdue:
            task.state, task.reason = "cancelling", "timeout"
        return "cancel" if whose == "yours" and task.state == "cancelling" else whose

    def defer(self, message: Message, group: str) -> str:
        self.now += 1
        whose, task = self.holder(message), self.task_of(message)
        if whose == "back":
            self._take_back(task, message)
        elif whose != "yours":
            return whose
        if task.state == "cancelling":
            return "cancel"
        if task.state == "running":
            self._settle(self.runs[message.run], task, spent=1)
        task.state, task.token, task.group, task.due = "deferred", None, group, False
        self._refile(message.run)
        self._top_up(task.queue)
        return "ok"

    def refuse(self, message: Message, worker: str, need: str) -> str:
        """The worker's host lacks that; nothing of the task has run."""
        self.now += 1
        whose, task, run = self.holder(message), self.task_of(message), self.runs[message.run]
        if whose != "yours":
            return whose
        if need:
            self.refused.add((task.queue, need, worker))
        if task.state == "deferred":
            task.token, task.due = None, True
            self.groups.setdefault(task.queue, {}).setdefault(task.group, self.now)
            self._top_up(task.queue)
            return "ok"
        if task.state == "running":
            self._settle(run, task, spent=0)
        if need:
            kind = need.partition(":")[0]
            others = {n for n in task.needs if n.partition(":")[0] != kind}
            task.needs = frozenset(others | {need})
            if task.waits_in not in run.queues:
                run.queues.append(task.waits_in)
        if task.state == "cancelling":
            task.token = None
            self._push_cancel(message.run, message.task)
        else:
            task.token, task.state = REFUSED, "ready"
            task.began = task.began and task.deaths + task.losses > 0
        self._reschedule(message.run)
        return "ok"

    def claim_polls(self, queue: str, message: Message) -> list[Message]:
        """A message for each task that is to be polled; none if the poll was claimed before."""
        self.now += 1
        if self.polls.get(queue, {}).pop(message.number, None) is None:
            return []
        due = self._due(queue, message.task)
        for run_id, name in due:
            task = self.runs[run_id].tasks[name]
            task.token, task.due = message.number, False
            task.worker = "worker"
        self._tidy(queue)
        self._top_up(queue)
        return [
            Message(r, t, self.runs[r].tasks[t].try_number, message.number, "", queue)
            for r, t in due
        ]

    def _due(self, queue: str, group: str | None = None) -> list[tuple[str, str]]:
        return sorted(
            (r, t)
            for r, run in self.runs.items()
            for t, task in run.tasks.items()
            if task.due and task.queue == queue and group in (None, task.group)
        )

    def _tidy(self, queue: str) -> None:
        groups = self.groups.setdefault(queue, {})
        for group in [g for g in groups if not self._due(queue, g)]:
            del groups[group]

    def register(self, queue: str, slots: int, worker: str) -> None:
        """A worker is heard of; without slots it leaves."""
        self.now += 1
        workers = self.workers.setdefault(queue, {})
        workers[worker] = slots
        if slots == 0:
            del workers[worker]
            self.lists.pop(f"@{worker}", None)
        self.known_queues.add(queue)
        self._top_up(queue)

    def slots(self, queue: str) -> int:
        """Those of the queue's live workers."""
        return sum(self.workers.get(queue, {}).values())

    def _able(self, queue: str, needs: Collection[str]) -> list[tuple[int, int, str]]:
        """The queue's workers that lack none of that as far as they said, the best one first:
        what they have free, negative; what their own list may hold, negative; name."""
        able = []
        for worker, slots in self.workers.get(queue, {}).items():
            if not any((queue, need, worker) in self.refused for need in needs):
                room = slots - len(self.lists.get(f"@{worker}", []))
                able.append((self.busy.get(worker, 0) - room, -room, worker))
        return sorted(able)

    def _abandon(self, run: RefRun, run_id: str, name: str, poison: bool) -> None:
        task = run.tasks[name]
        if poison and task.reason.startswith("mark "):
            self._stopped(run, name)
        elif poison:
            task.reason = "poison"
            self._leave(run, name, "failed")
        elif task.state != "cancelling":
            self._settle(run, task, spent=0)
            task.state = "ready"
        else:
            self._cancel_elsewhere(run, run_id, name)

    def _cancel_elsewhere(self, run: RefRun, run_id: str, name: str) -> None:
        if run.tasks[name].remote:
            run.tasks[name].token = None
            self._push_cancel(run_id, name)
        else:
            self._stopped(run, name)

    def _push_cancel(self, run_id: str, name: str) -> None:
        """Some worker is asked to cancel the task's remote job, once there is one that can."""
        task = self.runs[run_id].tasks[name]
        able = self._able(task.queue, task.needs)
        if not task.needs:
            self._push(run_id, name)
        elif able:
            self._push(run_id, name, f"@{able[0][2]}")
        else:
            task.push, task.waits, task.waits_since = None, True, self._in(0)

    def _stopped(self, run: RefRun, name: str) -> None:
        word, _, state = run.tasks[name].reason.partition(" ")
        if word == "mark":
            self._end_marked(run, name, state)
            return
        if run.tasks[name].reason == "timeout":
            self._fail_try(run, name)
        else:
            self._leave(run, name, "cancelled")

    def _fail_try(self, run: RefRun, name: str) -> None:
        task = run.tasks[name]
        if task.try_number < task.last_try and (run.state == "running" or task.setup):
            task.state, task.known = "up_for_retry", True
        else:
            self._leave(run, name, "failed")

    # Stopping and going on

    def cancel(self, run_id: str, reason: str = "cancel", order: Sequence[str] = ()) -> None:
        """`order`: that in which the engine meets the run's tasks."""
        self.now += 1
        run = self.runs[run_id]
        if run.state == "queued" and run.restored:
            run.reason = reason
        elif run.state == "queued":
            run.state = "cancelled"
        if run.state != "running":
            return
        self._begin_cancel(run_id, reason, order)
        self._end_if_over(run)
        self._reschedule(run_id)

    def _begin_cancel(self, run_id: str, reason: str, order: Sequence[str] = ()) -> None:
        run = self.runs[run_id]
        run.state, run.reason = "cancelling", reason
        for name in order or list(run.tasks):
            task = run.tasks[name]
            if task.setup:
                continue
            if task.state == "running":
                task.state, task.reason = "cancelling", "cancel"
            elif task.state == "deferred":
                self._stop_deferred(run_id, name, "cancel")
            elif task.state == "expanding":
                task.reason = "cancel"
            elif task.state != "cancelling" and task.state not in ENDED:
                task.state, task.waits = "cancelled", False
                run.todo.append(name)
        for name in [t for t, task in run.tasks.items() if task.state == "expanding"]:
            self._end_expansion(run, name)
        self._spread(run)

    def _stop_deferred(self, run_id: str, name: str, reason: str) -> None:
        run, task = self.runs[run_id], self.runs[run_id].tasks[name]
        task.due = False
        self._tidy(task.queue)
        task.state, task.reason = "cancelling", reason
        self._cancel_elsewhere(run, run_id, name)

    def resume(self, run_id: str, from_task: str) -> bool:
        """Whether it may."""
        run = self.runs[run_id]
        if run.state not in ENDED_RUN:
            return False
        if run.state == "success" and not (from_task or run.marked):
            return False
        if from_task and not run.planned:
            return False
        run.state, run.reason, run.from_task = "queued", "", from_task
        run.rounds += 1
        return True

    def mark(self, run_id: str, name: str, state: str, expand: Mapping[str, int]) -> bool:
        """Somebody says how a task ended; whether that can be so."""
        self.now += 1
        run = self.runs[run_id]
        task = run.tasks[name]
        over = run.state in ENDED_RUN
        if run.state == "queued" or not run.planned or (not over and task.state in ENDED):
            return False
        if task.state == "expanding" or (over and run.children(name)):
            return False
        task.skips = ()
        run.counts.update(expand)
        if over:
            run.marked.add(name)
            task.state, task.reason, task.known = state, "marked", True
            return True
        reason = f"mark {state}"
        if task.state == "deferred":
            self._stop_deferred(run_id, name, reason)
        elif task.state in ("running", "cancelling"):
            task.state, task.reason = "cancelling", reason
        else:
            self._settle(run, task, spent=0)
            task.waits = False
            self._end_marked(run, name, state)
        self._reschedule(run_id)
        return True

    def _end_marked(self, run: RefRun, name: str, state: str) -> None:
        run.tasks[name].reason = "marked"
        for child in run.children(name):
            if run.tasks[child].state == "none":
                run.tasks[child].state = state
        self._leave(run, name, state)

    # Time

    def tick(
        self,
        timers: Sequence[tuple[str, str]],
        late: Collection[tuple[str, str]] = (),
    ) -> None:
        """`timers`: tasks whose next try or poll is due, in that order. `late` ones of these are
        deferred for longer than their timeout."""
        steady = self.steady
        self.now += steady != self.steady_at_tick
        self.ticked, self.steady_at_tick = self.server, steady
        for run_id, name in self._leases_until(steady):
            self._lose_lease(run_id, name)
        self._push_lost_messages()
        for run_id, name in timers:
            task = self.runs[run_id].tasks[name]
            if task.state == "deferred":
                self._poll_or_stop(run_id, name, (run_id, name) in late)
            elif task.state == "up_for_retry":
                task.renew_try(task.try_number + 1)
                task.state = "ready"
                self._reschedule(run_id)
        for queue in sorted(self.known_queues):
            others = [
                q for run in self.runs.values() for q in run.queues if q.startswith(f"{queue}!")
            ]
            self._forget_lost_polls(queue)
            self.lists.setdefault(queue, [])
            if self.slots(queue) == 0:
                self._take_messages_back(queue)
                self._forget_if_unused(queue)
            else:
                self._top_up(queue)
            for other in sorted(set(others)):
                self._top_up(other)

    def _is_well_placed(self, task: RefTask) -> bool:
        """Whether the task's message is somewhere, and not where a busier worker has to take it."""
        own = {worker: f"@{worker}" for worker in self.workers.get(task.queue, {})}
        at = [
            name
            for name in (task.queue, *own.values())
            if task.push in {m.number for m in self.lists.get(name, [])}
        ]
        if not at or not task.needs:
            return bool(at)
        able = self._able(task.queue, task.needs)
        return not able or able[0][0] >= 0 or own[able[0][2]] in at

    def _push_again(self, run_id: str, name: str) -> None:
        run, task = self.runs[run_id], self.runs[run_id].tasks[name]
        if task.state == "cancelling":
            self._push_cancel(run_id, name)
        elif not task.needs:
            self._push(run_id, name)
        else:
            self._settle(run, task, spent=0)
            task.state, task.waits = "ready", False
            self._reschedule(run_id)

    def _push_lost_messages(self) -> None:
        old = self.steady - QUEUED_GRACE
        for run_id, name in self._by(
            lambda task: task.waits and task.waits_since[0] <= old, lambda task: task.waits_since
        ):
            task = self.runs[run_id].tasks[name]
            if self._is_well_placed(task):
                task.waits_since = self._in(0)
            else:
                self.known_queues.add(task.queue)
                self._push_again(run_id, name)

    def _by(
        self, which: Callable[[RefTask], bool], order: Callable[[RefTask], tuple[int, int]]
    ) -> list[tuple[str, str]]:
        found = [
            (order(task), f"{r}/{t}", (r, t))
            for r, run in self.runs.items()
            if run.state in ("running", "cancelling")
            for t, task in run.tasks.items()
            if which(task)
        ]
        return [of for _, _, of in sorted(found)]

    def _leases_until(self, until: int) -> list[tuple[str, str]]:
        return self._by(
            lambda task: task.held() and task.lease_until[0] <= until,
            lambda task: task.lease_until,
        )

    def _lose_lease(self, run_id: str, name: str) -> None:
        run, task = self.runs[run_id], self.runs[run_id].tasks[name]
        task.losses += 1
        self._abandon(run, run_id, name, poison=task.losses == MAX_LOSSES)
        self._reschedule(run_id)

    def _forget_lost_polls(self, queue: str) -> None:
        lists = [queue, *(f"@{worker}" for worker in self.workers.get(queue, {}))]
        listed = {m.number for name in lists for m in self.lists.get(name, [])}
        for number in list(self.polls.get(queue, {})):
            if self.steady - self.polled_at[number] > QUEUED_GRACE and number not in listed:
                del self.polls[queue][number]

    def _poll_or_stop(self, run_id: str, name: str, late: bool) -> None:
        run, task = self.runs[run_id], self.runs[run_id].tasks[name]
        if task.token is not None:  # its poll was never reported
            task.token = None
            task.losses += 1
        if task.losses >= MAX_LOSSES:
            task.reason = "poison"
            self._leave(run, name, "failed")
            self._reschedule(run_id)
        elif late:
            self._stop_deferred(run_id, name, "timeout")
            self._reschedule(run_id)
        else:
            task.due = True
            self.groups.setdefault(task.queue, {}).setdefault(task.group, self.now)

    def _take_messages_back(self, queue: str) -> None:
        kept = []
        for message in self.lists.get(queue, []):
            if message.run == "*":
                self.polls[queue].pop(message.number, None)
                continue
            task = self.task_of(message)
            if task.state == "cancelling":
                kept.append(message)
            elif task.state == "queued" and task.push == message.number:
                task.pushes -= 1
                self._settle(self.runs[message.run], task, spent=0)
                task.state, task.waits = "ready", False
                self._refile(message.run)
        self.lists[queue] = kept

    def _forget_if_unused(self, queue: str) -> None:
        """No worker listens to the queue; maybe no run has it either."""
        runs = [r for r in self.runs.values() if r.state in ("running", "cancelling")]
        if any(queue in run.queues for run in runs):
            return
        if not self.lists[queue] and not self.polls.get(queue):
            self.known_queues.discard(queue)
            self.timed.discard(queue)
            self.clock.pop(queue, None)

    # Cascade

    def _leave(self, run: RefRun, name: str, state: str) -> None:
        run.tasks[name].state, run.tasks[name].known = state, True
        run.todo.append(name)
        self._spread(run)

    def _spread(self, run: RefRun) -> None:
        """Tell everyone what has ended, first things first, and let what expands do so."""
        if run.spreading:
            return
        run.spreading = True
        while run.todo:
            name = run.todo.popleft()
            if run.tasks[name].state == "expanding":
                self._expand(run, name)
            else:
                self._tell(run, name)
        run.spreading = False
        self._end_if_over(run)

    def _tell(self, run: RefRun, parent: str) -> None:
        ended = run.tasks[parent]
        if ended.parent:
            self._end_expansion(run, ended.parent)
        for child in ended.downstream:
            task = run.tasks[child]
            task.heard[parent] = ended.state
            if task.state != "none":
                continue
            if task.setup:
                task.state = self._decided_teardown(run, task)
            elif run.state == "cancelling":
                task.state = "cancelled"
            elif child in ended.skips and ended.state == "success":
                task.state = "skipped"
            else:
                task.state = self._decided(run, task)
            self._entered(run, child)

    def _decided_teardown(self, run: RefRun, task: RefTask) -> str:
        """It waits for all between, and has nothing to do if its setup never began."""
        setup = run.tasks[task.setup]
        retried = setup.state == "cancelled" and (setup.try_number > setup.last_try - setup.retries)
        decided = self._decided(run, task)
        if decided == "ready" and not (setup.state == "success" or setup.began or retried):
            return "skipped"
        return decided

    def _decided(self, run: RefRun, task: RefTask) -> str:
        heard, upstream = task.heard, task.upstream
        asks = any(run.tasks[up].branch for up in upstream if up not in heard)
        verdict = decide(task.rule, list(heard.values()), len(upstream), asks) or "none"
        if verdict != "ready" or not task.expands_over:
            return verdict
        of_list = run.tasks[task.expands_over].state
        if of_list not in ENDED:
            return "none"
        return {"success": "ready", "skipped": "skipped"}.get(of_list, "upstream_failed")

    # Expansion

    def _entered(self, run: RefRun, name: str) -> None:
        """A task may have left `none`."""
        task = run.tasks[name]
        if task.expands and task.state == "ready":
            task.state, task.told = "expanding", task.pushes
        if task.expands and task.state in ENDED:
            for child in run.children(name):
                if run.tasks[child].state == "none":
                    run.tasks[child].state = task.state
        if task.state in ENDED or task.state == "expanding":
            run.todo.append(name)

    def _expand(self, run: RefRun, name: str) -> None:
        if run.state != "running":
            return
        task = run.tasks[name]
        old = {t: run.tasks[t] for t in run.children(name)}
        count = run.counts.get(name, 0)
        for i in range(count):
            child = old.pop(f"{name}.{i}", None)
            if child is None:
                child = RefTask(
                    task.queue,
                    task.rank,
                    (),
                    retries=task.retries,
                    allow_failure=task.allow_failure,
                    remote=task.remote,
                    sensor=task.sensor,
                    parent=name,
                    last_try=1 + task.retries,
                )
                run.tasks[f"{name}.{i}"] = child
            if child.state not in ENDED:
                child.state = "ready"
        for child in old.values():
            if child.state == "none":
                child.state = "skipped"
        self._end_expansion(run, name)

    def _end_expansion(self, run: RefRun, name: str) -> None:
        task = run.tasks[name]
        children = run.children(name)[: run.counts.get(name, 0)]
        states = [run.tasks[child].state for child in children]
        if task.state != "expanding" or not ENDED.issuperset(states):
            return
        if task.reason == "cancel":
            state = "cancelled"
        else:
            ranked = ("failed", "cancelled", "success")
            state = next((s for s in ranked if s in states), "skipped")
        self._leave(run, name, state)

    def _is_over(self, run: RefRun) -> bool:
        return all(task.state in ENDED for task in run.tasks.values())

    def _end_if_over(self, run: RefRun) -> None:
        if self._is_over(run):
            bad = [t for t in run.tasks.values() if t.state in ("failed", "cancelled")]
            failed = not all(task.allow_failure for task in bad)
            if run.reason:
                run.state = "failed" if run.reason == "timeout" else "cancelled"
            else:
                run.state = "failed" if failed else "success"

    # Scheduling

    def _refile(self, run_id: str) -> None:
        run = self.runs[run_id]
        is_open = run.processors == 0 or len(run.active()) < run.processors
        for queue in run.queues:
            if is_open and run.ready(queue):
                if queue not in run.since:
                    least = math.ceil(run.weight * self.clock.get(queue, 0))
                    run.used[queue] = max(run.used.get(queue, 0), least)
                    run.since[queue] = self.now
            else:
                run.since.pop(queue, None)

    def _reschedule(self, run_id: str) -> None:
        self._refile(run_id)
        for queue in self.runs[run_id].queues:
            self._top_up(queue)

    def fair(self, queue: str) -> list[str]:
        """The runs that may get the queue's next slot, the next one first."""
        waiting = [r for r, run in self.runs.items() if queue in run.since]
        return sorted(waiting, key=lambda r: self._fair_key(r, queue))

    def _fair_key(self, run_id: str, queue: str) -> tuple[float, int, str]:
        run = self.runs[run_id]
        return run.used.get(queue, 0) / run.weight, run.since[queue], run_id

    def _top_up(self, queue: str) -> None:
        if "!" in queue:
            self._top_up_others(queue)
            return
        messages = self.lists.setdefault(queue, [])
        self._push_polls(queue, 2 * self.slots(queue) - len(messages))
        while len(messages) < 2 * self.slots(queue) and self.fair(queue):
            self._serve(queue)

    def _top_up_others(self, queue: str) -> None:
        base, needs = queue.split("!")
        while self.fair(queue):
            able = [w for w in self._able(base, needs.split("+")) if w[1] < 0]
            if not able:
                return
            self._serve(queue, f"@{able[0][2]}")

    def _serve(self, queue: str, where: str = "") -> None:
        run_id = self.fair(queue)[0]
        run = self.runs[run_id]
        name = run.ready(queue)[0]
        run.tasks[name].state = "queued"
        self._push(run_id, name, where)
        self.clock[queue] = run.used.get(queue, 0) / run.weight
        run.tasks[name].charged = self._mean(run, queue)
        run.used[queue] = run.used.get(queue, 0) + run.tasks[name].charged
        run.since[queue] = self.now
        self._refile(run_id)

    def _mean(self, run: RefRun, queue: str) -> int:
        """What a task of the run is taken to take."""
        return int(queue in run.timed or queue in self.timed)

    def _settle(self, run: RefRun, task: RefTask, spent: int) -> None:
        """A task leaves its slot, or loses its place."""
        if task.charged is None:
            return
        run.used[task.waits_in] += spent - task.charged
        task.charged = None
        if spent:
            run.timed.add(task.waits_in)
            self.timed.add(task.waits_in)

    def _push_polls(self, queue: str, room: int) -> None:
        unclaimed = self.polls.setdefault(queue, {})
        groups = self.groups.setdefault(queue, {})
        free = min(room, max(1, self.slots(queue)) - len(unclaimed))
        for group in sorted(groups, key=lambda g: (groups[g], g)):
            able = self._able(queue, [f"polls:{group}"])
            if not able:
                continue
            where = queue if len(able) == len(self.workers[queue]) else f"@{able[0][2]}"
            if free > 0 and group not in unclaimed.values():  # one message polls up to 100
                self._pushes += 1
                unclaimed[self._pushes] = group
                self.polled_at[self._pushes] = self.steady
                groups[group] = self.now
                message = Message("*", group, 0, self._pushes, f"*/{group}", queue)
                self.lists.setdefault(where, []).append(message)
                free -= 1

    def _push(self, run_id: str, name: str, where: str = "") -> None:
        task = self.runs[run_id].tasks[name]
        self._pushes += 1
        task.push, task.waits = self._pushes, True
        task.waits_since = self._in(0)
        task.pushes += 1
        suffix = f".{task.pushes}" if task.pushes > 1 else ""
        celery_id = f"{run_id}/{name}/{task.try_number}{suffix}"
        message = Message(run_id, name, task.try_number, self._pushes, celery_id, task.queue)
        self.lists.setdefault(where or task.queue, []).append(message)


def states(tasks: Mapping[str, RefTask]) -> dict[str, str]:
    """Task -> its state."""
    return {name: task.state for name, task in tasks.items()}
