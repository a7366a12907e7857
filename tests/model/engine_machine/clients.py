"""What clients and planners do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from pydag_dist.coordinator.plan import plan_of
from pydag_dist.coordinator.prior_run import prior_run
from pydag_dist.dag import Dag, limits
from pydag_dist.dag.planning.resuming import beginning_at
from pydag_dist.engine import LostTask
from pydag_dist.engine.protocol import TAKEN, pack_numbers
from pydag_dist.engine.snapshot import acts_of
from pydag_dist.errors import EngineError
from pydag_dist.testing.reference import RefTask
from tests.model.engine_machine.comparison import Comparison
from tests.model.engine_machine.dags import dags

PROCESSORS = st.integers(0, 3)

# A run that was ended keeps its keys for so long; far above the length of a test.
RETENTION = 3600
ANA = "ana@host"
NEVER = 10**15  # ms


class Clients(Comparison):
    """Runs are submitted, planned, cancelled, resumed, and tasks are marked."""

    @precondition(lambda self: len(self.dags) + len(self.lost_runs) < 3)
    @rule(
        tasks=dags(),
        processors=PROCESSORS,
        weight=st.sampled_from([1, 2]),
        expected_within=st.sampled_from([0, 1, 100]),
        begins=st.sampled_from([None, None, *range(4)]),
        number=st.integers(0, 2),
    )
    def submit(
        self,
        tasks: dict[str, Any],
        processors: int,
        weight: int,
        expected_within: int = 1,
        *,
        begins: int | None = None,
        number: int = 0,
    ) -> None:
        run = f"r{len(self.dags) + len(self.lost_runs)}"
        dag = Dag.parse({"dag_id": "dag", "tasks": list(tasks.values())})
        self.dags[run] = dag
        self.planners[run] = []
        from_task = "" if begins is None else [*dag.walk()][begins % len(tasks)]
        taken, counts = self.taken(dag, from_task, number) if from_task else ([], {})
        for first in (True, False):  # a client that got no answer sends it again
            stored = self.engine.steering.submit(
                run,
                "{}",
                "dag",
                processors=processors,
                weight=weight,
                retention=RETENTION,
                expected_within=expected_within,
                from_task=from_task,
                taken=taken,
            )
            assert stored is first
        # Of each DAG every third task took long in earlier runs.
        self.durations[run] = {t: 0.2 if i % 3 == 2 else 0.1 for i, t in enumerate(tasks)}
        rows = {row.task: row for row in plan_of(dag, durations=self.durations[run]).rows}
        waits_for = dag.waits_for()
        reference = {
            t: RefTask(
                queue=tasks[t]["queue"],
                rank=rows[t].rank,
                upstream=tuple(waits_for[t]),
                rule="teardown" if "teardown_of" in tasks[t] else tasks[t]["trigger_rule"],
                setup=tasks[t].get("teardown_of", ""),
                retries=tasks[t]["retries"],
                allow_failure=tasks[t]["allow_failure"],
                remote=rows[t].remote,
                sensor=rows[t].sensor,
                branch=rows[t].branch,
                long=rows[t].long,
                items=rows[t].items,
                expands_over=rows[t].list_task,
            )
            for t in dag.walk()
        }
        self.reference.submit(
            run, reference, processors, weight, expected_within * 1_000, begins=(from_task, counts)
        )

    def taken(self, dag: Dag, from_task: str, number: int) -> tuple[list[LostTask], dict[str, int]]:
        """What a run that begins at a task does not run; what expands over that, into `number`."""
        others = beginning_at(dag, from_task).others
        counts = {
            name: number
            for name, task in dag.tasks.items()
            if name not in others and task.expand and task.expand.task in others
        }
        found = []
        for name in others:
            over = {t: n for t, n in counts.items() if dag.tasks[t].expand.task == name}
            found.append(
                LostTask(
                    name, "success", 1, reason=TAKEN, worker="r", expansions=pack_numbers(over)
                )
            )
        return found, counts

    @precondition(lambda self: self.runs_that_are("queued"))
    @rule(data=st.data())
    def begin_planning(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.runs_that_are("queued")), label="run")
        token = self.engine.planning.plan_begin(run)
        assert token is not None
        self.planners[run].append(token)
        self.newest[run] = token

    @precondition(lambda self: any(self.planners[run] for run in self.runs_that_are("queued")))
    @rule(data=st.data(), stop_after=st.integers(1, 3))
    def go_on_planning(self, data: st.DataObject, stop_after: int) -> None:
        """Any planner goes on, the newest or one that was overtaken; it may stall half way."""
        run = data.draw(st.sampled_from([r for r, t in self.planners.items() if t]), label="run")
        token = data.draw(st.sampled_from(self.planners[run]), label="planner")
        may = token == self.newest.get(run) and self.reference.runs[run].state == "queued"
        prior = prior_run(self.engine, run)
        try:
            made = plan_of(self.dags[run], prior, durations=self.durations[run])
        except EngineError:
            # Of a run that begins at a task another planner has taken what it keeps.
            assert not may
            return
        half = len(made.rows) // 2
        steps = [
            lambda: self.engine.planning.plan_chunk(run, token, made.rows[:half]),
            lambda: self.engine.planning.plan_chunk(run, token, made.rows[half:]),
            lambda: self.engine.planning.plan_first(run, token, made.first),
        ]
        for step in steps[:stop_after]:
            assert step() is may
        if stop_after == len(steps):
            queues = sorted({task.queue for task in self.reference.runs[run].tasks.values()})
            started = self.engine.planning.plan_commit(
                run,
                token,
                len(made.rows),
                queues,
                first=len(made.first),
                ended=made.ended,
                failures=made.failures,
            )
            assert started is may
            if may:
                self.reference.start(run)
                del self.newest[run]

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(sorted(self.dags)), label="run")
        self.reference.cancel(run, order=self.order_of(run))
        assert self.engine.steering.cancel(run, ANA) == self.reference.runs[run].state
        self.acts_are(run)

    @precondition(lambda self: self.runs_that_are("success", "failed", "cancelled"))
    @rule(data=st.data(), whole=st.booleans())
    def resume(self, data: st.DataObject, whole: bool) -> None:
        ended = self.runs_that_are("success", "failed", "cancelled")
        run = data.draw(st.sampled_from(ended), label="run")
        names = sorted(self.reference.runs[run].tasks)
        task = "" if whole else data.draw(st.sampled_from(names), label="task")
        if self.reference.resume(run, task):
            self.engine.steering.resume(run, task, ANA)
        else:
            with pytest.raises(EngineError):
                self.engine.steering.resume(run, task, ANA)
        self.acts_are(run)

    @precondition(lambda self: any(run.planned for run in self.reference.runs.values()))
    @rule(data=st.data(), state=st.sampled_from(["success", "skipped", "failed"]))
    def mark(self, data: st.DataObject, state: Any) -> None:
        planned = sorted(r for r, run in self.reference.runs.items() if run.planned)
        run = data.draw(st.sampled_from(planned), label="run")
        tasks = sorted(self.reference.runs[run].tasks)
        self.marked(data, run, data.draw(st.sampled_from(tasks), label="task"), state)

    @precondition(lambda self: self.lost_jobs())
    @rule(data=st.data(), state=st.sampled_from(["success", "skipped", "failed"]))
    def mark_what_lost_its_worker(self, data: st.DataObject, state: Any) -> None:
        run, name = data.draw(st.sampled_from(self.lost_jobs()), label="task")
        self.marked(data, run, name, state)

    def lost_jobs(self) -> list[tuple[str, str]]:
        """The tasks that wait although their try has begun, and may have left a remote job."""
        return sorted(
            (run_id, name)
            for run_id, run in self.reference.runs.items()
            for name, task in run.tasks.items()
            if task.remote and task.began and task.state in ("ready", "queued")
        )

    def marked(self, data: st.DataObject, run: str, name: str, state: Any) -> None:
        tasks = self.reference.runs[run].tasks
        over = [t for t, task in tasks.items() if task.expands_over == name]
        expand = {t: data.draw(st.integers(0, 2)) if state == "success" else 0 for t in over}
        if self.reference.mark(run, name, state, expand):
            self.engine.steering.mark(run, name, state, ANA, expand=expand)
        else:
            with pytest.raises(EngineError):
                self.engine.steering.mark(run, name, state, ANA, expand=expand)
        self.acts_are(run)

    @precondition(
        lambda self: min(self.reference.late.values(), default=NEVER) <= self.reference.server
    )
    @rule(then=st.sampled_from(["dies", "tells", "tries again", "puts off"]))
    def look_for_late(self, then: str) -> None:
        """A coordinator looks which run is late, and tells its webhooks if it gets that far."""
        found, webhooks = self.engine.webhooks.take(10), self.engine.webhooks
        wanted = self.reference.take_late(10_000)
        assert (found and (found.run_id, found.tries)) == wanted
        if found is None or then == "dies":
            return
        assert found.what == "late"
        if then == "tells":
            webhooks.done(*found[:2])
            del self.reference.late[found.run_id]
            return
        (webhooks.later if then == "tries again" else webhooks.put_off)(*found[:2], 2)
        self.reference.late[found.run_id] = self.reference.server + 2_000
        self.reference.runs[found.run_id].late_tries -= then == "puts off"

    def acts_are(self, run: str) -> None:
        """The run keeps what people did to it, the newest of it, and nothing else."""
        told = acts_of(self.engine.reading.run_head(run))
        known = [(each.act, each.by, each.task or "", each.state or "") for each in told]
        assert (
            known
            == [(a, ANA, task, state) for a, task, state in self.reference.runs[run].acts][
                -limits.ACTS :
            ]
        )

    def order_of(self, run: str) -> list[str]:
        """The order in which a scan meets the run's tasks."""
        return [task for task, _ in self.client.hscan_iter(f"p:run:{run}:tasks", count=500)]

    def restore_run(self, run: str, head: dict[str, str], state: str) -> None:
        names = ["dag_id", "processors", "weight", "timeout", "retention", "params"]
        names += ["submitted_at", "logical_date", "hooks"]
        names += [
            name
            for name in (
                "from",
                "started_at",
                "total",
                "marked",
                "rounds",
                "round_at",
                "spent",
                "acts",
                "expected_within",
            )
            if name in head
        ]
        if state == "cancelling":
            names.append("reason")
        kept = {name: head[name] for name in names}
        planned = state != "queued"
        assert self.engine.planning.restore_run(run, "{}", kept, planned=planned)
        if planned:
            assert not self.engine.planning.restore_run(run, "{}", kept)
