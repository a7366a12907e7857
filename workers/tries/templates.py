"""Params with templates, rendered with what is known when a try begins."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydag_dist.dag.planning import rendering
from pydag_dist.dag.planning.rendering import Known
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
