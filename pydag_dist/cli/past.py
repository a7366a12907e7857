"""Runs that Redis has no longer, from the history, as far as this host can read it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydag_dist.client import Client
from pydag_dist.engine import Engine, RunSnapshot, RunSummary
from pydag_dist.errors import HistoryError, UnknownRun
from pydag_dist.settings import Settings, load_settings

if TYPE_CHECKING:
    from pydag_dist.history import History


def snapshot_of(run_id: str) -> RunSnapshot:
    """The run as Redis has it, or else the history."""
    try:
        return Client().run(run_id).snapshot()
    except UnknownRun:
        settings = load_settings()
        if not _is_here(settings):
            raise
        with _history(settings) as history:
            found = history.snapshot(run_id)
        if found is None:
            raise
        return found


def newest_runs(limit: int) -> list[RunSummary]:
    """The newest runs first: those that Redis has, and then older ones of the history."""
    live, settings = Client().runs(limit), load_settings()
    if len(live) == limit or not _is_here(settings):
        return live
    engine = Engine.from_url(settings.redis_url, settings.key_prefix)
    with _history(settings) as history:
        # A home may have had another installation's runs.
        ours = history.epoch() == engine.redis.get(engine.key("epoch"))
        past = history.runs(limit) if ours else []
    known = {run.run_id for run in live}
    older = [run for run in past if run.run_id not in known]
    return sorted(live + older, key=lambda run: -(run.submitted_at or 0))[:limit]


def _is_here(settings: Settings) -> bool:
    """Whether a database is named, or the one that coordinators of this host use is there."""
    try:
        return settings.database_url is not None or (settings.home / "history.sqlite").is_file()
    except OSError:  # another user's home
        return False


@contextlib.contextmanager
def _history(settings: Settings) -> Iterator[History]:
    from pydag_dist.history import LOST, History

    try:
        with History(settings.history_url) as history:
            history.check()
            yield history
    except LOST as error:
        what = str(getattr(error, "orig", error)).partition("\n")[0]
        raise HistoryError(f"the history at {history.where} can't be read: {what}") from None
