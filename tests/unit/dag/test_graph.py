from __future__ import annotations

from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from pydag_dist.dag.graph import Graph, cycles
from tests.unit.dag.strategies import edges

DIAMOND = {"top": [], "left": ["top"], "right": ["top"], "bottom": ["left", "right"]}


def paths_from(task, downstream):
    """Every path from a task to an end, by brute force."""
    if not downstream[task]:
        return [[task]]
    return [[task, *rest] for d in downstream[task] for rest in paths_from(d, downstream)]


@given(edges())
def test_a_graph_is_what_its_edges_say(graph):
    found = Graph(graph)

    assert cycles(graph) == []

    # The order has every task once, and parents first; one that is right already stays.
    assert sorted(found.order) == sorted(graph)
    position = {task: number for number, task in enumerate(found.order)}
    for task, upstream in graph.items():
        assert all(position[parent] < position[task] for parent in upstream)
    assert Graph({task: graph[task] for task in found.order}).order == found.order

    # Downstream are the edges, turned round.
    assert list(found.downstream) == list(graph)
    assert {(a, b) for a, others in found.downstream.items() for b in others} == {
        (a, b) for b, others in graph.items() for a in others
    }

    # A level is one more than the highest level upstream.
    level = {task: n for n, tasks in enumerate(found.levels()) for task in tasks}
    assert level == {
        task: max((level[parent] + 1 for parent in upstream), default=0)
        for task, upstream in graph.items()
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


def test_without_durations_every_task_counts_one():
    assert Graph(DIAMOND).remaining_path() == {"top": 3, "left": 2, "right": 2, "bottom": 1}
    assert Graph(DIAMOND).critical_path() == (3, ["top", "left", "bottom"])
    assert Graph(DIAMOND).critical_path({"right": 1.5}) == (3.5, ["top", "right", "bottom"])


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
