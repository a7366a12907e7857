"""Which ready task becomes the next message of a queue, as `tasks/queue.lua` does it."""

from __future__ import annotations

import math
from collections.abc import Collection

from pydag_dist.testing.reference.state import MAX_GAP, Message, RefRun, RefTask


class Queues:
    """Runs, queues and workers, and the messages in each list."""

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
        # worker, process -> the push of the try that it ended last, and what it was handed then
        self.holds: dict[tuple[str, int], tuple[int, list[tuple[str, str]]]] = {}
        self.late: dict[str, int] = {}  # run -> when somebody looks whether it is late
        self.lost_leases = 0  # since Redis lost everything
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

    def _in(self, milliseconds: int) -> tuple[int, int]:
        return self.steady + milliseconds, self.now

    def task_of(self, message: Message) -> RefTask:
        """The task that a message is of."""
        return self.runs[message.run].tasks[message.task]

    def slots(self, queue: str) -> int:
        """Those of the queue's live workers."""
        return sum(self.workers.get(queue, {}).values())

    def _able(self, queue: str, needs: Collection[str]) -> list[tuple[int, int, str]]:
        """The queue's workers that lack none of that as far as they said, the best one first.

        Of each what it has free, negative; what its own list may hold, negative; name.
        """
        able = []
        for worker, slots in self.workers.get(queue, {}).items():
            if not any((queue, need, worker) in self.refused for need in needs):
                room = slots - len(self.lists.get(f"@{worker}", []))
                able.append((self.busy.get(worker, 0) - room, -room, worker))
        return sorted(able)

    def _refile(self, run_id: str) -> None:
        run = self.runs[run_id]
        is_open = run.processors == 0 or len(run.active()) < run.processors
        for queue in run.queues:
            if is_open and run.first(queue):
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
        self._push(run_id, self._activate(queue, "queued"), where)

    def _activate(self, queue: str, state: str) -> str:
        """The next task of the queue gets a slot, or a message that waits for one."""
        run_id = self.fair(queue)[0]
        run = self.runs[run_id]
        name = run.first(queue) or ""
        run.tasks[name].state = state
        self.clock[queue] = run.used.get(queue, 0) / run.weight
        run.tasks[name].charged = mean = self._mean(run, queue)
        run.used[queue] = run.used.get(queue, 0) + mean
        run.since[queue] = self.now
        self._refile(run_id)
        return name

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

    def _due(self, queue: str, group: str | None = None) -> list[tuple[str, str]]:
        return sorted(
            (r, t)
            for r, run in self.runs.items()
            for t in run.tasks.deferred
            if (task := run.tasks[t]).due and task.queue == queue and group in (None, task.group)
        )

    def _tidy(self, queue: str) -> None:
        groups = self.groups.setdefault(queue, {})
        for group in [g for g in groups if not self._due(queue, g)]:
            del groups[group]

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
