"""A reference model of the engine: the table of ``lua/table.lua`` in plain Python.

It keeps only what the table calls state and derives the rest (`ready`, `active`, leases), so
that comparing it with the engine's keys also checks the invariants of those keys. Everything
happens at once and in memory; `now` is a counter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

MAX_DEATHS = 3
MAX_LOSSES = 20
ENDED = {"success", "failed", "upstream_failed", "skipped", "cancelled"}
ACTIVE = {"queued", "running", "cancelling"}
FAILED = {"failed", "upstream_failed", "cancelled"}


def decide(rule: str, heard: Collection[str], upstream: int) -> str | None:
    """What becomes of a task that has heard of these ends of its upstream tasks."""
    done = len(heard) == upstream
    some_failed = any(state in FAILED for state in heard)
    some_ok = "success" in heard
    some_skipped = "skipped" in heard
    all_skipped = done and set(heard) == {"skipped"}
    verdicts: dict[str, list[tuple[bool, str]]] = {
        "all_success": [
            (some_failed, "upstream_failed"),
            (some_skipped, "skipped"),
            (done, "ready"),
        ],
        "all_done": [(done, "ready")],
        "all_failed": [(some_ok or some_skipped, "skipped"), (done, "ready")],
        "one_success": [
            (some_ok, "ready"),
            (all_skipped, "skipped"),
            (done, "upstream_failed"),
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
    }
    if upstream == 0:
        return "ready"
    return next((state for holds, state in verdicts[rule] if holds), None)


@dataclass(frozen=True)
class Message:
    """A message of a task's try; `number` is its push."""

    run: str
    task: str
    try_number: int
    number: int
    celery_id: str


@dataclass
class RefTask:
    queue: str
    rank: int
    upstream: tuple[str, ...]
    rule: str = "all_success"
    retries: int = 0
    may_fail: bool = False
    remote: bool = False
    downstream: list[str] = field(default_factory=list)
    state: str = "none"
    try_number: int = 1
    last_try: int = 1
    began: bool = False
    reason: str = ""
    skips: tuple[str, ...] = ()
    heard: dict[str, str] = field(default_factory=dict)
    pushes: int = 0
    push: int | None = None
    token: int | None = None
    process: int | None = None
    waits: bool = False  # a message of it is to be claimed
    deaths: int = 0
    losses: int = 0

    def held(self) -> bool:
        """Whether somebody has a lease on it."""
        return self.state in ("running", "cancelling") and not self.waits

    def renew_try(self, number: int) -> None:
        """Begin a try."""
        self.try_number, self.began, self.reason, self.token = number, False, "", None
        self.pushes = self.deaths = self.losses = 0


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
    since: dict[str, int] = field(default_factory=dict)

    def active(self) -> set[str]:
        return {t for t, task in self.tasks.items() if task.state in ACTIVE}

    def ready(self, queue: str) -> list[str]:
        """Ready tasks of a queue, most urgent first."""
        found = [t for t, k in self.tasks.items() if k.state == "ready" and k.queue == queue]
        return sorted(found, key=lambda t: self.tasks[t].rank)


class ReferenceEngine:
    """The same operations as the engine's, with the same answers."""

    def __init__(self) -> None:
        self.runs: dict[str, RefRun] = {}
        self.lists: dict[str, list[Message]] = {}
        self.slots: dict[str, int] = {}
        self.known_queues: set[str] = set()
        self.now = 0
        self._pushes = 0

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
        self.runs[run_id] = RefRun(processors, weight, tasks, queues)

    def start(self, run_id: str) -> None:
        """What the commit of a plan does."""
        self.now += 1
        run = self.runs[run_id]
        if run.planned:
            self._prepare_again(run)
        run.state, run.planned = "running", True
        self.known_queues.update(run.queues)
        for task in run.tasks.values():
            if task.state == "none":
                self._decide(run, task)
        self._end_if_over(run)
        self._reschedule(run_id)

    def _prepare_again(self, run: RefRun) -> None:
        """Keep what succeeded, and what was skipped for reasons that still hold."""
        below: set[str] = set()
        again: set[str] = set()
        for name, task in run.tasks.items():
            if name == run.from_task or below & set(task.upstream):
                below.add(name)
            skipped_again = task.state == "skipped" and again & set(task.upstream)
            if name in below or task.state not in ("success", "skipped") or skipped_again:
                again.add(name)
        for name in [t for t in run.tasks if t in again]:
            task = run.tasks[name]
            not_taken = name != run.from_task and any(
                name in run.tasks[up].skips for up in task.upstream if up not in again
            )
            task.renew_try(task.try_number + task.began)
            task.state = "skipped" if not_taken else "none"
            task.last_try = task.try_number + task.retries
            task.skips = ()
            task.push = None
            if not_taken:
                again.discard(name)
        for name in again:
            task = run.tasks[name]
            task.heard = {up: run.tasks[up].state for up in task.upstream if up not in again}

    # A try's life

    def task_of(self, message: Message) -> RefTask:
        return self.runs[message.run].tasks[message.task]

    def claim(self, message: Message, process: int) -> str | None:
        """The order that the claim answers, None if it is refused."""
        self.now += 1
        task = self.task_of(message)
        if self.runs[message.run].state == "queued" or task.try_number != message.try_number:
            return None
        if task.state == "running":
            return "run" if (task.token, task.process) == (message.number, process) else None
        if not task.waits:
            return None
        order = "cancel" if task.state == "cancelling" else "run"
        if order == "run":
            task.state, task.began = "running", True
        task.token, task.process, task.waits = message.number, process, False
        return order

    def holder(self, message: Message) -> str:
        task = self.task_of(message)
        if self.runs[message.run].state == "queued":
            return "unknown"
        if task.try_number != message.try_number:
            return "lost"
        if task.state in ENDED or task.state == "up_for_retry":
            return "ended"
        if task.state == "none":
            return "lost"
        holding = task.state in ("running", "cancelling")
        if task.token != message.number:
            return "lost" if holding else "waiting"
        return "yours" if holding else "back"

    def release(self, message: Message, outcome: str, skips: tuple[str, ...] = ()) -> str:
        self.now += 1
        run, task = self.runs[message.run], self.task_of(message)
        whose = self.holder(message)
        unclaimed = task.waits and task.push == message.number and run.state != "queued"
        gone = outcome in ("dead", "revoked")
        if whose not in ("yours", "back") and not (gone and unclaimed):
            return whose
        task.waits = False
        if whose == "back":
            task.state = "running"
        if outcome == "success":
            task.skips = skips
            self._leave(run, message.task, "success")
        elif outcome == "revoked":
            if task.state != "cancelling":
                task.state, task.reason = "cancelling", "cancel"
            self._cancel_elsewhere(run, message.run, message.task)
        elif outcome == "dead" or (outcome == "stopped" and task.state != "cancelling"):
            task.deaths += 1
            self._abandon(run, message.run, message.task, poison=task.deaths == MAX_DEATHS)
        elif task.state == "cancelling":
            self._stopped(run, message.task)
        else:
            self._fail_try(run, message.task)
        self._reschedule(message.run)
        return "ok"

    def renew(self, message: Message, overdue: bool = False) -> str:
        """`overdue`: the try runs for longer than its timeout."""
        self.now += 1
        whose, task = self.holder(message), self.task_of(message)
        if whose == "back":
            task.state, task.waits = "running", False
            self._refile(message.run)
            whose = "yours"
        if whose == "yours" and task.state == "running" and overdue:
            task.state, task.reason = "cancelling", "timeout"
        return "cancel" if whose == "yours" and task.state == "cancelling" else whose

    def register(self, queue: str, slots: int) -> None:
        self.now += 1
        self.slots[queue] = slots
        self.known_queues.add(queue)
        self._top_up(queue)

    def _abandon(self, run: RefRun, run_id: str, name: str, poison: bool) -> None:
        task = run.tasks[name]
        if poison:
            self._leave(run, name, "failed")
        elif task.state != "cancelling":
            task.state = "ready"
        else:
            self._cancel_elsewhere(run, run_id, name)

    def _cancel_elsewhere(self, run: RefRun, run_id: str, name: str) -> None:
        if run.tasks[name].remote:
            run.tasks[name].token = None
            self._push(run_id, name)
        else:
            self._stopped(run, name)

    def _stopped(self, run: RefRun, name: str) -> None:
        if run.tasks[name].reason == "timeout":
            self._fail_try(run, name)
        else:
            self._leave(run, name, "cancelled")

    def _fail_try(self, run: RefRun, name: str) -> None:
        task = run.tasks[name]
        if task.try_number < task.last_try and run.state == "running":
            task.state = "up_for_retry"
        else:
            self._leave(run, name, "failed")

    # Stopping and going on

    def cancel(self, run_id: str, reason: str = "cancel") -> None:
        self.now += 1
        run = self.runs[run_id]
        if run.state == "queued":
            run.state = "cancelled"
        if run.state != "running":
            return
        run.state, run.reason = "cancelling", reason
        for task in run.tasks.values():
            if task.state == "running":
                task.state, task.reason = "cancelling", "cancel"
            elif task.state != "cancelling" and task.state not in ENDED:
                task.state, task.waits = "cancelled", False
        self._end_if_over(run)
        self._reschedule(run_id)

    def resume(self, run_id: str, from_task: str) -> bool:
        """Whether it may."""
        run = self.runs[run_id]
        if run.state not in ("failed", "cancelled") and not (run.state == "success" and from_task):
            return False
        if from_task and not run.planned:
            return False
        run.state, run.reason, run.from_task = "queued", "", from_task
        return True

    # Time

    def tick(
        self,
        expired: Sequence[tuple[str, str]],
        overdue: Sequence[tuple[str, str]],
        retries: Sequence[tuple[str, str]],
    ) -> None:
        """`expired`: tasks whose lease ended; `overdue`: tasks whose message is old; `retries`:
        tasks whose next try is due; all in that order."""
        self.now += 1
        for run_id, name in expired:
            run, task = self.runs[run_id], self.runs[run_id].tasks[name]
            task.losses += 1
            self._abandon(run, run_id, name, poison=task.losses == MAX_LOSSES)
            self._reschedule(run_id)
        for run_id, name in overdue:
            task = self.runs[run_id].tasks[name]
            listed = {m.number for m in self.lists.get(task.queue, [])}
            if task.waits and task.push not in listed:
                self._push(run_id, name)
        for run_id, name in retries:
            task = self.runs[run_id].tasks[name]
            if task.state == "up_for_retry":
                task.renew_try(task.try_number + 1)
                task.state = "ready"
                self._reschedule(run_id)
        for queue in sorted(self.known_queues):
            if self.slots.get(queue, 0) == 0:
                self._take_messages_back(queue)
            else:
                self._top_up(queue)

    def _take_messages_back(self, queue: str) -> None:
        kept = []
        for message in self.lists.get(queue, []):
            task = self.task_of(message)
            if task.state == "cancelling":
                kept.append(message)
            elif task.state == "queued" and task.push == message.number:
                task.pushes -= 1
                task.state, task.waits = "ready", False
                self._refile(message.run)
        self.lists[queue] = kept

    # Cascade

    def _leave(self, run: RefRun, name: str, state: str) -> None:
        run.tasks[name].state = state
        told = deque([name])
        while told:
            parent = told.popleft()
            for child in run.tasks[parent].downstream:
                task = run.tasks[child]
                task.heard[parent] = run.tasks[parent].state
                if task.state != "none":
                    continue
                if run.state == "cancelling":
                    task.state = "cancelled"
                elif child in run.tasks[parent].skips and run.tasks[parent].state == "success":
                    task.state = "skipped"
                else:
                    self._decide(run, task)
                if task.state in ENDED:
                    told.append(child)
        self._end_if_over(run)

    def _decide(self, run: RefRun, task: RefTask) -> None:  # noqa: ARG002
        state = decide(task.rule, list(task.heard.values()), len(task.upstream))
        if state:
            task.state = state

    def _end_if_over(self, run: RefRun) -> None:
        if all(task.state in ENDED for task in run.tasks.values()):
            bad = [t for t in run.tasks.values() if t.state in ("failed", "cancelled")]
            failed = not all(task.may_fail for task in bad)
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
                run.since.setdefault(queue, self.now)
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
        return len(run.active()) / run.weight, run.since[queue], run_id

    def _top_up(self, queue: str) -> None:
        messages = self.lists.setdefault(queue, [])
        while len(messages) < 2 * self.slots.get(queue, 0) and (fair := self.fair(queue)):
            run_id = fair[0]
            name = self.runs[run_id].ready(queue)[0]
            self.runs[run_id].tasks[name].state = "queued"
            self._push(run_id, name)
            self.runs[run_id].since.pop(queue, None)
            self._refile(run_id)

    def _push(self, run_id: str, name: str) -> None:
        task = self.runs[run_id].tasks[name]
        self._pushes += 1
        task.push, task.waits = self._pushes, True
        task.pushes += 1
        suffix = f".{task.pushes}" if task.pushes > 1 else ""
        celery_id = f"{run_id}/{name}/{task.try_number}{suffix}"
        message = Message(run_id, name, task.try_number, self._pushes, celery_id)
        self.lists.setdefault(task.queue, []).append(message)


def states(tasks: Mapping[str, RefTask]) -> dict[str, str]:
    """Task -> its state."""
    return {name: task.state for name, task in tasks.items()}
