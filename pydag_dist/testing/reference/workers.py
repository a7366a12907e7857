"""What workers call, as the files of `workers/` do it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence

from pydag_dist.testing.reference.runs import Runs
from pydag_dist.testing.reference.state import (
    ENDED,
    GOES_ON_AFTER,
    HAND,
    LEASE,
    MAX_DEATHS,
    MAX_LOSSES,
    REFUSED,
    UNNAMED_GRACE,
    Message,
    RefRun,
    RefTask,
)

# A try's message, and how the try ended: outcome, what a branch skips, what expands over its result
RefEnd = tuple[Message, str, tuple[str, ...], Mapping[str, int]]


class Workers(Runs):
    """A try's life with its worker."""

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
        self.holds.pop((worker, process), None)
        task.waits = False
        self._hold(task, message.number, worker, process)
        return order

    def _hold(self, task: RefTask, number: int, worker: str, process: int) -> None:
        task.token, task.process = number, process
        task.worker, task.lease_until = worker, self._in(LEASE)

    def _let_go(self, task: RefTask) -> None:
        """Nobody holds the try any more; so it is in no hand."""
        if task.held() and task.process is not None:
            after, hand = self.holds.pop((task.worker, task.process), (0, []))
            if hand := [of for of in hand if self.runs[of[0]].tasks[of[1]] is not task]:
                self.holds[task.worker, task.process] = after, hand

    def holder(self, message: Message) -> str:
        """Whose a message's try is: yours, back (yours once you say so), waiting, lost, ended."""
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

    def release(
        self,
        message: Message,
        outcome: str,
        skips: tuple[str, ...] = (),
        expand: Mapping[str, int] | None = None,
    ) -> str:
        """A try ends."""
        self.now += 1
        return self._end_all([(message, outcome, skips, expand or {})])[0]

    def _end(self, end: RefEnd) -> tuple[str, bool]:  # noqa: C901  one case for each outcome
        """The answer, and whether the process is fit to go on.

        The outcome of a try that is given up until it is polled is "deferred" and its group.
        """
        message, told, skips, expand = end
        outcome, _, group = told.partition(" ")
        run, task = self.runs[message.run], self.task_of(message)
        whose = self._releaser(message)
        if whose not in ("yours", "back"):
            return whose, False
        self._let_go(task)
        task.waits = task.due = False
        if whose == "back":
            self._take_back(task, message)
        fit = task.state in ("running", "deferred") and outcome in GOES_ON_AFTER
        if task.state == "running":
            self._settle(run, task, spent=1)
        if outcome == "deferred":
            self._wait(run, message, group)
            return "ok", fit
        if task.reason.startswith("mark ") and outcome in ("success", "failed"):
            outcome = "stopped"
        if outcome == "success":
            task.skips = skips
            run.counts.update(expand)
            self._leave(run, message.task, "success")
        elif outcome == "revoked":
            if task.state != "cancelling":
                task.state, task.reason = "cancelling", "cancel"
            self._cancel_elsewhere(run, message.run, message.task)
        elif outcome in ("dead", "lost") or (outcome == "stopped" and task.state != "cancelling"):
            lost = outcome == "lost" and task.state != "cancelling"
            task.deaths += not lost
            poison = lost or task.deaths == MAX_DEATHS
            self._abandon(run, message.run, message.task, poison=poison, died=True)
        elif task.state == "cancelling":
            self._stopped(run, message.task)
        elif outcome in ("skipped", "final"):
            self._leave(run, message.task, "skipped" if outcome == "skipped" else "failed")
        else:
            self._fail_try(run, message.task)
        return "ok", fit

    def run_on(
        self, ends: Sequence[RefEnd], taker: tuple[str, str, int]
    ) -> tuple[list[str], list[Message]]:
        """Releases, and what the process of a worker is handed, as if it had claimed it.

        `taker` is the queue, the worker and the process.
        """
        self.now += 1
        _, worker, process = taker
        last = ends[-1][0].number
        if self.holds.get((worker, process), (0, []))[0] == last:
            hand = [self._handed(*of) for of in self._hand(worker, process)]
            return ["ok"] * len(ends), hand
        self._put_back_others(worker, process, [message for message, *_ in ends])
        handed: list[tuple[str, str]] = []

        def go_on() -> None:
            while len(handed) < HAND and (name := self._take(handed, taker)):
                handed.append(name)
            if handed:
                self.holds[worker, process] = last, handed

        answers = self._end_all(ends, go_on)
        return answers, [self._handed(*of) for of in handed]

    def hand_in(
        self, ends: Sequence[RefEnd], worker: str, process: int, kept: Message | None
    ) -> list[str]:
        """Releases; what the process has in hand else, but for `kept`, it has not begun."""
        self.now += 1
        named = [message for message, *_ in ends] + ([kept] if kept else [])
        if kept is None or self.is_in_hand(kept, worker, process):
            self._put_back_others(worker, process, named)
        return self._end_all(ends)

    def _end_all(
        self, ends: Sequence[RefEnd], go_on: Callable[[], None] = lambda: None
    ) -> list[str]:
        """Ends of one run are spread together; with the last `go_on` is called, if all are fit."""
        answers: list[str] = []
        all_are_fit = True
        for run_id, of_run in itertools.groupby(ends, key=lambda end: end[0].run):
            told = [self._end(end) for end in of_run]
            all_are_fit = all_are_fit and all(fit for _, fit in told)
            answers += [answer for answer, _ in told]
            if "ok" in [answer for answer, _ in told]:
                self._refile(run_id)
                if all_are_fit and len(answers) == len(ends):
                    go_on()
                self._reschedule(run_id)
        return answers

    def _take(
        self, handed: Sequence[tuple[str, str]], taker: tuple[str, str, int]
    ) -> tuple[str, str] | None:
        """The next task of the queue goes to the process, beside those that it was handed."""
        queue, worker, process = taker
        if worker not in self.workers.get(queue, {}) or not self.fair(queue):
            return None
        run_id = self.fair(queue)[0]
        run = self.runs[run_id]
        task = run.tasks[run.first(queue) or ""]
        if task.long or (handed and not self._has_share(run, queue, len(handed) + 1)):
            return None
        name = self._activate(queue, "running")
        self._pushes += 1
        task.push, task.pushes, task.began = self._pushes, task.pushes + 1, True
        self._hold(task, self._pushes, worker, process)
        return run_id, name

    def _has_share(self, run: RefRun, queue: str, number: int) -> bool:
        """Whether each other slot of the queue could have as many tasks of the run at once."""
        can_run = len(run.tasks.ready[queue])
        if run.processors:
            can_run = min(can_run, run.processors - len(run.active()))
        return queue in run.timed and can_run >= 1 + (self.slots(queue) - 1) * number

    def _handed(self, run_id: str, name: str) -> Message:
        task = self.runs[run_id].tasks[name]
        return Message(run_id, name, task.try_number, task.token or 0, "", task.queue)

    def _hand(self, worker: str, process: int) -> list[tuple[str, str]]:
        """The tries that the process was handed, and holds."""
        return self.holds.get((worker, process), (0, []))[1]

    def is_in_hand(self, message: Message, worker: str, process: int) -> bool:
        """Whether the process was handed that task, and holds it."""
        return (message.run, message.task) in self._hand(worker, process)

    def _put_back_others(self, worker: str, process: int, named: Sequence[Message]) -> None:
        """What the process has not begun goes back, as if nobody had been handed it."""
        kept = {(message.run, message.task) for message in named}
        for run_id, name in [of for of in self._hand(worker, process) if of not in kept]:
            run, task = self.runs[run_id], self.runs[run_id].tasks[name]
            self._let_go(task)
            task.began = task.began and task.deaths + task.losses > 0
            if task.state == "cancelling":
                self._cancel_elsewhere(run, run_id, name)
            else:
                task.token, task.pushes = REFUSED, task.pushes - 1
                self._settle(run, task, spent=0)
                task.state = "ready"
            self._reschedule(run_id)

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
        processes: Collection[int] = (),
    ) -> list[str]:
        """What becomes of the tries that a worker names.

        `overdue`: this try runs for longer than its timeout. What the worker holds by an older
        lease than its look, and does not name, it has lost.
        """
        self.now += 1
        answers = [self._renewed(worker, message, message is overdue) for message in messages]
        named = {(message.run, message.task) for message in messages}
        for process in processes:
            for run_id, name in self._hand(worker, process):
                self.runs[run_id].tasks[name].lease_until = self._in(LEASE)
                named.add((run_id, name))
        if looked_ago is not None:
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

    def _leases_until(self, until: int) -> list[tuple[str, str]]:
        return self._by(
            lambda task: task.held() and task.lease_until[0] <= until,
            lambda task: task.lease_until,
        )

    def _by(
        self, which: Callable[[RefTask], bool], order: Callable[[RefTask], tuple[int, int]]
    ) -> list[tuple[str, str]]:
        found = [
            (order(task), f"{r}/{t}", (r, t))
            for r, run in self.runs.items()
            if run.state in ("running", "cancelling")
            for t in run.tasks.busy
            if which(task := run.tasks[t])
        ]
        return [of for _, _, of in sorted(found)]

    def _lose_lease(self, run_id: str, name: str) -> None:
        run, task = self.runs[run_id], self.runs[run_id].tasks[name]
        self._let_go(task)
        task.losses += 1
        self.lost_leases += 1
        self._abandon(run, run_id, name, poison=task.losses == MAX_LOSSES)
        self._reschedule(run_id)

    def defer(self, message: Message, group: str) -> str:
        """A try gives its slot back while its remote job goes on; polls of a group are one."""
        return self.release(message, f"deferred {group}")

    def _wait(self, run: RefRun, message: Message, group: str) -> None:
        task = self.task_of(message)
        task.group = group
        if task.state == "cancelling":
            self._cancel_elsewhere(run, message.run, message.task)
        else:
            task.state, task.token = "deferred", None

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
        self._let_go(task)
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
