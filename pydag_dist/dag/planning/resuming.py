"""What runs again when an ended run goes on, and why; what a run runs that begins at a task."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydag_dist.dag.fields import Task
from pydag_dist.dag.model import Dag
from pydag_dist.dag.operators import BRANCH
from pydag_dist.dag.templates.parsing import parsed_all
from pydag_dist.dag.text.quote import quote
from pydag_dist.errors import PydagError

KEPT: Final = frozenset({"success", "skipped"})  # tasks in these states do not run again


@dataclass(frozen=True)
class RunsAgain:
    """Why a task runs again; with `anew`, what its earlier tries did does not count."""

    why: str
    anew: bool


@dataclass(frozen=True)
class ResumeRequest:
    """What a resume asks for; the states of the tasks decide the rest.

    It has the task to go on from (or a child of it), the tasks that a corrected DAG has changed,
    and the tasks that somebody marked after the run's end.
    """

    from_task: str = ""
    changed: Collection[str] = ()
    marked: Collection[str] = ()


def to_run_again(
    dag: Dag, states: Mapping[str, str], request: ResumeRequest = ResumeRequest()
) -> dict[str, RunsAgain]:
    """The tasks that run again when a run goes on whose tasks ended in these states.

    These are the tasks that neither succeeded nor were skipped, those that the request names or
    that are changed, and every task downstream of one that runs again or that was marked.
    """
    changed, marked = set(request.changed), set(request.marked)
    parents = {
        child.rpartition(".")[0]: child
        for child in (*marked, request.from_task)
        if child not in dag.tasks
    }
    found: dict[str, RunsAgain] = {}
    roots: dict[str, str] = {}  # a task that runs again -> the one because of which
    for task_id in dag.walk():
        upstream = dag.tasks[task_id].dependencies
        above = next((up for up in upstream if up in found or up in marked), None)
        own = _own_reason(task_id, states, request.from_task, changed)
        if own is None and task_id in parents:
            own = f"its child {parents[task_id]}"
        if above is not None and own in {None, "upstream_failed"}:
            root = roots.get(above, above)
            found[task_id] = RunsAgain(f"downstream of {root}", anew=True)
            roots[task_id] = root
        elif own is not None:
            anew = above is not None or task_id in changed or task_id == request.from_task
            found[task_id] = RunsAgain(own, anew)
            roots[task_id] = task_id
    _add_setups(dag, found)
    return found


@dataclass(frozen=True)
class Beginning:
    """A new run that begins at a task: that one and all downstream of it run, with their setups.

    All `others` count as succeeded. `needs` are those of them whose results are named, each with
    the tasks that name it.
    """

    others: Sequence[str]
    needs: Mapping[str, Sequence[str]]


def beginning_at(dag: Dag, task_id: str) -> Beginning:
    """The run of a DAG that begins at that task; `PydagError` if the DAG has no such task."""
    if task_id not in dag.tasks:
        raise PydagError(f"the DAG {dag.dag_id} has no task {quote(task_id)} to begin at")
    runs = to_run_again(dag, dict.fromkeys(dag.tasks, "success"), ResumeRequest(task_id))
    needs: dict[str, list[str]] = {}
    for name in runs:
        task = dag.tasks[name]
        named = {up for template in parsed_all(task.params_to_render) for up in template.tasks}
        if task.expand and task.expand.task:
            named.add(task.expand.task)
        for up in sorted(named - runs.keys()):
            needs.setdefault(up, []).append(name)
    return Beginning([name for name in dag.tasks if name not in runs], needs)


def _add_setups(dag: Dag, found: dict[str, RunsAgain]) -> None:
    """A setup runs again if a task between it and its teardown does, since that task needs it.

    Other tasks downstream of such a setup that succeeded are kept: for them the setup was done.
    """
    order = {task_id: at for at, task_id in enumerate(dag.walk())}
    pairs = [
        (str(dag.tasks[teardown].teardown_of), tasks) for teardown, tasks in dag.teardowns.items()
    ]
    # A setup may be between another one and its teardown.
    for setup, tasks in sorted(pairs, key=lambda pair: -order[pair[0]]):
        because = next((task_id for task_id in tasks if task_id in found), None)
        if because is not None and setup not in found:
            found[setup] = RunsAgain(f"setup of {because}", anew=True)


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
    """The tasks of the new DAG whose definition differs, each with the fields that do.

    A param of the run that the task uses is named `params.NAME`. For a task that the old DAG does
    not have the list is empty. `params` are those that the run was submitted with. How, when and
    where a task runs is no part of its definition: retries, timeouts, queue, priority, caching.
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
    names = set(given) if None in found else {name for used in found for name in used or ()}
    if task.expand and (place := task.expand.place) and place.root == "params":
        names = names | {place.name}
    return {f"params.{name}": given[name] for name in names if name in given}


def kept_children(
    again: RunsAgain | None,
    children: Collection[str],
    states: Mapping[str, str],
    from_task: str = "",
) -> Collection[str]:
    """The children of an expanded task that stay as they are when it runs again."""
    if again is None:
        return children
    if again.anew:
        return ()
    return [child for child in children if states[child] in KEPT and child != from_task]
