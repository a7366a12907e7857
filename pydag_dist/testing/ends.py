"""How tries end, by what their operators return or raise: as a worker judges it."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydag_dist.dag import limits
from pydag_dist.dag.planning import results
from pydag_dist.errors import Fail, Skip, TaskFailed


@dataclass(frozen=True)
class End:
    """An outcome, as the model takes it, and what is told of it."""

    outcome: str
    result: Any = None
    error: str = ""
    skips: tuple[str, ...] = ()
    expand: Mapping[str, int] = field(default_factory=dict)


def end_of(spec: Mapping[str, Any], value: Any) -> End:
    """The end of a try of the task with this spec; a value that is an exception was raised."""
    if isinstance(value, BaseException):
        return _failed(value)
    branch = spec.get("branch")
    try:
        skips: tuple[str, ...] = ()
        if branch is not None:
            value = results.followed(value, branch["downstream"])
            skips = tuple(results.skipped(value, branch))
        kept = json.loads(results.packed(spec["operator"], value) or "null")
        expand = results.expansion_counts(kept, spec.get("expanded_by", {}))
    except TaskFailed as error:
        return _failed(error)
    return End("success", kept, skips=skips, expand=expand)


def _failed(error: BaseException) -> End:
    if (skip := results.all_of_kind(error, Skip)) is not None:
        return End("skipped", error=results.reason(skip))
    if isinstance(error, TaskFailed):
        return End("final" if error.final else "failed", error=str(error))
    if (fail := results.first_of_kind(error, Fail)) is not None:
        return End("final", error=results.reason(fail))
    text = "".join(traceback.format_exception_only(error)).strip()
    return End("failed", error=text[: limits.ERROR])
