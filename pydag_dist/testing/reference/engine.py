"""What happens as time passes, as `tick.lua` does it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pydag_dist.testing.reference.state import MAX_LOSSES, QUEUED_GRACE, RefTask
from pydag_dist.testing.reference.workers import Workers


class ReferenceEngine(Workers):
    """The same operations as the engine's, with the same answers."""

    def tick(
        self,
        timers: Sequence[tuple[str, str]],
        late: Collection[tuple[str, str]] = (),
    ) -> None:
        """Time has passed.

        `timers`: tasks whose next try or poll is due, in that order. `late` ones of these are
        deferred for longer than their timeout.
        """
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
