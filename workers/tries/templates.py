"""Params with templates, rendered with what is known when a try begins; lists that expand tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydag_dist.dag import limits
from pydag_dist.dag.planning import rendering
from pydag_dist.dag.planning.rendering import Known
from pydag_dist.dag.templates.texts import at_path
from pydag_dist.dag.text.quote import quote
from pydag_dist.dag.text.strict_json import dotted
from pydag_dist.engine import Held
from workers.errors import TaskFailed


def rendered(
    held: Held,
    spec: Mapping[str, Any],
    results: Known,
    large: Known,
    secrets: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """The params of a task's spec: see `rendering.rendered`, but it raises `TaskFailed`."""
    try:
        return rendering.rendered(held, spec, results, large, secrets)
    except rendering.Unrendered as error:
        raise TaskFailed(str(error), final=error.final) from None


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
