"""Looks at this host: its disk, and whether it reaches the history and the logs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import redis

from pydag_dist.doctor.finding import Finding, error, ok, warning
from pydag_dist.engine import Engine
from pydag_dist.errors import HistoryError, InvalidSettings
from pydag_dist.history import LOST, HistoryReader, refusal
from pydag_dist.log_store import LogStoreAway, open_log_store
from pydag_dist.settings import Settings

SQLITE: Final = "sqlite:///"
LEAST_FREE: Final = 2**30  # bytes of a disk


def look_at_host(settings: Settings, engine: Engine | None = None) -> list[Finding]:
    """What is found here; with an `engine` also whether history and logs can be read from here."""
    found = look_at_disks(settings)
    if engine is not None:
        found += [*_history(settings, engine), *_logs(settings)]
    return found


def look_at_disks(settings: Settings) -> list[Finding]:
    """Whether there is room where this host writes."""
    places = set()
    if settings.history_url.startswith(SQLITE):  # PostgreSQL's disk is another host's
        places.add(Path(unquote(settings.history_url.removeprefix(SQLITE))).parent)
    if (logs := settings.log_place) and not logs.startswith("gs://"):
        places.add(Path(logs).expanduser())
    there = {_there(place): place for place in sorted(places, reverse=True)}
    found = []
    for folder, place in there.items():
        if settings.has_history and not os.access(folder, os.W_OK | os.X_OK):
            found.append(
                warning(
                    f"{place} can't be written by this user",
                    "a coordinator needs it: let its user own it, or set PYDAG_HOME (and "
                    "PYDAG_LOG_STORE) to another directory",
                )
            )
        free = shutil.disk_usage(folder).free
        if free < LEAST_FREE:
            found.append(
                warning(
                    f"the disk of {place} has {free / 2**20:,.0f} MiB free",
                    "make room: history and logs wait in Redis while it is full",
                )
            )
    return found


def _there(place: Path) -> Path:
    """The directory, or the one in which it would be made."""
    return next(path for path in (place.absolute(), *place.absolute().parents) if path.is_dir())


def _history(settings: Settings, engine: Engine) -> Iterator[Finding]:
    if not settings.has_history:
        yield warning(
            "this host has no history: `pydag status` and `runs` show only what Redis has",
            "set PYDAG_DATABASE_URL to the coordinators' database, if they don't run here",
        )
        return
    try:
        with HistoryReader(settings.history_url) as history:
            history.check()
            epoch = history.epoch()
            where = history.where
    except (HistoryError, InvalidSettings) as problem:
        what, _, advice = str(problem).partition(": ")
        yield error(what, advice)
        return
    except LOST as problem:
        why = refusal(problem) or str(getattr(problem, "orig", problem)).partition("\n")[0]
        yield error(
            f"the history's database can't be read from here: {why}",
            "check PYDAG_DATABASE_URL, that the database is there, and its user's rights; what "
            "happens meanwhile waits in Redis",
        )
        return
    try:
        ours = engine.store.redis.get(engine.store.key("epoch"))
    except redis.RedisError:
        return  # told already
    if epoch != ours:
        yield error(
            f"the history in {where} is that of another Redis",
            "let PYDAG_REDIS_URL and PYDAG_DATABASE_URL name one installation; after Redis was "
            "lost, a coordinator makes it this one's within seconds",
        )
    else:
        yield ok(f"the history is in {where}")


def _logs(settings: Settings) -> Iterator[Finding]:
    if not (settings.log_store or settings.has_history):
        return  # by default they are beside the history, which is another host's
    try:
        store = open_log_store(settings)
        if store is None:
            yield warning(
                "no log store: Redis forgets the logs of tries",
                "set PYDAG_LOG_STORE to a directory of all hosts, or to gs://BUCKET/PREFIX",
            )
            return
        store.check()
    except (InvalidSettings, LogStoreAway) as problem:
        yield error(str(problem), "what is written meanwhile waits in Redis")
    else:
        yield ok(f"logs are in {store.where}")
