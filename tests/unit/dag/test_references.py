"""What tasks may name: results from upstream only, however far, in whatever order the file has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydag_dist.dag import Dag, InvalidDag
from pydag_dist.dag.reading import references
from tests.unit.dag.strategies import edges


def dag_of(graph, named):
    """Tasks of these dependencies, each with templates that name results of these tasks."""
    return {
        "dag_id": "x",
        "tasks": [
            {
                "task_id": task_id,
                "operator": "python.call",
                "dependencies": upstream,
                "params": {
                    "callable": "steps:run",
                    "args": [f"{{{{ tasks['{name}'].result }}}}" for name in named[task_id]],
                },
            }
            for task_id, upstream in graph.items()
        ],
    }


def upstream_of(task_id, graph):
    found = set(graph[task_id])
    for name in graph[task_id]:
        found |= upstream_of(name, graph)
    return found


@given(edges(max_tasks=8), st.data())
def test_only_results_from_upstream_may_be_named(graph, data):
    names = st.lists(st.sampled_from(sorted(graph)), max_size=3, unique=True)
    named = {task_id: data.draw(names) for task_id in graph}
    expected = {
        (task_id, f"params.args[{place}]")
        for task_id in graph
        for place, name in enumerate(named[task_id])
        if name not in upstream_of(task_id, graph)
    }
    try:
        Dag.parse(dag_of(graph, named))
    except InvalidDag as error:
        found = error.problems
    else:
        found = []
    assert {(problem.task, problem.field) for problem in found} == expected


@pytest.mark.parametrize("bits", [1, 2, 2048])
def test_many_names_are_looked_for_in_batches(monkeypatch, bits):
    monkeypatch.setattr(references, "_BITS", bits)
    chain = {f"t{n}": [f"t{n - 1}"] if n else [] for n in range(50)}
    named = {task_id: [f"t{(n * 7) % 50}"] for n, task_id in enumerate(chain)}
    with pytest.raises(InvalidDag) as caught:
        Dag.parse(dag_of(chain, named))

    wrong = [f"t{n}" for n in range(50) if (n * 7) % 50 >= n]
    assert [problem.task for problem in caught.value.problems] == wrong


def test_in_a_cycle_only_the_cycle_is_told():
    graph = {"a": ["b"], "b": ["a"], "c": ["a"], "d": ["c"]}
    with pytest.raises(InvalidDag) as caught:
        Dag.parse(dag_of(graph, {"a": [], "b": [], "c": ["b"], "d": ["e"]}))

    assert [(problem.task, problem.field) for problem in caught.value.problems] == [
        ("a", "dependencies"),
        ("d", "params.args[0]"),
    ]


@pytest.mark.parametrize(("of_task", "of_dag", "wrong"), [(5, 99, ["b"]), (99, 9, ["b", "c"])])
def test_templates_are_not_read_without_end(monkeypatch, of_task, of_dag, wrong):
    monkeypatch.setattr(references, "MAX_TASK_PARTS", of_task)
    monkeypatch.setattr(references, "MAX_PARTS", of_dag)
    graph = {"up": [], "a": ["up"], "b": ["up"], "c": ["up"]}
    named = {"up": [], "a": ["up"], "b": ["up"] * 9, "c": ["up"]}
    with pytest.raises(InvalidDag) as caught:
        Dag.parse(dag_of(graph, named))

    assert [(p.task, p.field) for p in caught.value.problems] == [(t, "params") for t in wrong]
    assert f"at most {of_task} in a task and {of_dag} in a DAG" in caught.value.problems[0].message
