"""What answers say, as the objects that the engine's readers return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydag_dist.engine import RunSnapshot, RunSummary, TaskSnapshot
from pydag_dist.engine.snapshot import Act
from pydag_dist.errors import PydagError

T = TypeVar("T")


def made(kind: type[T], told: Mapping[str, Any], **others: Any) -> T:
    """A dataclass of the fields that are told; a newer service may tell more of them."""
    assert is_dataclass(kind)  # noqa: S101
    try:
        given = {f.name: told[f.name] for f in fields(kind) if f.name in told}
        return kind(**{**given, **others})
    except (TypeError, ValueError, OverflowError, AttributeError, KeyError) as error:
        raise PydagError(
            f"the service's answer has not all of a {kind.__name__}: it is of another version"
        ) from error


def snapshot_of(told: Mapping[str, Any]) -> RunSnapshot:
    """A run with its tasks."""
    tasks = {name: made(TaskSnapshot, task) for name, task in told["tasks"].items()}
    acts = [made(Act, act) for act in told["acts"]]
    return made(RunSnapshot, told, tasks=tasks, acts=acts)


def summary_of(told: Mapping[str, Any]) -> RunSummary:
    """A run of a list."""
    return made(RunSummary, told)


def with_times(told: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The same, in which epoch seconds of these names are moments."""
    return {name: moment(v) if name in names else v for name, v in told.items()}


def moment(seconds: float | None) -> datetime | None:
    """The moment of epoch seconds; None for none."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
