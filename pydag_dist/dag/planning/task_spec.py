"""The spec of a task: what its worker is told, besides run, task and try."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from pydag_dist.dag import Dag, Task
from pydag_dist.dag.planning.branches import Choice
from pydag_dist.dag.templates.parsing import parsed_all

LARGE: Final = 1_000  # bytes of a param as JSON


class Shared(NamedTuple):
    """What the specs of all tasks of a run have in common."""

    large: Collection[str]  # the names of `RunParams.large`
    dates: Mapping[str, str]  # `RunParams.dates`


@dataclass(frozen=True)
class RunParams:
    """What a run was submitted with: params, which replace the DAG's own, and a logical date.

    The logical date is ISO 8601 in UTC, such as ``2026-11-22T18:00:00+00:00``.
    """

    params: Mapping[str, Any] = field(default_factory=dict)
    logical_date: str = ""

    def dates(self, dag: Dag) -> dict[str, str]:
        """The logical date and the begin of the data interval, in the DAG's time zone.

        The interval ends with the logical date, and begins with the due time before it. Of a DAG
        without a schedule it is the logical date and nothing more.
        """
        if not self.logical_date:
            return {"logical_date": "", "data_interval_start": ""}
        end = datetime.fromisoformat(self.logical_date)
        schedule = dag.schedule
        start = (schedule and schedule.before(end)) or end
        zone = dag.zone
        return {
            "logical_date": end.astimezone(zone).isoformat(),
            "data_interval_start": start.astimezone(zone).isoformat(),
        }

    def shared(self, dag: Dag) -> Shared:
        """What is worked out once for the specs of many tasks."""
        return Shared(self.large(dag), self.dates(dag))

    def large(self, dag: Dag) -> dict[str, str]:
        """The large params, as JSON: a run keeps them once, and not in the spec of each task."""
        packed = (
            (name, json.dumps(value)) for name, value in {**dag.params, **self.params}.items()
        )
        return {name: text for name, text in packed if len(text) > LARGE}


def spec_of(
    dag: Dag,
    task: Task,
    choice: Choice | None,
    run: RunParams,
    shared: Shared | None = None,
) -> str:
    """The spec as JSON; `choice`: of a branch; `shared`: `run.shared(dag)`, if known.

    Beside what operators get there may be: ``template``, what the params' templates name;
    ``expand``, of an expanded task, its items or where they are; ``expanded_by``, for each task
    that is expanded over this one's result, where in it its list is.
    """
    params = task.params_to_render
    spec: dict[str, Any] = {
        "dag_id": dag.dag_id,
        "operator": task.operator,
        "script": task.script.path if task.script else None,
        "params": params,
        "script_cache": dag.script_cache,
        "expire_cache": dag.expire_cache,
    }
    if dag.budget_bytes is not None:
        spec["budget_bytes"] = dag.budget_bytes
    if task.cache:
        spec["cache_seconds"] = task.cache_seconds
    if choice is not None:
        spec["branch"] = choice
    place = task.expand.place if task.expand else None
    listed = {place.name} if place and place.root == "params" else set()
    if template := _template(params, dag, run, shared, listed):
        spec["template"] = template
    if task.expand:
        spec["expand"] = {"items": task.expand.over}
        if place:
            key = "over" if place.root == "tasks" else "param"
            spec["expand"] = {key: place.name, "path": place.path}
    if expanded_by := _expanded_by(dag, task):
        spec["expanded_by"] = expanded_by
    return json.dumps(spec)


def _template(
    params: Any, dag: Dag, run: RunParams, shared: Shared | None, listed: set[str]
) -> dict[str, Any] | None:
    """The params and dates that the templates name, and the tasks whose results they name.

    `listed`: the param, if any, in which the items of the task are.
    """
    found = parsed_all(params)
    if not found:
        return None
    large, dates = shared or run.shared(dag)
    given = {**dag.params, **run.params}
    if all(template.params is not None for template in found):
        # Not all params of the run in each of 100,000 specs.
        named = listed | {name for template in found for name in template.params or ()}
        given = {name: value for name, value in given.items() if name in named}
    template: dict[str, Any] = {
        "params": {name: value for name, value in given.items() if name not in large},
        "logical_date": dates["logical_date"],
        "tasks": sorted({task for template in found for task in template.tasks}),
    }
    if any("data_interval_start" in template.names for template in found):
        template["data_interval_start"] = dates["data_interval_start"]
    if secrets := sorted({name for template in found for name in template.secrets}):
        template["secrets"] = secrets
    if kept := [name for name in given if name in large]:
        template["large"] = kept
    return template


def _expanded_by(dag: Dag, task: Task) -> dict[str, tuple[str | int, ...]]:
    mine = ("tasks", task.task_id)
    expansions = (
        (name, expand.place)
        for name in dag.downstream[task.task_id]
        if (expand := dag.tasks[name].expand)
    )
    return {name: place.path for name, place in expansions if place and place[:2] == mine}
