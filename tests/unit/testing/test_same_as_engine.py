"""Random DAGs end in process as they do in the engine."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import fakeredis
from hypothesis import given, settings
from hypothesis import strategies as st

from pydag_dist import Fail, Skip
from pydag_dist.coordinator.planner import plan
from pydag_dist.dag import Dag
from pydag_dist.dag.planning.results import skipped
from pydag_dist.engine import Claim, Engine, Held
from pydag_dist.testing import Call, play
from tests.model.engine_machine.dags import QUEUES, dags
from tests.support.engine_bench import MARKS, with_own_clock

ENDS = ("success", "success", "success", "failed", "skipped", "final")


@settings(max_examples=25)
@given(st.data(), dags(max_tasks=8), st.integers(0, 3))
def test_a_random_dag_ends_as_in_the_engine(data, tasks, processors):
    raw = {"dag_id": "dag", "tasks": list(tasks.values()), "processors": processors}
    dag = Dag.parse(raw)
    drawn: dict[tuple[str, int], str] = {}

    def end(task: str, number: int) -> str:
        if (task, number) not in drawn:
            drawn[task, number] = data.draw(st.sampled_from(ENDS), label=f"{task}/{number}")
        return drawn[task, number]

    results: dict[str, Any] = {
        name: sorted(data.draw(st.sets(st.sampled_from(dag.downstream[name]))))
        if task.operator == "branch"
        else list(range(data.draw(st.integers(0, 3), label=name)))
        for name, task in dag.tasks.items()
    }

    def stand_in(call: Call) -> Any:
        match end(call.task_id, call.try_number):
            case "failed":
                raise RuntimeError
            case "skipped":
                raise Skip("so")
            case "final":
                raise Fail("so")
        return results.get(call.task_id)

    played = play(dag, dict.fromkeys(dag.tasks, stand_in))
    state, states, tries = in_engine(dag, end, results)

    assert (played.state, played.states) == (state, states)
    assert {name: len(task.tries) for name, task in played.tasks.items() if task.tries} == tries


@functools.cache
def server() -> tuple[Any, Engine]:
    client = fakeredis.FakeRedis(decode_responses=True)
    client.info = lambda *_: {"run_id": "fake"}
    engine = Engine(client, "p", "coordinator")
    with_own_clock(engine)
    return client, engine


def in_engine(
    dag: Dag, end: Callable[[str, int], str], results: dict[str, Any]
) -> tuple[str, dict[str, str], dict[str, int]]:
    """The states of a run and of its tasks, and how many tries each had that ran."""
    client, engine = server()
    client.flushall()
    client.set("p:now", 1_800_000_000_000_000)
    engine.planning.set_template('{"headers": {"pydag": ' + MARKS + "}}")
    engine.steering.submit("r", dag.to_json(), "dag", processors=dag.processors)
    for queue in QUEUES:
        engine.working.renew("w", 100, [queue])
    assert plan(engine, "r", dag)
    tries: dict[str, int] = {}
    while engine.reading.run_state("r") == "running":
        messages = [packed for queue in QUEUES if (packed := client.rpop(f"p:q:{queue}"))]
        for packed in messages:
            sent = json.loads(packed)["headers"]["pydag"]
            held = Held(sent["run"], sent["task"], int(sent["try"]), sent["push"])
            claim = engine.working.claim(*vars(held).values(), "w", process=1)
            assert isinstance(claim, Claim)
            tries[held.task] = tries.get(held.task, 0) + 1
            release(engine, held, claim.spec, end(held.task, held.try_number), results)
        if not messages:  # only retries can be left
            for timer in client.zrange("p:timers", 0, -1):
                client.zadd("p:timers", {timer: 0})
            client.hdel("p:clock", "ticked")
            assert engine.tick()
            for queue in QUEUES:
                engine.working.renew("w", 100, [queue])
    snapshot = engine.reading.snapshot("r")
    return snapshot.state, {name: task.state for name, task in snapshot.tasks.items()}, tries


def release(
    engine: Engine, held: Held, spec: dict[str, Any], outcome: Any, results: dict[str, Any]
) -> None:
    result = results.get(held.task)
    skips: list[str] = []
    expand = {}
    if outcome == "success":
        skips = skipped(result, spec["branch"]) if "branch" in spec else []
        expand = dict.fromkeys(spec.get("expanded_by", ()), len(result or ()))
    answer = engine.working.release(held, outcome, json.dumps(result), skips=skips, expand=expand)
    assert answer == "ok"
