"""Params with templates: what a worker makes of them, and of lists that tasks expand over."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydag_dist.dag import Dag
from pydag_dist.dag.planning.results import expansion_counts
from pydag_dist.dag.planning.task_spec import RunParams, spec_of
from pydag_dist.engine import Held
from tests.unit.dag.strategies import dags, json_values
from workers.errors import TaskFailed
from workers.tries.context import rendered

RESULTS = {"list": {"files": ["a", {"name": "b"}]}, "count": 3, "nothing": None}


def render(params, /, *, task="t", expand=None, **template):
    asked = []

    def results(tasks):
        asked.append(list(tasks))
        return {task: RESULTS[task] for task in tasks}

    known = {"params": {}, "logical_date": "2026-11-22T18:00:00+00:00", "tasks": []}
    spec = {"dag_id": "nightly", "params": params, "template": known | template}
    if expand:
        spec["expand"] = expand
    found = rendered(Held("run", task, 2, "token"), spec, results, None)
    assert len(asked) <= 1
    return found


def test_params_without_templates_are_what_they_were():
    params = {"sql": "SELECT 1", "n": [1, {"a": None}]}

    assert rendered(Held("run", "t", 1, ""), {"params": params}, None, None) is params


def test_templates_are_rendered_wherever_they_stand():
    params = {
        "callable": "steps:run",
        "args": ["{{ tasks.count.result }}", ["{{ params.day }} of {{ dag_id }}"], 7],
        "kwargs": {"{{ ds }}": {"at": "{{ ds }}/{{ run_id }}/{{ task_id }}/{{ try_number }}"}},
    }

    assert render(params, params={"day": "Monday"}, tasks=["count"]) == {
        "callable": "steps:run",
        "args": [3, ["Monday of nightly"], 7],
        "kwargs": {"{{ ds }}": {"at": "2026-11-22/run/t/2"}},
    }


def test_the_data_interval_ends_with_the_logical_date():
    begin, end = "2026-11-21T02:30:00+01:00", "2026-11-22T02:30:00+01:00"
    asked = {"args": ["{{ data_interval_start }} {{ data_interval_end }} {{ ds }}"]}
    rendered = render(asked, logical_date=end, data_interval_start=begin)
    assert rendered == {"args": [f"{begin} {end} 2026-11-22"]}


def test_a_value_is_no_template():
    params = {"a": "{{ params.a }}", "b": "- {{ params.a }}"}

    assert render(params, params={"a": "{{ ds }}"}) == {"a": "{{ ds }}", "b": "- {{ ds }}"}


def test_a_task_without_a_result_has_null():
    assert render({"a": "{{ tasks.nothing.result }}"}, tasks=["nothing"]) == {"a": None}


def test_a_missing_value_fails_the_try_and_says_where():
    with pytest.raises(TaskFailed, match=r'^params\.args\[1\]\.k: template .*params has no "day"$'):
        render({"args": [0, {"k": "{{ params.day }}"}]}, params={"dya": 1})
    with pytest.raises(TaskFailed, match=r'params\.a: template .*null has no "rows"'):
        render({"a": "{{ tasks.nothing.result.rows }}"}, tasks=["nothing"])


def test_what_takes_too_much_of_all_templates_together_fails_the_try_and_says_where():
    params = {"k": "{{ params.long }}", "args": ["{{ params.long }}"] * 900}
    with pytest.raises(
        TaskFailed, match=r"^params\.args\[\d+\]: template .* 10,000,000 characters"
    ):
        render(params, params={"long": "x" * 200_000})


def test_a_child_has_its_item_and_index():
    expand = {"over": "list", "path": ["files"]}
    params = {"a": "{{ item.name }} {{ index }} {{ task_id }} {{ tasks.count.result }}"}

    assert render(params, task="each.1", expand=expand, tasks=["count"]) == {"a": "b 1 each.1 3"}
    assert render({"a": "{{ item }}"}, task="x.3.0", expand=expand) == {"a": "a"}


@pytest.mark.parametrize("path", [["files"], ["other"], []])
def test_an_item_that_is_gone_fails_the_try(path):
    with pytest.raises(TaskFailed, match="the result of list has no item 7 any more"):
        render({"a": "{{ item }}"}, task="each.7", expand={"over": "list", "path": path})


def test_lists_are_counted_where_they_are():
    result = {"files": ["a", "b"], "deep": [{"names": []}]}

    assert expansion_counts(["a"], {"each": []}) == {"each": 1}
    assert expansion_counts(result, {"each": ["files"], "none": ["deep", 0, "names"]}) == {
        "each": 2,
        "none": 0,
    }


@pytest.mark.parametrize(
    ("result", "path", "message"),
    [
        (None, [], "task each is expanded over result, which must be a list, not null"),
        ("abc", [], 'over result, which must be a list, not "abc"'),
        ({"files": {"a": 1}}, ["files"], r'over result\.files, which must be a list, not {"a": 1}'),
        ({"fils": []}, ["files"], r'over result\.files, which is not there: {"fils": \[\]}'),
        ([[1]], [3, "a"], r"over result\[3\]\.a, which is not there"),
        ("abc", ["files"], r"over result\.files, which is not there"),
        (["x"] * 10_001, [], "of at most 10,000 items, not 10,001"),
    ],
)
def test_no_list_to_expand_over_fails_the_try(result, path, message):
    with pytest.raises(TaskFailed, match=message):
        expansion_counts(result, {"each": path})


def planned(dag, task_id, run):
    """The spec as a worker gets it."""
    return json.loads(spec_of(dag, dag.tasks[task_id], None, run))


@given(
    st.dictionaries(st.sampled_from("ab"), json_values), st.dictionaries(st.just("b"), json_values)
)
def test_params_come_through_as_they_were_given(defaults, given_params):
    raw = {
        "dag_id": "x",
        "params": {"a": 0, "b": 1} | defaults,
        "tasks": [
            {
                "task_id": "t",
                "operator": "python.call",
                "params": {"callable": "steps:run", "args": ["{{ params.a }}", "{{ params.b }}"]},
            }
        ],
    }
    spec = planned(Dag.parse(raw), "t", RunParams(given_params, "2026-01-31T00:00:00+00:00"))
    large = RunParams({**raw["params"], **given_params}).large(Dag.parse(raw))
    found = rendered(
        Held("r", "t", 1, ""),
        spec,
        None,
        lambda names: {name: json.loads(large[name]) for name in names},
    )["args"]

    merged = raw["params"] | given_params
    assert json.dumps(found) == json.dumps([merged["a"], merged["b"]])


@pytest.mark.big
@given(dags(), json_values)
def test_any_dag_that_is_right_can_be_rendered(raw, result):
    dag = Dag.parse(raw)
    for task_id, task in dag.tasks.items():
        spec = planned(dag, task_id, RunParams({"day": 1, "n": 2}, "2026-01-31T00:00:00+00:00"))
        held = Held("r", f"{task_id}.0" if task.expand else task_id, 1, "")
        try:
            found = rendered(held, spec, lambda tasks: dict.fromkeys(tasks, result), None)
        except TaskFailed as error:
            assert task.expand or "template" in str(error)  # noqa: PT017
        else:
            assert found.keys() == task.params.keys()
            json.dumps(found)


def test_a_result_makes_a_limited_number_of_expansion_counts():
    paths = {f"t{i}": () for i in range(40)}

    with pytest.raises(TaskFailed, match="into 400,000 together, and at most 100,000 are made"):
        expansion_counts([0] * 10_000, paths)
    assert sum(expansion_counts([0] * 2_500, paths).values()) == 100_000
