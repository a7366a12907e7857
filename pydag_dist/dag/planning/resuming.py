"""What runs again when an ended run goes on, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydag_dist.dag.fields import Task
from pydag_dist.dag.model import Dag
from pydag_dist.dag.operators import BRANCH
from pydag_dist.dag.templates.parsing import parsed_all

KEPT: Final = frozenset({"success", "skipped"})  # states that need not be come by again


@dataclass(frozen=True)
class Again:
    """Why a task runs again; `anew`: what its tries did before does not count any more."""

    why: str
    anew: bool


@dataclass(frozen=True)
class Wish:
    """What is wanted beside what follows from the tasks' states.

    A task to go on from, or its child; the tasks that a new DAG has changed; the tasks that
    somebody marked after the run's end.
    """

    from_task: str = ""
    changed: Collection[str] = ()
    marked: Collection[str] = ()


def again(dag: Dag, states: Mapping[str, str], wish: Wish = Wish()) -> dict[str, Again]:
    """The tasks that run again when a run goes on whose tasks ended in these states.

    These are what did not succeed and was not skipped, what is wished, and everything downstream
    of one that runs again or that was marked, however it ended.
    """
    changed, marked = set(wish.changed), set(wish.marked)
    parents = {
        child.rpartition(".")[0]: child
        for child in (*marked, wish.from_task)
        if child not in dag.tasks
    }
    found: dict[str, Again] = {}
    roots: dict[str, str] = {}  # a task that runs again -> the one because of which
    for task_id in dag.walk():
        upstream = dag.tasks[task_id].dependencies
        above = next((up for up in upstream if up in found or up in marked), None)
        own = _own_reason(task_id, states, wish.from_task, changed)
        if own is None and task_id in parents:
            own = f"its child {parents[task_id]}"
        if above is not None and own in {None, "upstream_failed"}:
            root = roots.get(above, above)
            found[task_id] = Again(f"downstream of {root}", anew=True)
            roots[task_id] = root
        elif own is not None:
            anew = above is not None or task_id in changed or task_id == wish.from_task
            found[task_id] = Again(own, anew)
            roots[task_id] = task_id
    _add_setups(dag, found)
    return found


def _add_setups(dag: Dag, found: dict[str, Again]) -> None:
    """What is to run again between a setup and its teardown, needs both.

    What succeeded downstream of a setup that runs again for that only, is kept: it had one.
    """
    order = {task_id: at for at, task_id in enumerate(dag.walk())}
    pairs = [
        (str(dag.tasks[teardown].teardown_of), tasks) for teardown, tasks in dag.teardowns.items()
    ]
    # A setup may be between another one and its teardown.
    for setup, tasks in sorted(pairs, key=lambda pair: -order[pair[0]]):
        because = next((task_id for task_id in tasks if task_id in found), None)
        if because is not None and setup not in found:
            found[setup] = Again(f"setup of {because}", anew=True)


def _own_reason(
    task_id: str, states: Mapping[str, str], from_task: str, changed: Collection[str]
) -> str | None:
    if task_id == from_task:
        return "named"
    if task_id not in states:
        return "new"
    if task_id in changed:
        return "changed"
    return None if states[task_id] in KEPT else states[task_id]


def changes(old: Dag, new: Dag, params: Mapping[str, Any]) -> dict[str, list[str]]:
    """The tasks of the new DAG whose definition differs, and in what: fields, and `params.NAME`.

    Of one that the old DAG does not have, in nothing that could be named.
    `params` are those that the run was submitted with. What decides how, when and where a task
    runs is no part of its definition: retries, timeouts, queue, priority, caching.
    """
    found: dict[str, list[str]] = {}
    for task_id in new.walk():
        if task_id not in old.tasks:
            found[task_id] = []
        else:
            before, now = _definition(old, task_id, params), _definition(new, task_id, params)
            names = sorted(n for n in {*before, *now} if before.get(n) != now.get(n))
            if names:
                found[task_id] = names
    return found


def _definition(dag: Dag, task_id: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that decides what a task does, by the names of fields."""
    task = dag.tasks[task_id]
    script = task.script.path if task.script else None
    parts: dict[str, Any] = {"script": script} if script else {"operator": task.operator}
    parts |= {
        "params": task.params,
        "dependencies": sorted(task.dependencies),
        "trigger_rule": task.trigger_rule,
        "teardown_of": task.teardown_of,
        "expand": task.expand,
    }
    below = dag.downstream[task_id]
    if task.operator == BRANCH:
        parts["downstream tasks"] = sorted(below)
    for name in below:
        if (expand := dag.tasks[name].expand) and expand.task == task_id:
            parts[f"expansion of {name}"] = expand.over
    return parts | _named_params(task, {**dag.params, **params})


def _named_params(task: Task, given: Mapping[str, Any]) -> dict[str, Any]:
    """The params of the run that the task's templates name, or its `expand`."""
    found = [template.params for template in parsed_all(task.params_to_render)]
    names = set(given) if None in found else {name for some in found for name in some or ()}
    if task.expand and (place := task.expand.place) and place.root == "params":
        names = names | {place.name}
    return {f"params.{name}": given[name] for name in names if name in given}


def kept_children(
    again: Again | None, children: Collection[str], states: Mapping[str, str], from_task: str = ""
) -> Collection[str]:
    """The children of an expanded task that do not run again with it: they stay as they are."""
    if again is None:
        return children
    if again.anew:
        return ()
    return [child for child in children if states[child] in KEPT and child != from_task]
