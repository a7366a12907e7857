"""What runs again when an ended run goes on, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from pydag_dist.dag.model import Dag

KEPT: Final = frozenset({"success", "skipped"})  # states that need not be come by again


@dataclass(frozen=True)
class Again:
    """Why a task runs again; `anew`: what its tries did before does not count any more."""

    why: str
    anew: bool


def again(dag: Dag, states: Mapping[str, str], from_task: str = "") -> dict[str, Again]:
    """The tasks that run again when a run goes on whose tasks ended in these states.

    These are what did not succeed and was not skipped, the task `from_task` (or whose child that
    is), and everything downstream of one that runs again, however it ended.
    """
    parent = "" if from_task in dag.tasks else from_task.rpartition(".")[0]
    found: dict[str, Again] = {}
    roots: dict[str, str] = {}  # a task that runs again -> the one because of which
    for task_id in dag.walk():
        above = next((up for up in dag.tasks[task_id].dependencies if up in found), None)
        why = _own_reason(task_id, states, from_task, parent)
        if above is not None and why in {None, "upstream_failed"}:
            why = f"downstream of {roots[above]}"
            roots[task_id] = roots[above]
        if why is not None:
            found[task_id] = Again(why, anew=above is not None or task_id == from_task)
            roots.setdefault(task_id, task_id)
    return found


def _own_reason(task_id: str, states: Mapping[str, str], from_task: str, parent: str) -> str | None:
    if task_id == from_task:
        return "named"
    if task_id == parent:
        return f"its child {from_task} was named"
    if task_id not in states:
        return "new"
    return None if states[task_id] in KEPT else states[task_id]


def kept_children(
    again: Again | None, children: Collection[str], states: Mapping[str, str], from_task: str = ""
) -> Collection[str]:
    """The children of an expanded task that do not run again with it: they stay as they are."""
    if again is None:
        return children
    if again.anew:
        return ()
    return [child for child in children if states[child] in KEPT and child != from_task]
