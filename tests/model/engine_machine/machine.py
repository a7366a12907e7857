"""What time and faults do, and the machine on a server."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from pydag_dist.engine import Engine, LostTask
from pydag_dist.engine.head import seconds
from pydag_dist.engine.script import source
from pydag_dist.engine.store import CLOCK, steady_time
from pydag_dist.testing.reference import ENDED_RUN, MAX_DEATHS, MAX_LOSSES, RefTask
from tests.model.engine_machine.clients import PROCESSORS
from tests.model.engine_machine.comparison import BEGIN, TEMPLATE, WORKERS, has_timer
from tests.model.engine_machine.dags import QUEUES, dags
from tests.model.engine_machine.workers import Workers
from tests.support.engine_bench import with_own_clock
from tests.support.heads import heads
from tests.support.written import noting

# ms that pass until a tick, or that the server's clock steps by. No sum of these and of gaps that
# are cut off is near a lease's or another length.
SHORT = 717
STEPS = (SHORT, SHORT, 2_903, 2_903, 60_000, 3_600_000, -1_303, -7_200_000)


class EngineMachine(Workers):
    """Random interleavings of everything that clients, planners, workers and time do."""

    @initialize(slots=st.integers(1, 3), data=st.data(), tasks=dags(), processors=PROCESSORS)
    def begin(
        self, slots: int, data: st.DataObject, tasks: dict[str, Any], processors: int
    ) -> None:
        """Two queues with workers, and a first run that is planned well."""
        for worker in WORKERS:
            self.heard_of(worker, 0)
        for queue in QUEUES:
            self.worker_slots(queue, slots)
        self.submit(tasks, processors, 1)
        self.begin_planning(data)
        self.go_on_planning(data, 3)

    @precondition(lambda self: self.runs_that_are("running"))
    @rule(data=st.data())
    def run_out_of_time(self, data: st.DataObject) -> None:
        """A run's timeout, as its timer would find it."""
        run = data.draw(st.sampled_from(self.runs_that_are("running")), label="run")
        self.tick_after(SHORT)
        if self.reference.runs[run].state != "running":
            return
        # In a tick of its own at the same time, so that nothing else happens in it.
        self.client.zadd("p:timers", {f"timeout/{run}": 0})
        self.client.hdel("p:clock", "ticked")
        order = self.order_of(run)
        assert self.engine.tick()
        self.reference.ticked = None
        self.reference.now -= 1
        self.reference.cancel(run, "timeout", order)
        self.reference.tick([])

    @precondition(
        lambda self: (
            not self.newest
            and self.runs_that_are("running", "cancelling")
            # Such a run is refused then: test_beginning.py.
            and not any(
                run.from_task and not run.planned and run.state == "queued"
                for run in self.reference.runs.values()
            )
        )
    )
    @rule()
    def wipe(self) -> None:
        """Redis loses everything, and gets back what the history has."""
        events = [fields for _, fields in self.client.xrange("p:history")]
        heads = {run: self.engine.reading.run_head(run) for run in self.dags}
        now = self.client.get("p:now")
        self.client.flushall()
        self.client.set("p:now", now)
        self.engine.planning.set_template(TEMPLATE)
        for run, head in heads.items():
            state = [e["state"] for e in events if e["kind"] == "run" and e["run"] == run][-1]
            if state in ENDED_RUN:
                del self.dags[run], self.planners[run]
                self.lost_runs.add(run)
                continue
            newest = {e["task"]: e for e in events if e["kind"] == "task" and e["run"] == run}
            assert self.engine.planning.restore(
                run, [lost_task(event) for event in newest.values()]
            )
            self.restore_run(run, head, state)
            self.planners[run] = []
        for event in events:  # they are in the database for ever
            self.client.xadd("p:history", event)
        self.tried = [m for m in self.tried if m.run in self.dags]
        self.polled = []
        self.reference.wipe()
        self.tried = [m for m in self.tried if m.task in self.reference.runs[m.run].tasks]
        for worker in WORKERS:
            self.heard_of(worker, 0)

    @precondition(lambda self: self.reference.refused)
    @rule()
    def forget_refusals(self) -> None:
        """After a while, workers are asked again."""
        self.client.delete(*(f"p:refused:{queue}" for queue in QUEUES))
        self.reference.refused.clear()

    @precondition(lambda self: self.tasks_that(lambda t: t.held() or t.waits or has_timer(t)))
    @rule(data=st.data())
    def tick(self, data: st.DataObject) -> None:
        """Time is over for some leases, messages and timers, whatever happened to them."""
        held = self.tasks_that(RefTask.held)
        waiting = self.tasks_that(lambda t: t.waits)
        waits = self.tasks_that(has_timer)
        expired = data.draw(st.permutations(held), label="expired")[: len(held) // 2 + 1]
        overdue = data.draw(st.permutations(waiting), label="overdue")
        timers = data.draw(st.permutations(waits), label="timers")[: len(waits) // 2 + 1]
        for at, (run, task) in enumerate(expired):
            self.client.zadd("p:leases", {f"{run}/{task}": at})
            self.task(run, task).lease_until = (-BEGIN, at)
        for at, (run, task) in enumerate(overdue):
            self.client.zadd("p:queued", {f"{run}/{task}": at})
            self.task(run, task).waits_since = (-BEGIN, at)
        for at, (run, task) in enumerate(timers):
            self.client.zadd("p:timers", {self.timer(run, task): at})
        polls = [of for of in timers if self.task(*of).state == "deferred"]
        late = data.draw(st.sets(st.sampled_from(polls)), label="late") if polls else set()
        for run, task in late:
            self.edit_record(run, task, began="1")
        self.tick_after(SHORT, late)

    @rule(step=st.sampled_from(STEPS))
    def time_passes(self, step: int) -> None:
        """Time passes, or nobody ticks for long, or the server's clock steps; then a tick."""
        if step < 0:  # of the time since the last tick the engine knows nothing then
            self.tick_after(SHORT)
        self.tick_after(step)

    def keep_workers(self) -> None:
        """Workers come and go by rules of their own, and so do refusals: not by time."""
        for at, name in ((1, "slots:{}"), (0, "refused:{}"), (1, "workers")):
            for queue in QUEUES:
                key = "p:" + name.format(queue)
                for field, packed in self.client.hgetall(key).items():
                    parts = packed.split(" ")
                    parts[at] = str(2 * BEGIN)
                    self.client.hset(key, field, " ".join(parts))

    def tick_after(self, step: int, late: Collection[tuple[str, str]] = ()) -> None:
        self.reference.server += step
        self.keep_workers()
        self.client.incrby("p:now", step * 1_000)
        now = int(self.client.get("p:now")) + 1
        steady = steady_time(now, *self.client.hmget("p:clock", *CLOCK))
        timers = self.client.zrangebyscore("p:timers", "-inf", steady)
        due = [tuple(timer.split("/")[1:]) for timer in timers]
        assert self.engine.tick()
        self.reference.tick(due, late)

    @precondition(lambda self: self.tasks_that(is_worn))
    @rule(data=st.data())
    def wear_out(self, data: st.DataObject) -> None:
        """A try that has died and lost its lease as often as it may: the next time it is poison."""
        worn = self.tasks_that(is_worn)
        run, name = data.draw(st.sampled_from(worn), label="task")
        task = self.task(run, name)
        task.deaths, task.losses = MAX_DEATHS - 1, MAX_LOSSES - 1
        self.edit_record(run, name, deaths=str(task.deaths), losses=str(task.losses))


def machine_on(client: Any) -> type[EngineMachine]:
    """The machine on a server of its own, by a client that decodes responses."""

    class Machine(EngineMachine):
        pass

    Machine.client = client
    Machine.engine = Engine(client, "p", "coordinator")
    Machine.heads, Machine.strange = heads(), set()
    # A task takes one unit of slot time, whatever time it is.
    slot_time = "settle(run, queue_of(plan, record), record, lasted or age(record))"
    assert slot_time in source()
    code = source().replace(slot_time, "settle(run, queue_of(plan, record), record, 1)")
    with_own_clock(Machine.engine, noting(code))
    return Machine


def is_worn(task: RefTask) -> bool:
    return task.held() or task.waits or task.state == "deferred"


def lost_task(event: dict[str, str]) -> LostTask:
    """What an event of the history tells of a task's newest try."""
    times = ("ready_at", "queued_at", "started_at", "ended_at")
    return LostTask(
        event["task"],
        event["state"],
        int(event["try"]),
        **{name: seconds(event[name]) for name in times},  # type: ignore[arg-type]
        worker=event["worker"],
        pushes=int(event["pushes"]),
        reason=event["reason"],
        result=event.get("result", ""),
        error=event.get("error", ""),
        skips=event.get("skips", ""),
        expansions=event.get("expansions", ""),
    )
