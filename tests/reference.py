"""A reference model of the engine: the table of ``lua/table.lua`` in plain Python.

It keeps only what the table calls state and derives the rest (`ready`, `active`, leases), so
that comparing it with the engine's keys also checks the invariants of those keys. Everything
happens at once and in memory; `now` is a counter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MAX_DEATHS = 3
MAX_LOSSES = 20
ENDED = {"success", "failed", "upstream_failed"}


@dataclass(frozen=True)
class Message:
    """A message of a task's try; `number` is its push."""

    run: str
    task: str
    number: int
    celery_id: str


@dataclass
class RefTask:
    queue: str
    rank: int
    upstream: tuple[str, ...]
    downstream: list[str] = field(default_factory=list)
    state: str = "none"
    pushes: int = 0
    push: int | None = None
    token: int | None = None
    process: int | None = None
    deaths: int = 0
    losses: int = 0


@dataclass
class RefRun:
    processors: int
    weight: float
    tasks: dict[str, RefTask]
    queues: list[str]
    state: str = "queued"
    since: dict[str, int] = field(default_factory=dict)

    def active(self) -> set[str]:
        return {t for t, task in self.tasks.items() if task.state in ("queued", "running")}

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
        self,
        run_id: str,
        dag: Mapping[str, Sequence[str]],
        queue_of: Mapping[str, str],
        processors: int,
        weight: float,
    ) -> None:
        tasks = {
            task: RefTask(queue_of[task], rank, tuple(upstream))
            for rank, (task, upstream) in enumerate(dag.items())
        }
        for name, task in tasks.items():
            for parent in task.upstream:
                tasks[parent].downstream.append(name)
        queues = sorted({task.queue for task in tasks.values()})
        self.runs[run_id] = RefRun(processors, weight, tasks, queues)

    def start(self, run_id: str) -> None:
        self.now += 1
        run = self.runs[run_id]
        run.state = "running"
        self.known_queues.update(run.queues)
        for task in run.tasks.values():
            if not task.upstream:
                task.state = "ready"
        self._reschedule(run_id)

    # A try's life

    def claim(self, message: Message, process: int) -> bool:
        self.now += 1
        task = self.task_of(message)
        if task.state == "running":
            return (task.token, task.process) == (message.number, process)
        if task.state != "queued":
            return False
        task.state, task.token, task.process = "running", message.number, process
        return True

    def task_of(self, message: Message) -> RefTask:
        return self.runs[message.run].tasks[message.task]

    def holder(self, message: Message) -> str:
        task = self.task_of(message)
        if task.state in ENDED:
            return "ended"
        if task.state == "none":
            return "lost"
        if task.token != message.number:
            return "lost" if task.state == "running" else "waiting"
        return "yours" if task.state == "running" else "back"

    def release(self, message: Message, outcome: str) -> str:
        self.now += 1
        run, task = self.runs[message.run], self.task_of(message)
        whose = self.holder(message)
        unclaimed = task.state == "queued" and task.push == message.number
        if whose not in ("yours", "back") and not (outcome == "dead" and unclaimed):
            return whose
        if outcome == "dead":
            task.deaths += 1
            task.token = None
            outcome = "failed" if task.deaths == MAX_DEATHS else "ready"
        self._leave(run, task, outcome)
        self._reschedule(message.run)
        return "ok"

    def renew(self, message: Message) -> str:
        self.now += 1
        whose = self.holder(message)
        if whose == "back":
            self.task_of(message).state = "running"
            self._refile(message.run)
            return "yours"
        return whose

    def register(self, queue: str, slots: int) -> None:
        self.now += 1
        self.slots[queue] = slots
        self.known_queues.add(queue)
        self._top_up(queue)

    # Time

    def tick(self, expired: Sequence[tuple[str, str]], overdue: Sequence[tuple[str, str]]) -> None:
        """`expired`: running tasks whose lease ended; `overdue`: queued tasks, in that order."""
        self.now += 1
        for run_id, name in expired:
            task = self.runs[run_id].tasks[name]
            if task.state != "running":
                continue
            task.losses += 1
            self._leave(self.runs[run_id], task, "failed" if task.losses == MAX_LOSSES else "ready")
            self._reschedule(run_id)
        for run_id, name in overdue:
            task = self.runs[run_id].tasks[name]
            listed = {m.number for m in self.lists.get(task.queue, [])}
            if task.state == "queued" and task.push not in listed:
                self._push(run_id, name)
        for queue in sorted(self.known_queues):
            if self.slots.get(queue, 0) == 0:
                self._take_messages_back(queue)
            else:
                self._top_up(queue)

    def _take_messages_back(self, queue: str) -> None:
        for message in self.lists.get(queue, []):
            task = self.task_of(message)
            if task.state == "queued" and task.push == message.number:
                task.pushes -= 1
                task.state = "ready"
                self._refile(message.run)
        self.lists[queue] = []

    # Cascade

    def _leave(self, run: RefRun, task: RefTask, state: str) -> None:
        task.state = state
        changed = state in ENDED
        while changed:
            changed = False
            for other in run.tasks.values():
                if other.state != "none":
                    continue
                ups = {run.tasks[u].state for u in other.upstream}
                if ups & {"failed", "upstream_failed"}:
                    other.state, changed = "upstream_failed", True
                elif ups <= {"success"}:
                    other.state = "ready"
        states = {t.state for t in run.tasks.values()}
        if states <= ENDED:
            run.state = "failed" if "failed" in states else "success"

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
            self._push(run_id, self.runs[run_id].ready(queue)[0])
            self.runs[run_id].since.pop(queue, None)
            self._refile(run_id)

    def _push(self, run_id: str, name: str) -> None:
        task = self.runs[run_id].tasks[name]
        self._pushes += 1
        task.state, task.push = "queued", self._pushes
        task.pushes += 1
        suffix = f".{task.pushes}" if task.pushes > 1 else ""
        message = Message(run_id, name, self._pushes, f"{run_id}/{name}/1{suffix}")
        self.lists.setdefault(task.queue, []).append(message)
