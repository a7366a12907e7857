from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pydag_dist.dag import Dag, InvalidDag
from pydag_dist.dag.graph import Graph, cycles
from tests.unit.dag.strategies import edges

DIAMOND = {"top": [], "left": ["top"], "right": ["top"], "bottom": ["left", "right"]}


def paths_from(task, downstream):
    """Every path from a task to an end, by brute force."""
    if not downstream[task]:
        return [[task]]
    return [[task, *rest] for d in downstream[task] for rest in paths_from(d, downstream)]


@given(edges())
def test_the_order_has_every_task_once_and_parents_first(graph):
    order = Graph(graph).order

    assert sorted(order) == sorted(graph)
    position = {task: number for number, task in enumerate(order)}
    for task, upstream in graph.items():
        assert all(position[parent] < position[task] for parent in upstream)


@given(edges())
def test_an_order_that_is_right_already_stays(graph):
    in_order = {task: graph[task] for task in Graph(graph).order}

    assert Graph(in_order).order == tuple(in_order)


@given(edges())
def test_downstream_is_the_edges_turned_round(graph):
    downstream = Graph(graph).downstream

    assert list(downstream) == list(graph)
    assert {(a, b) for a, others in downstream.items() for b in others} == {
        (a, b) for b, others in graph.items() for a in others
    }


@given(edges(max_tasks=8), st.data())
def test_remaining_and_critical_path_are_the_longest_of_all_paths(graph, data):
    durations = data.draw(
        st.dictionaries(st.sampled_from(sorted(graph)), st.integers(0, 20).map(float))
    )
    found = Graph(graph)

    def length(path):
        return sum(durations.get(task, 1.0) for task in path)

    paths = {task: paths_from(task, found.downstream) for task in graph}
    assert found.remaining_path(durations) == {
        task: max(map(length, paths[task])) for task in graph
    }
    duration, path = found.critical_path(durations)
    assert duration == max(length(p) for all_paths in paths.values() for p in all_paths)
    assert length(path) == duration
    assert all(parent in graph[child] for parent, child in pairwise(path))


@given(edges())
def test_a_level_is_one_more_than_the_highest_level_upstream(graph):
    level = {task: n for n, tasks in enumerate(Graph(graph).levels()) for task in tasks}

    assert level == {
        task: max((level[parent] + 1 for parent in upstream), default=0)
        for task, upstream in graph.items()
    }


def test_without_durations_every_task_counts_one():
    assert Graph(DIAMOND).remaining_path() == {"top": 3, "left": 2, "right": 2, "bottom": 1}
    assert Graph(DIAMOND).critical_path() == (3, ["top", "left", "bottom"])
    assert Graph(DIAMOND).critical_path({"right": 1.5}) == (3.5, ["top", "right", "bottom"])


@given(edges())
def test_an_acyclic_graph_has_no_cycles(graph):
    assert cycles(graph) == []


@given(edges(), st.data())
def test_a_cycle_is_found_and_named_in_order(graph, data):
    # An edge from a task to something that it leads to already closes a cycle.
    downstream = Graph(graph).downstream
    path = data.draw(st.sampled_from([p for t in graph for p in paths_from(t, downstream)]))
    assume(len(path) > 1)
    closed = graph | {path[0]: [*graph[path[0]], path[-1]]}

    found = cycles(closed)

    assert len(found) == 1
    [cycle] = found
    assert len(set(cycle)) == len(cycle) > 1
    for parent, child in pairwise([*cycle, cycle[0]]):
        assert parent in closed[child]
    assert cycle[0] == min(cycle, key=list(graph).index)


@given(st.integers(1, 4))
def test_every_knot_is_named(count):
    graph = {}
    for knot in range(count):
        graph[f"a{knot}"] = [f"b{knot}", *([f"b{knot - 1}"] if knot else [])]
        graph[f"b{knot}"] = [f"a{knot}"]

    assert cycles(graph) == [[f"a{knot}", f"b{knot}"] for knot in range(count)]


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


@pytest.mark.big
def test_a_chain_of_100_000_tasks_is_a_dag_like_any_other():
    dag = Dag.parse(chain(100_000))

    assert dag.walk()[0] == "t0"
    assert len(dag.levels()) == 100_000
    assert dag.critical_path()[0] == 100_000
    assert dag.remaining_path()["t1"] == 99_999


@pytest.mark.big
def test_a_chain_that_is_written_backwards_is_walked_forwards():
    raw = chain(100_000)
    raw["tasks"].reverse()

    assert Dag.parse(raw).walk()[:2] == ("t0", "t1")


@pytest.mark.big
def test_a_long_cycle_is_shortened_in_the_message():
    raw = chain(50_000)
    raw["tasks"][0]["dependencies"] = ["t49999"]

    with pytest.raises(InvalidDag) as caught:
        Dag.parse(raw)

    [problem] = caught.value.problems
    assert problem.message.startswith('a cycle: "t0" -> "t1" -> ')
    assert problem.message.endswith(
        '-> (49,980 more) -> "t49990" -> "t49991" -> "t49992" -> '
        '"t49993" -> "t49994" -> "t49995" -> "t49996" -> "t49997" -> "t49998" -> "t49999" -> "t0"'
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
