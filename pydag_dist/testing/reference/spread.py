"""What the end of a task does to others, as `tasks/spread.lua` and `tasks/expansion.lua` do it."""

from __future__ import annotations

from pydag_dist.testing.reference.queue import Queues
from pydag_dist.testing.reference.rules import decide
from pydag_dist.testing.reference.state import ENDED, RefRun, RefTask


class Spread(Queues):
    """Everything downstream hears at once; nothing is left for later."""

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
                    long=task.long,
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
        if task.state != "expanding":
            return
        children = run.children(name)[: run.counts.get(name, 0)]
        # From the last one on: that ends last, mostly.
        if any(run.tasks[child].state not in ENDED for child in reversed(children)):
            return
        states = {run.tasks[child].state for child in children}
        if run.state == "cancelling":
            task.reason = "cancel"
        if task.reason == "cancel":
            state = "cancelled"
        else:
            ranked = ("failed", "cancelled", "success")
            state = next((s for s in ranked if s in states), "skipped")
        self._leave(run, name, state)

    def _is_over(self, run: RefRun) -> bool:
        return not run.tasks.open

    def _end_if_over(self, run: RefRun) -> None:
        if self._is_over(run):
            bad = [t for t in run.tasks.values() if t.state in ("failed", "cancelled")]
            failed = not all(task.allow_failure for task in bad)
            if run.reason:
                run.state = "failed" if run.reason == "timeout" else "cancelled"
            else:
                run.state = "failed" if failed else "success"
