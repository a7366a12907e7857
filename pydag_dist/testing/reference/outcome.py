"""How tries end, as `tasks/outcome.lua` does it."""

from __future__ import annotations

from pydag_dist.testing.reference.spread import Spread
from pydag_dist.testing.reference.state import REFUSED, RefRun


class Outcomes(Spread):
    """Tries that fail, are stopped, or have no holder any more."""

    def _abandon(
        self, run: RefRun, run_id: str, name: str, *, poison: bool, died: bool = False
    ) -> None:
        task = run.tasks[name]
        if poison and task.reason.startswith("mark "):
            self._stopped(run, name)
        elif poison:
            task.reason = "poison"
            self._leave(run, name, "failed")
        elif task.state != "cancelling":
            self._settle(run, task, spent=0)
            task.state = "ready"
            if died:
                task.token = REFUSED
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

    def _stop_deferred(self, run_id: str, name: str, reason: str) -> None:
        run, task = self.runs[run_id], self.runs[run_id].tasks[name]
        task.due = False
        self._tidy(task.queue)
        task.state, task.reason = "cancelling", reason
        self._cancel_elsewhere(run, run_id, name)

    def _end_marked(self, run: RefRun, name: str, state: str) -> None:
        run.tasks[name].reason = "marked"
        for child in run.children(name):
            if run.tasks[child].state == "none":
                run.tasks[child].state = state
        self._leave(run, name, state)
