"""The time by Redis's clock, which all times of runs are by: this host's may be hours off."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import click

from pydag_dist.errors import RedisAway

if TYPE_CHECKING:
    from pydag_dist.engine import RunSnapshot

_AHEAD: Final = f"{__name__}.ahead"


def now() -> float:
    """Now in epoch seconds; Redis, or the service, is asked once in a command.

    By this host's clock if it is away: what a command needs of it says so.
    """
    context = click.get_current_context()
    if context.resilient_parsing:  # a shell that completes a command line waits for no server
        return time.time()
    if _AHEAD not in context.meta:
        from pydag_dist.client import Client

        try:
            told = Client().now()
        except RedisAway:
            return time.time()
        context.meta[_AHEAD] = time.time() - told
    ahead: float = context.meta[_AHEAD]
    return time.time() - ahead


def end_of(run: RunSnapshot) -> float:
    """Until when a run's times are counted: its end; or now, for which Redis may be asked."""
    return now() if run.ended_at is None else run.ended_at


def told(run: RunSnapshot) -> dict[str, Any]:
    """A run in the form of ``pydag status --json``."""
    return run.to_dict() | {"took": run.took(end_of(run))}
