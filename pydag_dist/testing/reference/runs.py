"""How runs begin, are stopped and go on, as the files of `runs/` do it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydag_dist.testing.reference.outcome import Outcomes
from pydag_dist.testing.reference.state import ENDED, ENDED_RUN, RefRun, RefTask, Tasks


class Runs(Outcomes):
    """What clients and planners do."""

    def submit(
        self,
        run_id: str,
        tasks: dict[str, RefTask],
        processors: int,
        weight: float,
        expected_within: int = 0,
        *,
        begins: tuple[str, Mapping[str, int]] = ("", {}),
    ) -> None:
        """`tasks` in the order of their walk; in ms.

        `begins`: at which task, and into how many tasks expand over results of other runs.
        """
        for name, task in tasks.items():
            task.last_try = 1 + task.retries
            for parent in task.upstream:
                tasks[parent].downstream.append(name)
        queues = sorted({task.queue for task in tasks.values()})
        counts = {name: task.items for name, task in tasks.items() if task.items is not None}
        run = RefRun(processors, weight, Tasks(tasks), queues, counts=counts)
        self.runs[run_id] = run
        if begins[0]:
            self._take_over(run, *begins)
        if expected_within:
            run.expected_at = self.late[run_id] = self.server + expected_within

    def _take_over(self, run: RefRun, from_task: str, counts: Mapping[str, int]) -> None:
        """All but that task and what is downstream of it has succeeded; the history knows it."""
        runs = {from_task}
        self._add_below(run, runs, runs, set())
        for name, task in run.tasks.items():
            if name not in runs:
                task.state, task.reason, task.last_try = "success", "taken", task.try_number
        for task in run.tasks.values():
            task.heard = {up: "success" for up in task.upstream if up not in runs}
        run.from_task = from_task
        run.counts.update(counts)

    def take_late(self, lease: int) -> tuple[str, int] | None:
        """The first late run that is to be told of, and how often that was tried before.

        A run that ended in time is not late. Nobody gets it again for `lease` ms.
        """
        for run_id, at in sorted(self.late.items(), key=lambda each: (each[1], each[0])):
            run = self.runs.get(run_id)
            if at > self.server:
                return None
            if run and not (run.state in ENDED_RUN and run.late_tries == 0):
                self.late[run_id] = self.server + lease
                run.late_tries += 1
                return run_id, run.late_tries - 1
            del self.late[run_id]
        return None

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
        self.holds, self.lost_leases = {}, 0
        self.runs = {r: run for r, run in self.runs.items() if run.state not in ENDED_RUN}
        self.late = {
            r: run.expected_at for r, run in self.runs.items() if run.expected_at is not None
        }
        for run in self.runs.values():
            run.late_tries = 0
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
        self._add_below(run, again, anew, run.marked)
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

    def _add_below(self, run: RefRun, again: set[str], anew: set[str], marked: set[str]) -> None:
        """Add what is downstream of tasks that run again, or were marked, and their setups."""
        tasks = {t: task for t, task in run.tasks.items() if not task.parent}
        grows = True
        while grows:
            changed = again | marked
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

    def _prepare_children(self, run: RefRun, name: str, *, anew: bool) -> None:
        for child in run.children(name):
            task = run.tasks[child]
            task.known = True
            if anew or task.state not in ("success", "skipped") or child == run.from_task:
                task.renew_again(anew or child == run.from_task)
                task.state, task.push = "none", None
                task.last_try = task.try_number + task.retries

    def cancel(self, run_id: str, reason: str = "cancel", order: Sequence[str] = ()) -> None:
        """`order`: that in which the engine meets the run's tasks."""
        self.now += 1
        run = self.runs[run_id]
        is_new = run.state == "running" or (run.state == "queued" and run.reason != reason)
        if is_new and reason == "cancel":  # somebody has said so
            run.acts.append(("cancel", "", ""))
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
            elif task.state in ("ready", "queued") and task.began and task.remote:
                # Whoever began it is gone, and its remote job may still run.
                task.state, task.reason = "cancelling", "cancel"
                self._cancel_elsewhere(run, run_id, name)
            elif task.state != "cancelling" and task.state not in ENDED:
                task.state, task.waits = "cancelled", False
                run.todo.append(name)
        for name in [t for t, task in run.tasks.items() if task.state == "expanding"]:
            self._end_expansion(run, name)
        self._spread(run)

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
        run.acts.append(("resume", from_task, ""))
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
        run.acts.append(("mark", name, state))
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
        elif task.state in ("ready", "queued") and task.began and task.remote:
            task.state, task.reason = "cancelling", reason
            self._cancel_elsewhere(run, run_id, name)
        else:
            self._settle(run, task, spent=0)
            task.waits = False
            self._end_marked(run, name, state)
        self._reschedule(run_id)
        return True
