"""DAGs as big as a DAG may be."""

from __future__ import annotations

import pytest

from pydag_dist.dag import Dag, InvalidDag
from pydag_dist.dag.planning.branches import choices


def chain(length, **more):
    tasks = [
        {
            "task_id": f"t{number}",
            "operator": "python.call",
            "params": {"callable": "steps:run"},
            "dependencies": [f"t{number - 1}"] if number else [],
        }
        for number in range(length)
    ]
    return {"dag_id": "chain", "tasks": tasks, **more}


def ladder(branch_ids):
    """A chain of 100,000 tasks; half of them are branches, each with a way around what is next."""
    dependencies = {"b0": []}
    for number in range(1, branch_ids):
        dependencies[f"x{number}"] = [f"b{number - 1}"]
        dependencies[f"b{number}"] = [f"b{number - 1}", f"x{number}"]
    return dependencies | {"end": [f"b{branch_ids - 1}"]}


@pytest.mark.big
def test_a_chain_of_100_000_tasks_and_50_000_branches_is_a_dag_like_any_other():
    """Written backwards, while it is walked forwards."""
    tasks = [
        {
            "task_id": task_id,
            "operator": "branch" if task_id.startswith("b") else "python.call",
            "params": {"callable": "steps:run"},
            "dependencies": upstream,
        }
        for task_id, upstream in ladder(50_000).items()
    ]
    dag = Dag.parse({"dag_id": "ladder", "tasks": tasks[::-1]})

    assert dag.walk()[:3] == ("b0", "x1", "b1")
    assert len(dag.levels()) == 100_000
    assert dag.critical_path()[0] == 100_000
    assert dag.remaining_path()["x1"] == 99_999
    assert choices(dag)["b7"]["reaches"] == {"b8": [], "x8": ["b8"]}


@pytest.mark.big
def test_a_long_cycle_is_shortened_in_the_message():
    raw = chain(20_000)
    raw["tasks"][0]["dependencies"] = ["t19999"]

    with pytest.raises(InvalidDag) as caught:
        Dag.parse(raw)

    [problem] = caught.value.problems
    assert problem.message.startswith('a cycle: "t0" -> "t1" -> ')
    assert problem.message.endswith(
        '-> (19,980 more) -> "t19990" -> "t19991" -> "t19992" -> '
        '"t19993" -> "t19994" -> "t19995" -> "t19996" -> "t19997" -> "t19998" -> "t19999" -> "t0"'
    )


def test_a_dag_has_at_most_100_000_tasks():
    with pytest.raises(InvalidDag) as caught:
        Dag.parse(chain(100_001, processors=-1))

    assert [str(problem) for problem in caught.value.problems] == [
        "<dag>: tasks: a DAG has at most 100,000 tasks, not 100,001",
        "<dag>: processors: must be at least 0, not -1",
    ]


def test_a_dag_has_at_most_1_000_000_dependencies():
    tasks = chain(1_100)["tasks"]
    wide = [t["task_id"] for t in tasks[:1000]]
    for task in tasks[:1000]:
        task["dependencies"] = []
    for number in range(1_001):
        tasks.append(tasks[0] | {"task_id": f"w{number}", "dependencies": wide})

    with pytest.raises(InvalidDag, match="at most 1,000,000 dependencies, not 1,001,100"):
        Dag.parse({"dag_id": "wide", "tasks": tasks})
