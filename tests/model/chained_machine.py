"""Drives runs that start runs, and their reference model, side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pydag_dist.coordinator.planner import plan
from pydag_dist.coordinator.recording.restore import _FIELDS as KEPT
from pydag_dist.dag import Dag
from pydag_dist.engine import Claim, Deferral, Held
from pydag_dist.engine.publications import publish, unpublish
from pydag_dist.engine.published import child_run_id
from pydag_dist.engine.store import CLOCK, steady_time
from tests.model.chained import CHAIN, TRIES, RefChained, RefRun
from tests.model.engine_machine.machine import lost_task
from tests.support.engine_bench import MARKS, Bench, with_own_clock

DAGS = [f"d{number:02}" for number in range(CHAIN + 2)]
TICK = 700_000  # µs from one to the next
FAR = 3_600  # s until a task asks by itself
TASK = "use"
TEMPLATE = '{"headers": {"pydag": ' + MARKS + "}}"

WANTED: dict[str, Callable[[RefRun], bool]] = {
    "plan": lambda run: run.state == "queued",
    "asks": lambda run: run.task == "running",
    "success": lambda run: run.task == "running",
    "failed": lambda run: run.task == "running",
    "dies": lambda run: run.task in ("running", "cancelling"),
    "asks late": lambda run: run.task != "running",
    "cancel": lambda run: not run.is_over,
    "resume": lambda run: run.state in ("failed", "cancelled"),
}
STEPS = st.sampled_from(
    [*("work", "plan", "asks") * 4, *("success", "success", "tick", "tick"), *WANTED]
)


def dag_of(name: str) -> Dag:
    use = {"task_id": TASK, "operator": "dag.run", "params": {"dag": "x"}, "queue": "python"}
    use |= {"retries": TRIES - 1, "retry_delay": 0.001}
    return Dag.parse({"dag_id": name, "tasks": [use]})


class ChainedMachine(RuleBasedStateMachine):
    """Random interleavings of runs that start runs, of those who cancel them, and of losses."""

    client: Any
    bench: Bench

    def __init__(self) -> None:
        super().__init__()
        self.client.flushall()
        self.client.set("p:now", 1_800_000_000_000_000)
        self.client.set("p:epoch", "e")
        self.engine = self.bench.engine
        self.engine.planning.set_template(TEMPLATE)
        self.bench.slots(1_000)
        self.model = RefChained()
        self.held: dict[str, Held] = {}  # by run, what its task's worker has
        self.wants: dict[tuple[str, int], str] = {}  # run and try -> the DAG that the try has run
        self.counter = 0

    @initialize(names=st.sets(st.sampled_from(DAGS), min_size=6, max_size=9))
    def begin(self, names: set[str]) -> None:
        for name in sorted(names):
            self.publish(name)
            self.start(name)
        for name in self.such(WANTED["plan"]):
            self.plan(name)
            self.work()

    @rule(name=st.sampled_from(DAGS))
    def publish(self, name: str) -> None:
        publish(self.engine.publishing, dag_of(name), retention=60, by="ana@host")
        self.model.published.add(name)

    @rule(name=st.sampled_from(DAGS))
    def unpublish(self, name: str) -> None:
        if len(self.model.published) > len(DAGS) // 2 and name in self.model.published:
            unpublish(self.engine.publishing, name, "ana@host")
            self.model.published.discard(name)

    @rule(name=st.sampled_from(DAGS))
    def start(self, name: str) -> None:
        if name in self.model.published:
            self.counter += 1
            run = f"by-hand-{self.counter}"
            assert self.engine.publishing.start(name, run, {}, "", "ana@host")
            self.model.runs[run] = RefRun(name)

    @rule(
        steps=st.lists(
            st.tuples(STEPS, st.integers(0, 9), st.sampled_from(DAGS)), min_size=5, max_size=15
        )
    )
    def much_happens(self, steps: list[tuple[str, int, str]]) -> None:
        """To some run each time."""
        for what, pick, dag in steps:
            if what == "tick":
                self.tick()
            elif what == "work":
                self.work()
            elif found := self.such(WANTED[what]):
                self.happens(what, found[pick % len(found)], dag)
            self.runs_are_what_the_model_says()

    def happens(self, what: str, name: str, dag: str) -> None:
        run = self.model.runs[name]
        if what == "plan":
            self.plan(name)
        elif what == "asks":
            if self.ask_for_a_run(name, dag, run.try_number) in ("made", "there"):
                self.defer(name)
        elif what == "asks late":
            self.ask_for_a_run(name, dag, max(1, run.try_number - 1))
        elif what == "cancel":
            self.model.cancel(run)
            assert self.engine.steering.cancel(name) == run.state
        elif what == "resume":
            self.engine.steering.resume(name)
            run.state, run.task, run.asks, run.resumed = "queued", "", False, True
        elif name in self.held:  # else a message asks to cancel, and nobody has it yet
            self.end(name, what)

    def plan(self, name: str) -> None:
        assert plan(self.engine, name, Dag.parse(self.engine.reading.submitted_dag(name)))
        try_number = self.engine.reading.snapshot(name).tasks[TASK].try_number
        self.model.plan(self.model.runs[name], try_number)

    # Workers

    def work(self) -> None:
        """A worker takes a message, and stops what is to stop."""
        if not self.client.llen("p:q:python"):
            return
        held = self.bench.pop()
        answer = self.engine.working.claim(*vars(held).values(), "w", process=1)
        run = self.model.runs.get(held.run)
        if run and held.try_number != run.try_number:
            assert answer == "another try"  # its run was cancelled, and has been resumed since
            return
        if run is None or run.task not in ("waits", "cancelling"):
            assert not isinstance(answer, Claim)
            return
        assert isinstance(answer, Claim)
        self.held[held.run] = held
        if run.task == "cancelling":
            assert answer.order == "cancel"
            self.stop(held.run)
        else:
            assert answer.order == "run"
            self.model.claim(run)

    def stop(self, name: str) -> None:
        """As the operator does: cancel the run that was started, then say that all is stopped."""
        run = self.model.runs[name]
        if run.child in self.model.runs:
            self.model.cancel(self.model.runs[run.child])
            self.engine.steering.cancel(run.child)
        assert self.engine.working.release(self.held.pop(name), "stopped") == "ok"
        self.model.release(run, "stopped")

    def end(self, name: str, outcome: str) -> None:
        run = self.model.runs[name]
        if run.task == "cancelling" and outcome != "dies":
            self.stop(name)
            return
        told: Any = "dead" if outcome == "dies" else outcome
        assert self.engine.working.release(self.held.pop(name), told) == "ok"
        if outcome == "dies":
            self.model.die(run)
        else:
            self.model.release(run, outcome)

    def ask_for_a_run(self, parent: str, name: str, try_number: int) -> str:
        name = self.wants.get((parent, try_number), name)
        child = child_run_id(name, parent, TASK, try_number)
        held = Held(parent, TASK, try_number, "")
        expected = self.model.start_child(name, child, parent, try_number)
        answer = self.engine.publishing.start_child(name, child, {}, "", held)
        assert answer == expected
        if expected == "made":
            self.wants[parent, try_number] = name
            run, head = self.model.runs[child], self.engine.reading.run_head(child)
            assert (head["parent_run"], head["parent_task"]) == (parent, TASK)
            assert head["ancestors"].split() == list(run.around)
        return expected

    def defer(self, name: str) -> None:
        held = self.held.pop(name)
        assert self.engine.working.defer(held, Deferral("dag.run", FAR, "{}")) == "ok"
        self.model.defer(self.model.runs[name])

    def tick(self) -> None:
        """A worker renews what it holds, and polls what is to be polled."""
        self.client.incrby("p:now", TICK)
        self.engine.working.renew("w", 1_000, ["python"], list(self.held.values()))
        due = self.model.tick()
        assert self.engine.tick()
        asked = [held for poll in self.polls() for held in self.polled(poll)]
        assert sorted(held.run for held in asked) == sorted(due)
        for held in asked:
            self.held[held.run] = held
            self.ask(held)

    def polls(self) -> list[Held]:
        """The messages that ask to poll; those of tasks stay."""
        found = []
        for _ in range(self.client.llen("p:q:python")):
            packed = self.client.rpop("p:q:python")
            head = json.loads(packed)["headers"]["pydag"]
            if head["run"] == "*":
                found.append(Held(head["run"], head["task"], int(head["try"]), head["push"]))
            else:
                self.client.lpush("p:q:python", packed)
        return found

    def polled(self, poll: Held) -> list[Held]:
        due = self.engine.working.claim_polls("python", poll.task, poll.token, "w")
        return [deferral.held for deferral in due]

    def ask(self, held: Held) -> None:
        """As the operator does: by the state of the run, the task ends, or waits on."""
        name = self.wants.get((held.run, held.try_number), "")
        child = self.model.runs.get(child_run_id(name, held.run, TASK, held.try_number))
        if child is None or not child.is_over:
            self.defer(held.run)
        else:
            self.end(held.run, "success" if child.state == "success" else "failed")

    @rule(order=st.permutations(DAGS), whole=st.booleans(), ends=st.booleans())
    def a_chain_grows(self, order: list[str], whole: bool, ends: bool) -> None:
        """From a run that asks for a run, which asks for a run, as far as it goes."""
        for name in order:
            if whole:
                self.publish(name)
            if (parent := self.innermost()) is None:
                return
            run = self.model.runs[parent]
            if self.ask_for_a_run(parent, name, run.try_number) != "made":
                continue
            self.defer(parent)
            self.plan(run.child)
            while self.client.llen("p:q:python"):
                self.work()
        if ends and (last := self.innermost()):
            self.end(last, "success")

    def innermost(self) -> str | None:
        """Of the runs whose tasks run now the one with the most runs around it."""
        return max(
            self.such(WANTED["asks"]),
            key=lambda name: (len(self.model.runs[name].around), name),
            default=None,
        )

    # Losses

    @rule(asks=st.sampled_from(DAGS), really=st.integers(0, 5))
    def wipe(self, asks: str, really: int) -> None:
        """Redis loses everything, and gets back what the history has."""
        if really < 5:  # else most histories have nothing that is under way
            return
        events = [fields for _, fields in self.client.xrange("p:history")]
        heads = {name: self.engine.reading.run_head(name) for name in self.model.runs}
        texts = {name: self.engine.reading.submitted_dag(name) for name in heads}
        now = self.client.get("p:now")
        self.client.flushall()
        self.client.set("p:now", now)
        self.engine.planning.set_template(TEMPLATE)
        self.bench.slots(1_000)
        self.held = {}
        self.model.wipe()
        self.model.is_new = True
        for name, run in self.model.runs.items():
            told = [e for e in events if e["kind"] == "task" and e["run"] == name]
            assert self.engine.planning.restore(name, [lost_task(event) for event in told[-1:]])
            head = {key: value for key, value in heads[name].items() if key in KEPT}
            if run.is_stopped:
                head["reason"] = "cancel"
            assert self.engine.planning.restore_run(name, texts[name], head, planned=run.restored)
        for name in sorted(self.model.published):
            publish(self.engine.publishing, dag_of(name), retention=60, by="ana@host")
        for name, run in self.model.runs.items():
            assert self.ask_for_a_run(name, asks, run.try_number) in ("lost", "there")
        for event in events:  # they are in the database for ever
            self.client.xadd("p:history", event)
        self.client.set("p:epoch", "e")
        self.model.is_new = False

    # What must hold

    def such(self, wanted: Callable[[RefRun], bool]) -> list[str]:
        return [name for name, run in self.model.runs.items() if wanted(run)]

    @invariant()
    def runs_are_what_the_model_says(self) -> None:
        steady = steady_time(int(self.client.get("p:now")), *self.client.hmget("p:clock", *CLOCK))
        for name, run in self.model.runs.items():
            assert self.engine.reading.run_state(name) == run.state, name
            assert (self.client.hget(f"p:run:{name}:out", f"c/{TASK}") or "") == run.child
            if not run.task:
                continue
            task = self.engine.reading.snapshot(name).tasks[TASK]
            state = "waits" if task.state in ("ready", "queued") else task.state
            assert (state, task.try_number) == (run.task, run.try_number), name
            if run.task == "deferred":
                at = self.client.zscore("p:timers", f"poll/{name}/{TASK}")
                assert (at <= steady) is run.asks
        assert self.client.smembers("p:cancels") == self.model.cancels

    @invariant()
    def no_dag_runs_within_itself(self) -> None:
        for run in self.model.runs.values():
            chain = [*run.around, run.dag]
            assert len(set(chain)) == len(chain) <= CHAIN + 1

    def teardown(self) -> None:
        """No run goes on for long whose task, which waits for it, was cancelled."""
        for _ in range(CHAIN + 2):
            for name in self.such(lambda run: run.state == "queued" and run.is_stopped):
                self.plan(name)
            self.tick()
            for _ in range(self.client.llen("p:q:python")):
                self.work()
            for name in list(self.held):
                if self.model.runs[name].task == "cancelling":
                    self.stop(name)
            self.runs_are_what_the_model_says()
        for run in self.model.runs.values():
            child = self.model.runs.get(run.child)
            if child and run.task == "cancelled" and not child.resumed:
                assert child.state != "running"


def chained_machine_on(client: Any) -> type[ChainedMachine]:
    """The machine on a server of its own, by a client that decodes responses."""

    class Machine(ChainedMachine):
        pass

    Machine.client = client
    client.flushall()
    Machine.bench = Bench(client)
    with_own_clock(Machine.bench.engine)
    return Machine
