"""What follows from the edges of a DAG: order, levels, longest paths, cycles.

Everything here takes time linear in tasks and edges, and no recursion, so that a chain of 100,000
tasks works like any other DAG. It works with ids only, and knows nothing of tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

Edges = Mapping[str, Sequence[str]]


class Graph:
    """The edges of an acyclic DAG: each task's id and what it depends on, in file order."""

    def __init__(self, dependencies: Edges) -> None:
        self.dependencies = dependencies

    @cached_property
    def downstream(self) -> dict[str, tuple[str, ...]]:
        """For each task the tasks that depend on it directly, in file order."""
        found: dict[str, list[str]] = {task: [] for task in self.dependencies}
        for task, upstream in self.dependencies.items():
            for dependency in upstream:
                found[dependency].append(task)
        return {task: tuple(tasks) for task, tasks in found.items()}

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The tasks in file order, but each after its upstream tasks.

        An upstream task that stands further down is moved up to just before the first task that
        needs it.
        """
        seen: set[str] = set()
        return tuple(
            task for root in self.dependencies for task in _reached(root, self.dependencies, seen)
        )

    def check(self) -> None:
        """Raise LookupError if an edge leads nowhere, or there is a cycle."""
        seen: set[str] = set()
        for task in self.order:
            if not seen.issuperset(self.dependencies[task]):
                raise LookupError(task)
            seen.add(task)

    def levels(self) -> list[list[str]]:
        """The tasks by the number of edges on the longest path that leads to them."""
        level: dict[str, int] = {}
        for task in self.order:
            level[task] = max((level[d] + 1 for d in self.dependencies[task]), default=0)
        levels: list[list[str]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
        for task in self.dependencies:
            levels[level[task]].append(task)
        return levels

    def remaining_path(self, durations: Mapping[str, float] | None = None) -> dict[str, float]:
        """For each task the longest path from it to the end, the task itself included.

        `durations` are in any one unit; a task that isn't in them counts 1.
        """
        known = durations or {}
        remaining: dict[str, float] = {}
        for task in reversed(self.order):
            after = max((remaining[d] for d in self.downstream[task]), default=0.0)
            remaining[task] = known.get(task, 1.0) + after
        return {task: remaining[task] for task in self.dependencies}

    def critical_path(
        self, durations: Mapping[str, float] | None = None
    ) -> tuple[float, list[str]]:
        """The length of the longest path, and its tasks; of equal ones the first in the file."""
        remaining = self.remaining_path(durations)
        candidates: Iterable[str] = (t for t, d in self.dependencies.items() if not d)
        path: list[str] = []
        while task := max(candidates, key=remaining.__getitem__, default=None):
            path.append(task)
            candidates = self.downstream[task]
        return (remaining[path[0]] if path else 0.0), path


def between(graph: Graph, pairs: Sequence[tuple[str, str]]) -> list[list[str] | None]:
    """For each pair the tasks on all paths from the first to the second, upstream tasks first.

    The two themselves are left out; None if there is no path. Linear for up to some hundred pairs.
    """
    below, above = dict.fromkeys(graph.order, 0), dict.fromkeys(graph.order, 0)
    for number, (first, last) in enumerate(pairs):
        below[first] |= 1 << number
        above[last] |= 1 << number
    for task in graph.order:
        for up in graph.dependencies[task]:
            below[task] |= below[up]
    for task in reversed(graph.order):
        for down in graph.downstream[task]:
            above[task] |= above[down]
    leads = [below[last] >> number & 1 for number, (_, last) in enumerate(pairs)]
    found: list[list[str]] = [[] for _ in pairs]
    for task in graph.order:
        common = below[task] & above[task]
        while common:
            number = (common & -common).bit_length() - 1
            common &= common - 1
            if task not in pairs[number]:
                found[number].append(task)
    return [tasks if there else None for there, tasks in zip(leads, found, strict=True)]


def cycles(dependencies: Edges) -> list[list[str]]:
    """One cycle of each knot (tasks that wait for each other), upstream first.

    Each begins with its task that stands first in the file. Dependencies on oneself or on
    unknown tasks must have been left out.
    """
    position = {task: number for number, task in enumerate(dependencies)}
    found = []
    for knot in _knots(dependencies):
        members = set(knot)
        task = min(knot, key=position.__getitem__)
        # Every task of a knot depends on another one of it, so this path comes back to itself.
        seen: dict[str, int] = {}
        path: list[str] = []
        while task not in seen:
            seen[task] = len(path)
            path.append(task)
            task = next(d for d in dependencies[task] if d in members)
        cycle = path[seen[task] :][::-1]
        first = min(range(len(cycle)), key=lambda i: position[cycle[i]])
        found.append(cycle[first:] + cycle[:first])
    return sorted(found, key=lambda cycle: position[cycle[0]])


def _knots(dependencies: Edges) -> list[list[str]]:
    """The strongly connected components of more than one task (Kosaraju's two passes)."""
    downstream: dict[str, list[str]] = {task: [] for task in dependencies}
    for task, upstream in dependencies.items():
        for dependency in upstream:
            downstream[dependency].append(task)
    seen: set[str] = set()
    finished = [task for root in dependencies for task in _reached(root, dependencies, seen)]
    seen = set()
    components = (_reached(root, downstream, seen) for root in reversed(finished))
    return [component for component in components if len(component) > 1]


def _reached(root: str, edges: Edges, seen: set[str]) -> list[str]:
    """The unseen tasks that edges lead to from `root`, each after those that it leads to."""
    if root in seen:
        return []
    seen.add(root)
    done = []
    path = [(root, iter(edges[root]))]
    while path:
        task, further = path[-1]
        following = next((other for other in further if other not in seen), None)
        if following is None:
            done.append(task)
            path.pop()
        else:
            seen.add(following)
            path.append((following, iter(edges[following])))
    return done
