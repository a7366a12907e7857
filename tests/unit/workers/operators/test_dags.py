"""`dag.run` and `dag.wait` on an engine in memory, whose coordinator and worker the test is."""

from __future__ import annotations

import json
from typing import Any

import fakeredis
import pytest
import redis

from pydag_dist.coordinator.recording.restore import _FIELDS as FIELDS
from pydag_dist.dag import Dag
from pydag_dist.engine import Deferral, Held, LostTask
from pydag_dist.engine.publications import pause, publish, unpublish
from tests.support.engine_bench import MARKS, Bench, task
from tests.unit.workers.support import Log, context
from workers.contract.answer import Asked, Done, Pending
from workers.errors import RemoteStateUnknown, TaskFailed
from workers.operators.dag.run import RunDag
from workers.operators.dag.wait import WaitForDag

DATE = "2026-01-31T01:30:00+00:00"


class DagBench(Bench):
    """With published DAGs, and runs whose tasks use them."""

    def __init__(self) -> None:
        client = fakeredis.FakeRedis(decode_responses=True)
        super().__init__(client)
        client.set("p:epoch", "e")
        self.slots(100)
        self.log = Log()
        client.info = lambda *_: {"run_id": "fake"}  # fakeredis has no INFO

    def publish(self, dag_id: str, *tasks: dict[str, Any], **fields: Any) -> None:
        dag = Dag.parse({"dag_id": dag_id, "tasks": list(tasks) or [task("a")], **fields})
        publish(self.engine.publishing, dag, retention=60, by="ana@host")

    def begin(self, operator: str = "dag.run", run: str = "r", **params: Any) -> Held:
        """A run whose only task, which uses a DAG, is claimed."""
        asking = task("use", operator=operator, params=params)
        dag = Dag.parse({"dag_id": "outer", "tasks": [asking]})
        self.engine.steering.submit(run, dag.to_json(), "outer", logical_date=DATE)
        self.plan(run)
        return self.take()

    def given(self, held: Held, *, params: dict[str, Any] | None = None, dag_id: str = "outer"):
        dag = json.loads(self.engine.reading.submitted_dag(held.run))
        [use] = [t for t in dag["tasks"] if t["task_id"] == held.task]
        return context(
            use["params"] if params is None else params,
            operator=use["operator"],
            log=self.log,
            run_id=held.run,
            dag_id=dag_id,
            task_id=held.task,
            try_number=held.try_number,
            redis=self.client,
            key_prefix="p",
        )

    def defer(self, held: Held, delay: float = 1000) -> None:
        assert self.engine.working.defer(held, Deferral("dag.run", delay, "{}")) == "ok"

    def work_off(self, run: str, **results: str) -> None:
        self.plan(run)
        while self.engine.reading.run_state(run) == "running":
            held = self.take()
            self.end(held, result=results.get(held.task, ""))


@pytest.fixture
def bench() -> DagBench:
    return DagBench()


RUN, WAIT = RunDag(), WaitForDag()


def test_the_newest_version_is_started_for_the_same_date_and_its_results_are_the_tasks(bench):
    bench.publish("inner")
    bench.publish("inner", task("a"), task("b"), params={"n": 1})
    held = bench.begin(dag="inner", params={"n": 2}, results=["b"])
    given = bench.given(held)
    handle = RUN.submit(given)
    head = bench.engine.reading.run_head(handle["run"])
    assert json.loads(head["params"]) == {"n": 2}
    assert (head["version"], head["run_type"], head["logical_date"]) == ("2", "triggered", DATE)
    assert (head["parent_run"], head["parent_task"], head["ancestors"]) == ("r", "use", "outer")
    assert RUN.poll(given, handle) == Pending(f"run {handle['run']} of DAG inner is queued")
    bench.work_off(handle["run"], b='{"rows": 7}')
    result = {"run": handle["run"], "state": "success", "results": {"b": {"rows": 7}}}
    assert RUN.poll(given, handle) == Done(result)
    assert bench.log.lines[0] == f"started run {handle['run']} of DAG inner for {DATE}"


def test_the_same_try_finds_its_run_and_another_try_starts_another(bench):
    bench.publish("inner")
    held = bench.begin(dag="inner")
    first = RUN.submit(bench.given(held))
    assert RUN.submit(bench.given(held)) == first
    bench.defer(held)
    assert RUN.submit(bench.given(held)) == first
    assert bench.client.zcard("p:runs") == 2
    assert RUN.handle(context(bench.given(held).params, run_id="r", try_number=2)) != first


def test_a_later_try_waits_until_the_run_of_the_one_before_is_over(bench):
    bench.publish("inner")
    held = bench.begin(dag="inner")
    before = RUN.submit(bench.given(held))["run"]
    bench.plan(before)
    inner = bench.take()
    bench.end(held, "failed")
    bench.engine.steering.resume("r")
    bench.plan("r")
    again = bench.take()
    assert (again.task, again.try_number) == ("use", 2)
    given = bench.given(again)
    assert RUN.settle(given, {"run": before}) is None
    handle = RUN.submit(given)
    assert bench.engine.reading.run_state(handle["run"]) is None
    assert RUN.poll(given, handle) == Pending(f"run {before} of the try before is cancelling")
    bench.end(inner, "stopped")
    assert RUN.poll(given, handle) == Pending(f"run {handle['run']} of DAG inner is queued")


@pytest.mark.parametrize("ended", ["failed", "cancelled"])
def test_a_run_that_does_not_succeed_fails_the_task_with_its_name(bench, ended):
    bench.publish("inner")
    held = bench.begin(dag="inner")
    given = bench.given(held)
    run = RUN.submit(given)["run"]
    how = "was cancelled" if ended == "cancelled" else "has failed"
    if ended == "cancelled":
        bench.engine.steering.cancel(run)
    else:
        bench.plan(run)
        bench.end(bench.take(), "failed")
    with pytest.raises(TaskFailed) as caught:
        RUN.poll(given, {"run": run})
    assert str(caught.value) == f"run {run} of DAG inner {how} (`pydag why {run}`)"
    assert not caught.value.final
    with pytest.raises(TaskFailed, match=how):  # a worker that executes the try again
        RUN.submit(given)


def test_cancelling_the_task_cancels_its_run_but_a_result_that_is_there_counts(bench):
    bench.publish("inner")
    held = bench.begin(dag="inner")
    given = bench.given(held)
    handle = RUN.submit(given)
    RUN.cancel(given, handle)
    assert bench.engine.reading.run_state(handle["run"]) == "cancelled"
    assert RUN.look(given, handle) is None
    RUN.cancel(given, {"run": "never-there"})

    bench.end(held)
    other = bench.begin(run="r2", dag="inner")
    given = bench.given(other)
    handle = RUN.submit(given)
    bench.work_off(handle["run"])
    RUN.cancel(given, handle)
    assert RUN.look(given, handle) == Done(
        {"run": handle["run"], "state": "success", "results": {}}
    )


def test_no_run_is_started_for_a_try_that_is_over(bench):
    bench.publish("inner")
    held = bench.begin(dag="inner")
    given = bench.given(held)
    bench.engine.steering.cancel("r")
    handle = RUN.submit(given)
    assert bench.engine.reading.run_state(handle["run"]) is None
    with pytest.raises(RemoteStateUnknown, match="not under way"):
        RUN.poll(given, handle)
    bench.end(held, "stopped")
    with pytest.raises(RemoteStateUnknown, match="not under way"):
        RUN.poll(given, handle)


def test_a_paused_dag_is_started_all_the_same(bench):
    bench.publish("inner", schedule_interval="@daily")
    pause(bench.engine.publishing, "inner", "ana@host")
    handle = RUN.submit(bench.given(bench.begin(dag="inner")))
    assert bench.engine.reading.run_state(handle["run"]) == "queued"


def test_a_dag_that_is_not_published_fails_the_task_but_maybe_not_the_next_try(bench):
    bench.publish("inner")
    held = bench.begin(dag="iner")
    with pytest.raises(TaskFailed, match=r"no DAG iner is published \(did you mean") as caught:
        RUN.submit(bench.given(held))
    assert not caught.value.final
    bench.end(held)
    handle = RUN.submit(given := bench.given(bench.begin(run="r2", dag="inner")))
    unpublish(bench.engine.publishing, "inner", "ana@host")
    assert isinstance(RUN.poll(given, handle), Pending)  # its runs go on


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"params": {"m": 1}}, r"has no param m \(it has: n\)"),
        ({"params": {"n": float("nan")}}, "params of the run: n must be a number, not nan"),
        ({"results": ["a", "z"]}, "results: DAG inner has no task z"),
        ({"logical_date": "2026-02-31"}, "must be a day or a time"),
        ({"params": {"n": "x" * 60_000}}, "at most 60,000 bytes as JSON, not 60,"),
    ],
)
def test_what_a_run_can_not_be_given_is_final(bench, params, said):
    bench.publish("inner", params={"n": 1})
    held = bench.begin(dag="inner")
    with pytest.raises(TaskFailed, match=said) as caught:
        RUN.submit(bench.given(held, params={"dag": "inner", **params}))
    assert caught.value.final
    assert bench.client.zcard("p:runs") == 1


def test_a_date_without_an_offset_is_in_the_zone_of_the_dag_that_is_started(bench):
    bench.publish("inner", timezone="Europe/Berlin")
    held = bench.begin(dag="inner", logical_date="2026-01-31")
    run = RUN.submit(bench.given(held))["run"]
    assert bench.engine.reading.logical_date(run) == "2026-01-30T23:00:00+00:00"


def test_no_dag_runs_within_itself_and_no_chain_is_too_long(bench):
    names = ["outer", *(f"dag{number}" for number in range(1, 11))]
    for name in names:
        use = task("use", operator="dag.run", params={"dag": "x"})
        bench.publish(name, use)
    held = bench.begin(dag="dag1")
    for number in range(1, 10):
        given = bench.given(held, params={"dag": names[number]}, dag_id=names[number - 1])
        run = RUN.submit(given)["run"]
        bench.plan(run)
        held = bench.take()
        assert held.run == run
    given = bench.given(held, params={"dag": "dag10"}, dag_id="dag9")
    with pytest.raises(TaskFailed) as caught:
        RUN.submit(given)
    assert str(caught.value) == (
        "at most 10 runs may wait for each other in a chain, and here 11 would: "
        + " > ".join(names)
    )
    assert caught.value.final
    for again in ("outer", "dag4", "dag9"):
        given = bench.given(held, params={"dag": again}, dag_id="dag9")
        with pytest.raises(TaskFailed) as caught:
            RUN.submit(given)
        chain = " > ".join([*names[:10], again])
        assert str(caught.value) == f"a DAG can't run within itself: {chain}"
        assert caught.value.final


def test_its_task_is_asked_for_at_once_when_the_run_has_ended(bench):
    bench.publish("inner")
    held = bench.begin(dag="inner")
    run = RUN.submit(bench.given(held))["run"]
    bench.plan(run)
    inner = bench.take()
    bench.defer(held)
    assert bench.client.llen("p:q:python") == 0
    bench.end(inner)
    bench.tick()
    assert bench.client.hvals("p:polls:python") == ["dag.run"]
    due = bench.engine.working.claim_polls(
        "python", "dag.run", bench.client.hkeys("p:polls:python")[0], "w"
    )
    assert [each.held.task for each in due] == ["use"]


def test_its_run_is_cancelled_with_it_though_no_slot_is_free(bench):
    bench.publish("inner")
    held = bench.begin(dag="inner")
    run = RUN.submit(bench.given(held))["run"]
    bench.plan(run)
    bench.take()
    bench.defer(held)
    bench.engine.steering.cancel("r")
    bench.tick()
    assert bench.engine.reading.run_state(run) == "cancelling"
    assert bench.client.scard("p:cancels") == 0


def test_a_poll_that_is_under_way_is_left_alone(bench):
    bench.publish("inner")
    held = bench.begin(dag="inner")
    run = RUN.submit(bench.given(held))["run"]
    bench.plan(run)
    inner = bench.take()
    bench.defer(held, delay=0)
    bench.tick()
    (push,) = bench.client.hkeys("p:polls:python")
    (due,) = bench.engine.working.claim_polls("python", "dag.run", push, "w")
    leased = bench.client.zscore("p:timers", "poll/r/use")
    bench.end(inner)
    assert bench.client.zscore("p:timers", "poll/r/use") == leased
    bench.end(due.held)


def test_hundred_runs_are_asked_for_by_one_pipeline(bench, monkeypatch):
    bench.publish("inner")
    asked = []
    for number in range(20):
        given = bench.given(bench.begin(run=f"r{number}", dag="inner"))
        asked.append(Asked(given, RUN.submit(given)))
    sent = []
    pipeline = fakeredis.FakeRedis.pipeline
    monkeypatch.setattr(
        fakeredis.FakeRedis, "pipeline", lambda *a, **k: sent.append(1) or pipeline(*a, **k)
    )
    answers = dict(RUN.poll_many(asked))
    assert all(isinstance(answers[each], Pending) for each in asked)
    assert sent == [1]
    assert len({RUN.group(each.context, each.handle) for each in asked}) == 1


class Away:
    """A Redis that is away."""

    def __init__(self, error: redis.RedisError) -> None:
        self.connection_pool = self
        self._error = error

    def __getattr__(self, _name: str) -> Any:
        raise self._error


@pytest.mark.parametrize("operator", [RUN, WAIT])
@pytest.mark.parametrize(
    ("error", "lasting"),
    [
        (redis.ConnectionError("refused"), False),
        (redis.exceptions.NoPermissionError("no permissions"), True),
    ],
)
def test_a_redis_that_can_not_answer_fails_nothing(bench, operator, error, lasting):
    given = context({"dag": "inner"}, redis=Away(error), key_prefix="p")
    handle = operator.submit(given)
    with pytest.raises(RemoteStateUnknown, match="Redis can't tell it now") as caught:
        operator.poll(given, handle)
    assert caught.value.lasting is lasting


def test_a_redis_that_lost_all_is_waited_for_and_then_the_run_is_started_again(bench):
    bench.publish("inner")
    held = bench.begin(dag="inner")
    given = bench.given(held)
    handle = RUN.submit(given)
    bench.client.flushall()
    for ask in (RUN.poll, RUN.cancel):
        with pytest.raises(RemoteStateUnknown, match="a coordinator has yet to give it"):
            ask(given, handle)
    bench.client.set("p:epoch", "e2")
    bench.publish("inner")
    with pytest.raises(RemoteStateUnknown):  # the run of its task is not back
        RUN.poll(given, handle)
    bench.engine.planning.set_template('{"headers": {"pydag": ' + MARKS + "}}")
    bench.slots(100)
    assert bench.begin(dag="inner").task == "use"
    assert RUN.poll(given, handle) == Pending(f"run {handle['run']} of DAG inner is queued")


# dag.wait


def answered(bench, *found):
    """What a coordinator tells that has looked into the history."""
    asked = bench.engine.publishing.asked_for(100)
    bench.engine.publishing.tell_awaited(found)
    return asked


def test_the_run_for_the_same_date_is_waited_for(bench):
    bench.publish("inner", schedule_interval="@daily")
    given = bench.given(bench.begin("dag.wait", dag="inner"))
    handle = WAIT.submit(given)
    none = f"there is no run of DAG inner for {DATE}"
    assert WAIT.poll(given, handle) == Pending(
        f"{none}, as far as is known: no coordinator has looked into the history yet"
    )
    assert answered(bench, ("inner", DATE, "", "")) == [("inner", DATE)]
    assert WAIT.poll(given, handle) == Pending(none)
    pause(bench.engine.publishing, "inner", "ana@host")
    assert WAIT.poll(given, handle) == Pending(f"{none}, and the DAG is paused")
    unpublish(bench.engine.publishing, "inner", "ana@host")
    assert WAIT.poll(given, handle) == Pending(f"{none}, and no such DAG is published")
    answered(bench, ("inner", DATE, "i-1", "failed"))
    assert WAIT.poll(given, handle) == Pending(f"run i-1 of DAG inner for {DATE} is failed")
    answered(bench, ("inner", DATE, "i-2", "success"))
    done = Done({"dag": "inner", "run": "i-2", "logical_date": DATE})
    assert WAIT.poll(given, handle) == done


def test_what_redis_knows_of_the_run_is_newer_than_the_history(bench):
    bench.submit(task("a"), run="i-1")
    given = bench.given(bench.begin("dag.wait", dag="inner"))
    handle = WAIT.submit(given)
    answered(bench, ("inner", DATE, "i-1", "failed"))
    assert WAIT.poll(given, handle) == Pending(f"run i-1 of DAG inner for {DATE} is queued")


def test_a_given_date_is_in_the_zone_of_the_dag_that_is_waited_for(bench):
    bench.publish("inner", schedule_interval="@daily", timezone="Europe/Berlin")
    given = bench.given(bench.begin("dag.wait", dag="inner", logical_date="2026-01-31"))
    WAIT.poll(given, handle := WAIT.submit(given))
    assert handle["date"] == "2026-01-30T23:00:00+00:00"


def test_many_are_asked_for_at_once_and_one_that_is_wrong_harms_no_other(bench):
    held = bench.begin("dag.wait", dag="inner")
    params = [{"dag": "inner"}, {"dag": "outer"}, {"dag": "other", "logical_date": "2026-13-01"}]
    asked = [Asked(bench.given(held, params=each), {}) for each in params]
    answers = dict(WAIT.poll_many(asked))
    assert isinstance(answers[asked[0]], Pending)
    assert "its run would wait for itself" in str(answers[asked[1]])
    assert "logical_date must be a day or a time" in str(answers[asked[2]])
    assert all(answers[each].final for each in asked[1:])
    assert bench.engine.publishing.asked_for(10) == [("inner", DATE)]


@pytest.mark.parametrize("when", ["it waits for another worker", "it is being stopped"])
def test_the_run_of_a_try_whose_worker_died_is_cancelled_with_it(bench, when):
    bench.publish("inner")
    held = bench.begin(dag="inner")
    run = RUN.submit(bench.given(held))["run"]
    if when == "it is being stopped":
        bench.engine.steering.cancel("r")
        bench.end(held, "dead")
    else:
        bench.end(held, "dead")
        bench.engine.steering.cancel("r")
    bench.tick()
    assert bench.engine.reading.run_state(run) == "cancelled"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_redis_had_lost_is_cancelled_with_the_task_that_waits_for_it(bench, when):
    bench.publish("inner")
    run = RUN.submit(bench.given(bench.begin(dag="inner")))["run"]
    heads = {name: bench.engine.reading.run_head(name) for name in ("r", run)}
    texts = {name: bench.engine.reading.submitted_dag(name) for name in heads}
    bench.client.flushall()
    bench.engine.planning.set_template('{"headers": {"pydag": ' + MARKS + "}}")
    for name, head in heads.items():
        kept = {key: value for key, value in head.items() if key in FIELDS}
        lost = [LostTask("use", "running", 1)] if name == "r" else []
        assert bench.engine.planning.restore(name, lost)
        assert bench.engine.planning.restore_run(name, texts[name], kept, planned=name == "r")
    if when == "before":  # it is planned again
        bench.engine.steering.cancel("r")
    bench.plan("r")
    bench.engine.steering.cancel("r")
    bench.tick()
    assert [bench.engine.reading.run_state(name) for name in heads] == ["cancelled"] * 2
