"""Lists that tasks are expanded over and that are known before a run: what may be in them."""

from __future__ import annotations

import pytest

from pydag_dist.coordinator.plan import plan_of
from pydag_dist.dag import Dag, InvalidDag, limits
from pydag_dist.dag.draw import text
from pydag_dist.dag.planning.task_spec import RunParams

CALL = {"operator": "python.call", "params": {"callable": "steps:run", "args": ["{{ item }}"]}}


def dag(*overs, params=None, **fields):
    tasks = [
        {"task_id": f"each{i}", **CALL, "expand": {"over": over}} for i, over in enumerate(overs)
    ]
    return Dag.parse({"dag_id": "d", "params": params or {}, "tasks": tasks, **fields}, "d.json")


def problems(*overs, params=None):
    with pytest.raises(InvalidDag) as caught:
        dag(*overs, params=params)
    return [problem.message for problem in caught.value.problems]


def test_a_list_of_the_file_or_of_the_params_is_counted_by_the_planner():
    given = dag(["a", {"b": 1}], "params.x.files", [], params={"x": {"files": [1, 2, 3]}})
    plan = plan_of(given)
    assert [(row.items, row.list_task, row.expand) for row in plan.rows] == [
        (2, "", True),
        (3, "", True),
        (0, "", True),
    ]
    other = plan_of(given, run=RunParams({"x": {"files": ["one"]}}))
    assert [row.items for row in other.rows] == [2, 1, 0]
    assert Dag.parse(given.to_json()) == given
    assert "[each of 2 items]" in text(given) or "each0" in text(given)


def test_a_list_that_is_none_is_a_problem_of_the_file_as_far_as_it_is_known():
    assert problems(["{{ ds }}"]) == ["items are taken as they are: templates belong into params"]
    assert problems("params.x", params={"x": 3}) == ["params.x must be a list, not 3"]
    assert problems("params.x.y", params={"x": {}}) == [
        "params.x.y is not there: give the run that param"
    ]
    many = limits.CHILDREN + 1
    assert problems([1] * many) == ["the list must have at most 10,000 items, not 10,001"]
    assert "at most 65,536 bytes as JSON, not 70,004" in problems(["x" * 70_000])[0]
    assert dag("params.x").tasks["each0"].expand is not None  # the run may be given it


def test_a_list_that_is_no_json_is_told_of_once():
    loop: list = []
    loop.append(loop)
    for wrong in ([{1}], [float("nan")], loop):
        assert len(problems(wrong)) == 1


def test_all_children_of_a_run_have_their_limit():
    overs = [[1] * limits.CHILDREN] * (limits.RUN_CHILDREN // limits.CHILDREN)
    assert len(dag(*overs).tasks) == len(overs)
    [message] = problems(*overs, [1])
    assert message.startswith(
        "with it the expanded tasks of a run become 100,001, and at most 100,0"
    )


def test_a_run_without_its_list_can_not_be_planned():
    with pytest.raises(InvalidDag, match=r"each0.*expand\.over: params\.x is not there"):
        plan_of(dag("params.x"))
    with pytest.raises(InvalidDag, match="must be a list, not 3"):
        plan_of(dag("params.x"), run=RunParams({"x": 3}))
