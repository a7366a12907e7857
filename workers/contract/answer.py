"""What an operator answers when it is asked how a remote job is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from workers.contract.context import TaskContext
from workers.errors import RemoteStateUnknown

Handle = dict[str, Any]


@dataclass(frozen=True)
class Pending:
    """The remote job isn't over; `state` is the service's own word for what it does."""

    state: str


@dataclass(frozen=True)
class Done:
    """The remote job succeeded with this JSON-able result."""

    result: Any


@dataclass(frozen=True, eq=False)
class Asked:
    """A try whose remote job is asked for together with others."""

    context: TaskContext
    handle: Handle


Answer = Pending | Done | Exception


def answer_of(ask: Callable[[], Pending | Done]) -> Answer:
    """What `ask` returns or raises, so that the error of one job harms no other."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001  it is the answer
        return error


def as_unknown(context: TaskContext, error: Exception) -> RemoteStateUnknown:
    """An error of an operator that asked for a job: it says nothing about the job itself."""
    if isinstance(error, RemoteStateUnknown):
        return error
    context.log.error("%s", type(error).__name__, exc_info=error)
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return RemoteStateUnknown(
        f"{context.operator} can't tell how its job is: {reason}", lasting=True
    )


def by_place(asked: Sequence[Asked], *names: str) -> list[list[Asked]]:
    """The tries in groups whose handles have the same values of `names`."""
    places: dict[tuple[object, ...], list[Asked]] = {}
    for each in asked:
        places.setdefault(tuple(each.handle[name] for name in names), []).append(each)
    return list(places.values())
