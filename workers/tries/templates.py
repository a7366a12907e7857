"""Params with templates, rendered with what is known when a try begins; lists that expand tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydag_dist.dag import limits
from pydag_dist.dag.templates.parsing import parsed
from pydag_dist.dag.templates.texts import MARK, at_path
from pydag_dist.dag.text.quote import quote
from pydag_dist.dag.text.strict_json import dotted
from pydag_dist.engine import Held
from workers.errors import TaskFailed

if TYPE_CHECKING:
    from pydag_dist.dag.templates.rendering import Rendering

Results = Callable[[Sequence[str]], dict[str, Any]]


def rendered(
    held: Held, spec: Mapping[str, Any], results: Results, large: Results
) -> dict[str, Any]:
    """The params of a task's spec, with values in the place of templates.

    `results` is asked once for the results of tasks by their ids, `large` for params of the run
    by their names that the spec does not have. What is rendered is not looked
    at again: no value of a run becomes a template. Raises `TaskFailed` if a value is missing, or if
    all templates together take too much.
    """
    params: dict[str, Any] = spec["params"]
    if "template" not in spec:
        return params
    from pydag_dist.dag.templates.rendering import Rendering  # noqa: PLC0415  imported by few tasks

    names, rendering = _names(held, spec, results, large), Rendering()
    return {key: _render(value, names, rendering, (key,)) for key, value in params.items()}


def _names(held: Held, spec: Mapping[str, Any], results: Results, large: Results) -> dict[str, Any]:
    from pydag_dist.dag.templates.rendering import Params  # noqa: PLC0415  imported by few tasks

    template = spec["template"]
    kept = template.get("large")
    expand = spec.get("expand")
    listed = [expand["over"]] if expand and "over" in expand else []
    wanted = [*template["tasks"], *listed]
    known = results(wanted) if wanted else {}
    params = template["params"] | (large(kept) if kept else {})
    names = {
        "tasks": {task: {"result": known[task]} for task in template["tasks"]},
        "params": Params(params),
        "run_id": held.run,
        "dag_id": spec["dag_id"],
        "task_id": held.task,
        "try_number": held.try_number,
        "logical_date": template["logical_date"],
        "ds": template["logical_date"][: len("2026-01-31")],
        "data_interval_start": template.get("data_interval_start"),  # there if a template names it
        "data_interval_end": template["logical_date"],
    }
    if expand:
        index = int(held.task.rpartition(".")[2])
        names |= {"item": _item(expand, known, params, index), "index": index}
    return names


def _item(
    expand: Mapping[str, Any], results: Mapping[str, Any], params: Mapping[str, Any], index: int
) -> Any:
    if "items" in expand:
        return expand["items"][index]
    if "param" in expand:
        return at_path(params[expand["param"]], [*expand["path"], index])
    try:
        return at_path(results[expand["over"]], [*expand["path"], index])
    except LookupError:
        raise TaskFailed(
            f"the result of {expand['over']} has no item {index} any more: "
            f"resume the run from {expand['over']}",
            final=True,
        ) from None


def _render(
    value: Any, names: Mapping[str, Any], rendering: Rendering, path: tuple[str | int, ...]
) -> Any:
    if isinstance(value, str) and MARK in value:
        try:
            return parsed(value).render(names, rendering)
        except ValueError as error:
            # With the number of the try in it, the next one may be another text.
            message = f"{dotted(('params', *path))}: template {error}"
            raise TaskFailed(message, final="try_number" not in value) from None
    if isinstance(value, dict):
        return {key: _render(item, names, rendering, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_render(item, names, rendering, (*path, place)) for place, item in enumerate(value)]
    return value


def expansion_counts(result: Any, expanded_by: Mapping[str, Sequence[str | int]]) -> dict[str, int]:
    """Into how many tasks each task expands that is expanded over this result.

    Raises `TaskFailed` if there is no list for one of them, or too long a one.
    """
    counts = {}
    for task, path in expanded_by.items():
        place = dotted(("result", *path))
        try:
            found = at_path(result, path)
        except LookupError:
            raise TaskFailed(
                f"task {task} is expanded over {place}, which is not there: {quote(result)}",
                final=True,
            ) from None
        if not isinstance(found, list):
            raise TaskFailed(
                f"task {task} is expanded over {place}, which must be a list, not {quote(found)}",
                final=True,
            )
        if len(found) > limits.CHILDREN:
            raise TaskFailed(
                f"task {task} is expanded over {place}, of at most {limits.CHILDREN:,} items, "
                f"not {len(found):,}: give each task a slice of the list",
                final=True,
            )
        counts[task] = len(found)
    if (total := sum(counts.values())) > limits.RUN_CHILDREN:
        raise TaskFailed(
            f"{len(counts)} tasks are expanded over the result, into {total:,} together, and at "
            f"most {limits.RUN_CHILDREN:,} are made: let fewer tasks do more with each item",
            final=True,
        )
    return counts
