from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydag_dist.dag import Dag, InvalidDag
from pydag_dist.dag.planning import branches
from pydag_dist.dag.planning.branches import choices
from tests.unit.dag.strategies import edges

CALL = {"callable": "steps:run"}


def dag_of(dependencies, branch_ids):
    tasks = [
        {
            "task_id": task_id,
            "operator": "branch" if task_id in branch_ids else "python.call",
            "params": CALL,
            "dependencies": upstream,
        }
        for task_id, upstream in dependencies.items()
    ]
    return Dag.parse({"dag_id": "test", "tasks": tasks})


def below(dag, task_id):
    """Everything downstream of a task, found the slow way."""
    found, left = set(), list(dag.downstream[task_id])
    while left:
        child = left.pop()
        if child not in found:
            found.add(child)
            left += dag.downstream[child]
    return found


def test_separate_paths_do_not_reach_each_other():
    dag = dag_of({"b": [], "x": ["b"], "y": ["b"], "join": ["x", "y"]}, {"b"})

    assert choices(dag) == {"b": {"downstream": ["x", "y"], "reaches": {"x": [], "y": []}}}


def test_a_join_that_the_branch_leads_to_directly_is_reached_by_the_paths_to_it():
    dag = dag_of(
        {"b": [], "x": ["b"], "between": ["x"], "join": ["between", "b"], "y": ["b"]}, {"b"}
    )

    assert choices(dag) == {
        "b": {"downstream": ["x", "join", "y"], "reaches": {"x": ["join"], "join": [], "y": []}}
    }


def test_only_branches_have_choices():
    assert choices(dag_of({"a": [], "b": ["a"], "join": ["a", "b"]}, set())) == {}


def test_a_branch_below_a_branch_has_choices_of_its_own():
    dag = dag_of({"b": [], "c": ["b"], "x": ["b", "c"], "y": ["c", "x"]}, {"b", "c"})

    assert choices(dag) == {
        "b": {"downstream": ["c", "x"], "reaches": {"c": ["x"], "x": []}},
        "c": {"downstream": ["x", "y"], "reaches": {"x": ["y"], "y": []}},
    }


@given(edges(max_tasks=14), st.data())
def test_choices_are_what_a_plain_search_finds(dependencies, data):
    inner = sorted({up for upstream in dependencies.values() for up in upstream})
    chosen = data.draw(st.sets(st.sampled_from(inner))) if inner else set()
    dag = dag_of(dependencies, chosen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(branches, "_BITS", data.draw(st.integers(1, 3)))
        found = choices(dag)

    assert set(found) == chosen
    for branch, choice in found.items():
        downstream = dag.downstream[branch]
        assert choice["downstream"] == list(downstream)
        assert list(choice["reaches"]) == list(downstream)
        for task_id, others in choice["reaches"].items():
            assert len(set(others)) == len(others)
            assert set(others) == below(dag, task_id) & set(downstream)


def test_a_dag_that_would_fill_redis_with_its_branches_is_refused():
    chain = {f"x{number}": ["b", f"x{number - 1}"] for number in range(1, 2000)}

    with pytest.raises(InvalidDag, match="depend on each other in more than 1,000,000 ways"):
        choices(dag_of({"b": [], "x0": ["b"], **chain}, {"b"}))
