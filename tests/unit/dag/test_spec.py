"""What a worker gets to know of a task."""

from __future__ import annotations

import json

import pytest

from pydag_dist.dag import Dag
from pydag_dist.dag.planning.task_spec import RunParams, spec_of

RUN = RunParams({"day": "Monday", "n": 2}, "2026-11-22T18:00:00+00:00")
CALL = {"operator": "python.call", "params": {"callable": "steps:run"}}


def specs(*tasks, run=RUN, **fields):
    dag = Dag.parse({"dag_id": "test", **fields, "tasks": list(tasks)})
    choice = {"downstream": ["x"], "reaches": {"x": []}}
    return {
        task.task_id: json.loads(
            spec_of(dag, task, choice if task.operator == "branch" else None, run)
        )
        for task in dag.tasks.values()
    }


def call(task_id, *args, after=(), **fields):
    params = {"callable": "steps:run", "args": list(args)}
    return {
        "task_id": task_id,
        "operator": "python.call",
        "params": params,
        "dependencies": list(after),
        **fields,
    }


def test_a_plain_task_is_what_the_file_says():
    assert specs(call("a", 1), params={"n": 1}, expire_cache=60)["a"] == {
        "dag_id": "test",
        "operator": "python.call",
        "script": None,
        "params": {"callable": "steps:run", "args": [1]},
        "script_cache": False,
        "expire_cache": 60,
    }


def test_a_large_param_is_named_and_not_copied():
    params = {"big": "x" * 2_000, "small": 1, "other": "y" * 2_000}
    tasks = [call("a", "{{ params.big }} {{ params.small }}"), call("b", "{{ params }}")]
    found = specs(*tasks, params=params)
    assert found["a"]["template"]["large"] == ["big"]
    assert found["a"]["template"]["params"] == {"small": 1}
    assert found["b"]["template"]["large"] == ["big", "other"]
    assert all(len(json.dumps(spec)) < 1_000 for spec in found.values())


def test_a_budget_goes_to_every_task():
    found = specs(call("a"), call("b"), budget_bytes=10**12)
    assert {spec["budget_bytes"] for spec in found.values()} == {10**12}


def test_a_cached_task_gets_how_long_its_result_is_kept():
    copy = {"operator": "gcs.copy", "params": {"source": "gs://a/b", "destination": "gs://a/c"}}
    found = specs(
        {"task_id": "a", **copy},
        {"task_id": "b", **copy, "cache": "inputs"},
        {"task_id": "c", **copy, "cache": "inputs", "cache_seconds": 60.0},
    )
    assert [spec.get("cache_seconds") for spec in found.values()] == [None, 604_800, 60]


def test_templates_get_what_they_name_and_no_more():
    found = specs(
        call("a"),
        call("b", after=["a"]),
        call("c", "{{ tasks.b.result }} {{ params.day }}", "{{ tasks.a.result }}", after=["b"]),
        params={"day": "Sunday", "n": 1, "k": 0},
    )

    assert "template" not in found["a"]
    assert found["c"]["template"] == {
        "params": {"day": "Monday"},
        "logical_date": "2026-11-22T18:00:00+00:00",
        "tasks": ["a", "b"],
    }


@pytest.mark.parametrize(
    ("fields", "start"),
    [
        ({}, "2026-11-22T19:00:00+01:00"),
        ({"schedule_interval": "30 2 * * *"}, "2026-11-22T02:30:00+01:00"),
        # Also of a run that begins before the DAG is due for the first time.
        ({"schedule_interval": "@daily", "start_date": "2030-01-01"}, "2026-11-22T00:00:00+01:00"),
        ({"schedule_interval": "0 19 * * *"}, "2026-11-21T19:00:00+01:00"),
        ({"schedule_interval": 3600}, "2026-11-22T18:00:00+01:00"),
    ],
)
def test_dates_are_in_the_dags_zone_and_the_data_interval_begins_when_it_was_due(fields, start):
    tasks = [call("a", "{{ data_interval_start }}"), call("b", "{{ data_interval_end }} {{ ds }}")]
    found = specs(*tasks, timezone="Europe/Berlin", **fields)
    assert found["a"]["template"]["data_interval_start"] == start
    assert found["a"]["template"]["logical_date"] == "2026-11-22T19:00:00+01:00"
    assert "data_interval_start" not in found["b"]["template"]
    assert found["b"]["template"]["logical_date"] == "2026-11-22T19:00:00+01:00"


def test_the_dags_params_are_defaults_of_the_runs():
    found = specs(call("a", "{{ params }}"), params={"day": "Sunday", "k": {"x": 1}})

    assert found["a"]["template"]["params"] == {"day": "Monday", "n": 2, "k": {"x": 1}}


def test_a_param_that_nobody_gives_is_left_to_the_worker():
    assert specs(call("a", "{{ params.k }}"))["a"]["template"]["params"] == {}


def test_a_branchs_expression_goes_as_a_template():
    branch = {
        "task_id": "b",
        "operator": "branch",
        "params": {"when": "tasks.a.result > params.n", "then": "x"},
        "dependencies": ["a"],
    }
    found = specs(call("a"), branch, call("x", after=["b"]))["b"]

    assert found["params"] == {"when": "{{ tasks.a.result > params.n }}", "then": "x"}
    assert found["template"]["tasks"] == ["a"]
    assert found["template"]["params"] == {"n": 2}


def test_a_list_and_what_is_expanded_over_it_know_each_other():
    found = specs(
        call("list.1"),
        call("each", after=["list.1"], expand={"over": "tasks['list.1'].result.files[0]"}),
        call(
            "all", "{{ item }}", after=["list.1", "each"], expand={"over": "tasks['list.1'].result"}
        ),
        call("after", after=["list.1", "all"]),
    )

    assert found["list.1"]["expanded_by"] == {"each": ["files", 0], "all": []}
    assert found["each"]["expand"] == {"over": "list.1", "path": ["files", 0]}
    assert found["all"]["expand"] == {"over": "list.1", "path": []}
    assert found["all"]["template"]["tasks"] == []
    assert "template" not in found["each"]
    assert not {"expand", "expanded_by"} & set(found["after"])
