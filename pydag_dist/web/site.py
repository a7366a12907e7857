"""What the routes stand on: one installation's engine, client and history."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Final, Generic, TypeVar

from pydag_dist.client import Client
from pydag_dist.dag import Dag
from pydag_dist.engine import (
    Engine,
    Listing,
    RunFilter,
    RunSnapshot,
    RunSummary,
    TaskSnapshot,
)
from pydag_dist.engine.roles.watching import RunTotals, TaskRow, rows_of
from pydag_dist.errors import HistoryError, UnknownRun
from pydag_dist.history import LOST, HistoryReader
from pydag_dist.log_store import LogStore, open_log_store
from pydag_dist.settings import Settings
from pydag_dist.web.folder.files import Files
from pydag_dist.web.settings import WebSettings
from pydag_dist.web.tokens import Tokens

T = TypeVar("T")
RETRY_SECONDS: Final = 2.0  # that a request waits for a Redis which is away
KEPT_CHARACTERS: Final = 64_000_000  # of the texts of DAGs that are kept parsed
KEPT_HEADS: Final = 4_000_000  # of the heads of ended runs
KEPT_COSTS: Final = 1_000_000  # characters of the names of runs whose costs are kept
KEPT_OWNERS: Final = 4_000_000  # characters of owners of DAGs and of the hashes of their texts
EPOCH_SECONDS: Final = 10.0
AWAY_SECONDS: Final = 5.0  # that a history which can't be read is not asked again


class Kept(Generic[T]):
    """What was made of texts, by their hashes; those used last, up to a sum of characters."""

    def __init__(self, characters: int = KEPT_CHARACTERS) -> None:
        self._most, self._sum = characters, 0
        self._made: OrderedDict[str, tuple[int, T]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> T | None:
        """What is kept under that hash."""
        with self._lock:
            if key not in self._made:
                return None
            self._made.move_to_end(key)
            return self._made[key][1]

    def put(self, key: str, size: int, made: T) -> T:
        """Keep it, and forget others if they are too many."""
        with self._lock:
            if key not in self._made:
                self._made[key] = (size, made)
                self._sum += size
            while self._sum > self._most and len(self._made) > 1:
                self._sum -= self._made.popitem(last=False)[1][0]
        return made


class Site:
    """One installation, as `pydag web` shows it. Threads share it."""

    def __init__(self, settings: Settings, web: WebSettings) -> None:
        self.settings, self.web = settings, web
        self.client = Client(
            settings.redis_url, prefix=settings.key_prefix, retry_seconds=RETRY_SECONDS
        )
        self.engine: Engine = self.client.engine
        self.tokens = Tokens(self.engine.store)
        self.files = _files(settings.home, web.files) if web.files else None
        self.dags: Kept[Dag] = Kept()
        self.graphs: Kept[bytes] = Kept()
        self.owners: Kept[str] = Kept(KEPT_OWNERS)
        self.ended: Kept[RunTotals] = Kept(KEPT_HEADS)
        self.billed: Kept[tuple[int | None]] = Kept(KEPT_COSTS)
        self._log_store = open_log_store(settings)
        self._history: HistoryReader | None = None
        self._is_ours = (0.0, False)
        self._problem: tuple[float, Exception] | None = None

    def log_store(self) -> LogStore | None:
        """The log store, if the settings name one."""
        return self._log_store

    @property
    def history(self) -> HistoryReader | None:
        """The history, if this host can read it and if it is that of this Redis."""
        if self._history is None and not self.settings.has_history:
            return None
        if self._problem and time.monotonic() - self._problem[0] < AWAY_SECONDS:
            raise self._problem[1].with_traceback(None)
        try:
            return self._readable()
        except (HistoryError, *LOST) as error:
            self._problem = time.monotonic(), error
            raise

    def past(self, ask: Callable[[HistoryReader], T], otherwise: T) -> tuple[T, str | None]:
        """What the history says, or `otherwise`; and why it can't be asked, if it can't."""
        try:
            history = self.history
            return (ask(history) if history else otherwise), None
        except HistoryError as error:
            return otherwise, str(error)
        except LOST as error:
            self._problem = time.monotonic(), error
            return otherwise, "the history's database can't answer now"

    def _readable(self) -> HistoryReader | None:
        if self._history is None:
            found = HistoryReader(self.settings.history_url)
            found.check()  # each time until it can be read
            self._history = found
        asked, is_ours = self._is_ours
        if time.monotonic() - asked > EPOCH_SECONDS:
            is_ours = self._history.epoch() == self._epoch()
            self._is_ours = time.monotonic(), is_ours
        return self._history if is_ours else None

    def _epoch(self) -> str | None:
        found: str | None = self.engine.store.redis.get(self.engine.store.key("epoch"))
        return found

    def close(self) -> None:
        """Close all connections."""
        self.engine.store.disconnect()
        if self._history:
            self._history.close()

    def listing(self, limit: int, wanted: RunFilter) -> tuple[Listing, str | None]:
        """The newest runs of Redis and of the history together, by (submitted_at, run_id).

        And why those of the history are missing, if they are.
        """
        live = self.engine.runs.listing(limit, wanted)
        if len(live.runs) >= limit or live.looked_back_to is not None:
            # Older ones of the history belong to a later page.
            oldest = live.looked_back_to or live.runs[-1].submitted_at
            wanted = replace(wanted, since=max(filter(None, (wanted.since, oldest)), default=None))
        ids = [run.run_id for run in live.runs]
        existing = self.engine.runs.existing
        past, missing = self.past(
            lambda history: history.listing(limit, wanted, existing, ids), Listing([])
        )
        both = sorted([*live.runs, *past.runs], key=place_of, reverse=True)[:limit]
        ends = [at for at in (live.looked_back_to, past.looked_back_to) if at is not None]
        return Listing(both, max(ends) if ends and len(both) < limit else None), missing

    def snapshot(self, run_id: str) -> RunSnapshot:
        """The run with all that its tasks made, as Redis has it, or else the history."""
        return self.either(
            lambda: self.engine.reading.snapshot(run_id), lambda past: past.snapshot(run_id)
        )

    def task(self, run_id: str, task: str) -> TaskSnapshot | None:
        """One task with what it made; None if the run has no such task."""
        try:
            return self.engine.watching.task(run_id, task)
        except UnknownRun:
            return self.snapshot(run_id).tasks.get(task)

    def either(self, live: Callable[[], T], past: Callable[[HistoryReader], T | None]) -> T:
        """What Redis has of a run, or else the history."""
        try:
            return live()
        except UnknownRun:
            if (history := self.history) is None or (found := past(history)) is None:
                raise
            return found

    def rows(self, run_id: str) -> Mapping[str, TaskRow]:
        """The run's tasks without what they made."""
        return self.either(
            lambda: self.engine.watching.rows(run_id).rows,
            lambda past: rows_of(found) if (found := past.snapshot(run_id)) else None,
        )

    def head(self, run_id: str) -> Mapping[str, str]:
        """The run's hash, as far as it is kept."""
        return self.either(
            lambda: self.engine.reading.run_head(run_id),
            lambda past: json.loads(row.head) if (row := past.head(run_id)) else None,
        )

    def dag_hash(self, run_id: str) -> str:
        """By which a run's DAG is known; it changes if the run is resumed with another one."""
        return self.either(
            lambda: self.engine.reading.run_head(run_id)["dag_hash"],
            lambda past: str(row.dag_hash) if (row := past.head(run_id)) else None,
        )

    def dag_of(self, run_id: str) -> Dag:
        """A run's DAG, which is parsed once for all runs that have it."""
        hash_ = self.dag_hash(run_id)
        if kept := self.dags.get(hash_):
            return kept
        text = self.dag_text(run_id)
        return self.dags.put(hash_, len(text), Dag.stored(text, source=run_id))

    def dag_text(self, run_id: str) -> str:
        """A run's DAG as JSON."""
        return self.either(
            lambda: self.engine.reading.submitted_dag(run_id),
            lambda past: past.submitted_dag(run_id),
        )


def _files(home: Path, folder: Path) -> Files:
    root = folder.absolute()
    name = sha256(bytes(root)).hexdigest()[:8]
    return Files(root, home / f"files-{name}.jsonl")


def place_of(run: RunSummary) -> tuple[int, str]:
    """Where a run is in lists."""
    return round((run.submitted_at or 0) * 1e6), run.run_id
