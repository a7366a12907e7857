"""A large param of a run, which many tasks name, is in Redis once, and read once by a process."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pydag_dist.coordinator.planner import plan
from pydag_dist.dag import Dag
from pydag_dist.engine import Held
from pydag_dist.engine.protocol import RECORD_FIELDS, pack_record
from tests.unit.workers.support import context
from workers.errors import TaskFailed
from workers.tries import context as contexts


@pytest.fixture
def run(installation, monkeypatch):
    """A run of a thousand tasks that name one param of 200 kB; its specs."""
    tasks = [
        {
            "task_id": f"t{number}",
            "operator": "python.call",
            "params": {"callable": "m:f", "args": ["{{ params.big[0] }}{{ params.small }}"]},
        }
        for number in range(1_000)
    ]
    raw = {"dag_id": "d", "params": {"big": "?", "small": 7}, "tasks": tasks}
    dag = Dag.parse(raw)
    engine = installation.engine
    engine.steering.submit("run", dag.to_json(), "d", {"big": "x" * 200_000})
    installation.engine.planning.set_template("<<id>>")
    assert plan(engine, "run", dag)
    monkeypatch.setattr(contexts, "engine", lambda: engine)
    contexts._LARGE.clear()
    return engine


def test_a_param_that_a_thousand_tasks_name_is_kept_once(run):
    specs = run.store.redis.hgetall(run.store.run_key("run", "specs"))
    assert sum(map(len, specs.values())) < 1_000_000


def test_the_results_that_one_task_names_have_a_limit(run):
    out = run.store.run_key("run", "out")
    run.store.redis.hset(out, "n/t1", 1_000)
    run.store.redis.hset(
        out, mapping={f"r/t1.{child}": '"' + "x" * 20_000 + '"' for child in range(600)}
    )
    spec = {"template": {"tasks": ["t1"], "params": {}, "logical_date": ""}}
    held = Held("run", "t2", 1, "push")
    record = dict.fromkeys(RECORD_FIELDS, "") | {"state": "running", "token": held.token}
    run.store.redis.hset(run.store.run_key("run", "tasks"), held.task, pack_record(record))
    with pytest.raises(TaskFailed, match="the results of t1 have more than 10,000,000 bytes"):
        contexts.with_params(held, spec | {"params": {}}, context())
    run.store.redis.hset(out, "n/t1", 400)
    assert len(run.working.results(held, ["t1"])["t1"]) == 400


def test_a_process_reads_it_once_for_all_tasks_of_a_run(run, monkeypatch):
    read = []
    planned = run.working.planned_params
    monkeypatch.setattr(
        run.working, "planned_params", lambda *asked: read.append(asked) or planned(*asked)
    )
    specs = run.store.redis.hgetall(run.store.run_key("run", "specs"))
    for number in range(3):
        spec = json.loads(specs[f"t{number}"])
        task = replace(context(), params=spec["params"])
        made = contexts.with_params(Held("run", f"t{number}", 1, ""), spec, task)
        assert made.params["args"] == ["x7"]
    assert read == [("run", ["big"])]
