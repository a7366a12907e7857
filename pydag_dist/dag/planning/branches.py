"""What a worker has to know of a branch: the tasks it chooses from, and their dependencies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, TypedDict

from pydag_dist.dag import Dag, InvalidDag, Problem
from pydag_dist.dag.operators import BRANCH

# Of all branches of a DAG together: about 50 MB in Redis. Most DAGs have none.
MAX_REACHES: Final = 1_000_000

_BITS: Final = 2048  # tasks searched for at once: 256 bytes for each task of the DAG


class Choice(TypedDict):
    """A branch's direct downstream tasks, and which of them are downstream of which others.

    The branch skips those that it does not choose. An exception are tasks that a chosen one
    `reaches`: these are decided by their own trigger rules, as in Airflow.
    """

    downstream: list[str]
    reaches: dict[str, list[str]]


def choices(dag: Dag) -> dict[str, Choice]:
    """The choice of each branch of the DAG, by its task id.

    Linear in tasks and edges, unless branches choose from thousands of tasks that depend on each
    other. Raises `InvalidDag` for a DAG in which they do so in more than `MAX_REACHES` ways.
    """
    found: dict[str, Choice] = {}
    for task_id, task in dag.tasks.items():
        if task.operator == BRANCH:
            downstream = list(dag.downstream[task_id])
            found[task_id] = {"downstream": downstream, "reaches": {t: [] for t in downstream}}
    levels = dag.levels()
    level = {task_id: number for number, tasks in enumerate(levels) for task_id in tasks}
    branches = _branches_above(found, level)
    targets = iter(sorted(branches, key=level.__getitem__))
    left = MAX_REACHES
    while batch := list(islice(targets, _BITS)):
        names = dict.fromkeys(branch for task_id in batch for branch in branches[task_id])
        concerned = [found[branch] for branch in names]
        highest = min(level[task_id] for choice in concerned for task_id in choice["downstream"])
        bits = {task_id: 1 << number for number, task_id in enumerate(batch)}
        reached = _reached(dag, levels[highest : level[batch[-1]]], bits)
        for choice in concerned:
            mask = sum(bits.get(task_id, 0) for task_id in choice["downstream"])
            for task_id, others in choice["reaches"].items():
                shared = reached.get(task_id, 0) & mask
                left -= shared.bit_count()
                if left < 0:
                    raise _too_many(dag)
                others += [batch[number] for number in _set_bits(shared)]
    return found


def _branches_above(found: Mapping[str, Choice], level: Mapping[str, int]) -> dict[str, list[str]]:
    """The tasks that could be downstream of another one of the same branch, and their branches."""
    above: dict[str, list[str]] = {}
    for branch, choice in found.items():
        highest = min(level[task_id] for task_id in choice["downstream"])
        for task_id in choice["downstream"]:
            if level[task_id] > highest:
                above.setdefault(task_id, []).append(branch)
    return above


def _reached(dag: Dag, levels: Sequence[Iterable[str]], bits: Mapping[str, int]) -> dict[str, int]:
    """For each task of these levels the bits of those that are downstream of it."""
    reached: dict[str, int] = {}
    for level in reversed(levels):
        for task_id in level:
            below = 0
            for child in dag.downstream[task_id]:
                below |= reached.get(child, 0) | bits.get(child, 0)
            reached[task_id] = below
    return reached


def _set_bits(number: int) -> Iterator[int]:
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest


def _too_many(dag: Dag) -> InvalidDag:
    message = (
        f"the downstream tasks of its branches depend on each other in more than {MAX_REACHES:,} "
        "ways: let a branch choose from fewer tasks"
    )
    return InvalidDag([Problem(dag.dag_id, None, "tasks", message)])
