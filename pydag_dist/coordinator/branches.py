"""What a worker has to know of a branch: which tasks it chooses from, and their connections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypedDict

from pydag_dist.dag import Dag, InvalidDag, Problem
from pydag_dist.dag.operators import BRANCH

# Of one DAG's branches together: some 50 MB in Redis. Other DAGs need a few, if any.
MAX_REACHES: Final = 1_000_000

_BITS: Final = 2048  # tasks searched for at once: 256 bytes for each task of the DAG


class Choice(TypedDict):
    """A branch's direct downstream tasks, and which of them are downstream of which others.

    Those that the branch does not choose are skipped, but for what a chosen one `reaches`: such a
    task goes by its own trigger rule, as in Airflow.
    """

    downstream: list[str]
    reaches: dict[str, list[str]]


def choices(dag: Dag) -> dict[str, Choice]:
    """The choice of each branch of the DAG, by its task id.

    Linear in tasks and edges, but where branches choose from thousands of tasks that depend on
    each other. Raises `InvalidDag` for a DAG in which they do so in more than `MAX_REACHES` ways.
    """
    found: dict[str, Choice] = {}
    for task_id, task in dag.tasks.items():
        if task.operator == BRANCH:
            downstream = list(dag.downstream[task_id])
            found[task_id] = {"downstream": downstream, "reaches": {t: [] for t in downstream}}
    left = MAX_REACHES
    targets = iter(_below_others(dag, found.values()))
    while batch := list(islice(targets, _BITS)):
        bits = {task_id: 1 << number for number, task_id in enumerate(batch)}
        reached = _reached(dag, bits)
        for choice in found.values():
            mask = sum(bits.get(task_id, 0) for task_id in choice["downstream"])
            for task_id, others in choice["reaches"].items():
                shared = reached[task_id] & mask
                left -= shared.bit_count()
                if left < 0:
                    raise _too_many(dag)
                others += [batch[number] for number in _set_bits(shared)]
    return found


def _below_others(dag: Dag, found: Iterable[Choice]) -> dict[str, None]:
    """The tasks that could be downstream of another one of the same branch: few, as a rule."""
    level = {task_id: n for n, level in enumerate(dag.levels()) for task_id in level}
    candidates: dict[str, None] = {}
    for choice in found:
        highest = min(level[task_id] for task_id in choice["downstream"])
        candidates |= {t: None for t in choice["downstream"] if level[t] > highest}
    return candidates


def _reached(dag: Dag, bits: dict[str, int]) -> dict[str, int]:
    """For each task of the DAG the bits of those that are downstream of it."""
    reached: dict[str, int] = {}
    for task_id in reversed(dag.walk()):
        below = 0
        for child in dag.downstream[task_id]:
            below |= reached[child] | bits.get(child, 0)
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
