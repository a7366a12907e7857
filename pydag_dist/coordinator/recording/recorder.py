"""Writes the engine's history stream to the database; of all coordinators, one at a time does."""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

import redis

from pydag_dist.coordinator.backfills.restore import restore_backfills
from pydag_dist.coordinator.recording.new_database import copy_backfills, copy_dags, copy_runs
from pydag_dist.coordinator.recording.ownership import RENEWALS, Ownership
from pydag_dist.coordinator.recording.restore import restore, restore_dags
from pydag_dist.engine import Engine, is_transient
from pydag_dist.errors import EngineError, HistoryError
from pydag_dist.history import (
    LOST,
    Batch,
    Entry,
    History,
    batch_of,
    entry_id,
    next_entry_id,
    reason_of,
    refusal,
    runs_in,
)

log = logging.getLogger(__name__)

AWAITED = 200  # runs of other DAGs, for which tasks wait, that are looked for at once
BATCH = 500  # entries of one transaction; each may hold a result of 64 kB
EVERY = 0.5  # seconds between two looks at a stream that was empty
PAUSE = 1.0  # seconds before what failed is tried again


class Recorder:
    """One coordinator's writer.

    The lease is there to spare work, not for safety. Two writers at once do no harm, as long as
    they have the same database: a row is never set back to an older event, and nothing leaves the
    stream before it is committed. That they have the same one `Ownership` makes sure. After `lease`
    seconds without a renewal by the writer another coordinator writes. `written` is called with
    each batch once it is there, and must not wait for anything.
    """

    def __init__(
        self,
        engine: Engine,
        history: History,
        lease: float = 15.0,
        written: Callable[[Batch], None] = lambda _: None,
    ) -> None:
        self._engine = engine
        self._redis: Any = engine.store.redis
        self._history = history
        self._written = written
        self._ownership = Ownership(engine.store, history, lease)
        self._stream = engine.store.key("history")
        self._seconds = lease
        self._lease = self._redis.lock(
            engine.store.key("history:writer"), timeout=lease, blocking=False, thread_local=False
        )
        self._database = ""  # its id and place, once it is open
        self._writes = False
        self._renew_at = 0.0
        self._marks: tuple[str | None, str | None] | None = None  # of the Redis that is known
        self._trouble = ""

    @property
    def writes(self) -> bool:
        """Whether it is this one that writes now."""
        return self._writes

    def open(self) -> None:
        """Open the database if it is there. `HistoryError` if it must not be written from here."""
        try:
            self._open()
        except (redis.RedisError, *LOST) as error:
            self._wait_for(error)

    def _open(self) -> None:
        try:
            database = self._history.open()
        except LOST as error:
            if reason := refusal(error):
                raise HistoryError(
                    f"the history's database {self._history.where} refuses this coordinator: "
                    f"{reason}. Check PYDAG_DATABASE_URL, that the database exists, and that its "
                    "user may use it and create tables there"
                ) from None
            raise
        self._database = f"{database} {self._history.where}"
        self._ownership.register(self._database)

    def run(self, stopping: threading.Event) -> None:
        """Write until stopped; Redis and the database may come and go."""
        pause = 0.0
        while not stopping.wait(pause):
            try:
                pause = 0.0 if self.step() else EVERY
                self._untroubled()
            except (redis.RedisError, *LOST) as error:
                self._wait_for(error)
                pause = PAUSE
            except HistoryError:
                raise
            except Exception:  # a bug here must not keep runs from being planned
                log.exception("history can't be written")
                pause = PAUSE
        with contextlib.suppress(redis.RedisError, *LOST):
            if self._writes:
                self.step()
                self._lease.release()

    def step(self) -> bool:
        """Write a batch if it's this coordinator's turn; whether there may be more at once."""
        if self._database and self._history.is_gone():
            self._leave_what_is_gone()
        if not self._database:
            self._open()
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.get(self._engine.store.key("epoch"))
            pipe.hget(self._engine.store.key("clock"), "epoch")
            marks = tuple(pipe.execute())
        if marks != self._marks or time.monotonic() >= self._renew_at:
            self._renew(marks[0])
        if marks[0]:
            self._ownership.has_epoch(marks[0])
        if not self._writes or (marks != self._marks and not self._check(marks)):
            return False
        more = self._write()
        self._tell_awaited()
        return more

    def _leave_what_is_gone(self) -> None:
        self._ownership.unregister(self._database)
        self._database, self._marks = "", None
        log.error(
            "%s was deleted or replaced while the history was written to it: the history goes on "
            "in the file that is there, or in a new one. What only the old file had is not in it; "
            "to have that back, stop all coordinators and put the old file there",
            self._history.where,
        )

    def _renew(self, epoch: str | None) -> None:
        self._ownership.register(self._database)
        wrote, self._writes = self._writes, self._take_lease()
        if self._writes and not wrote:
            self._marks = None  # its last writer may not have given back all that Redis had lost
        known = self._marks is not None and self._marks[0] == epoch
        if self._writes and known and epoch:
            self._ownership.beat(epoch)
        self._renew_at = time.monotonic() + self._seconds / RENEWALS

    def _take_lease(self) -> bool:
        with contextlib.suppress(redis.exceptions.LockError):
            self._lease.extend(self._seconds, replace_ttl=True)
            return True
        try:
            return bool(self._lease.acquire())
        except redis.OutOfMemoryError:
            return True  # Redis may be full of what waits to be written

    # Runs that Redis has lost

    def _check(self, marks: tuple[str | None, str | None]) -> bool:
        """Give a Redis that has lost runs back what it lost. False while that has to wait."""
        epoch = marks[0]
        if not self._ownership.is_certain(epoch):
            return False
        if epoch and self._history.epoch() is None:
            copy_runs(self._engine.reading, self._history)
            copy_dags(self._engine.publishing, self._history)
            copy_backfills(self._engine.backfilling, self._history)
        # Should the new server's clock be behind, its events are newer nevertheless.
        with contextlib.suppress(redis.ResponseError):
            floor = next_entry_id(entry_id(self._history.last_event()))
            self._redis.xadd(self._stream, {"kind": "floor"}, id=floor)
        for run_id in self._history.unfinished():
            if self._engine.reading.run_state(run_id) is None:
                self._restore(run_id)
        # After their runs, which they may have to wait for.
        if lost := restore_dags(self._engine.publishing, self._history):
            log.warning("Redis had lost %d published DAGs; they are published again", len(lost))
        if lost := restore_backfills(self._engine.backfilling, self._history):
            log.warning("Redis had lost %d backfills; they go on from the history", len(lost))
        if epoch is None:
            key = self._engine.store.key("epoch")
            self._redis.set(key, secrets.token_hex(8), nx=True)
            epoch = self._redis.get(key)
            if epoch is None:  # Redis was lost again in between
                return False
        self._history.set_epoch(epoch)
        self._ownership.has_epoch(epoch)
        if self._marks is None and not self._trouble:
            log.info("writing the history, to %s", self._history.where)
        self._marks = (epoch, marks[1])
        return True

    def give_back(self, run_id: str) -> None:
        """Give a submitted run what the history knows of it, if anything, before it is planned.

        A client that waits for a run that Redis has lost submits it again, as if it were new.
        """
        key = self._engine.store.run_key(run_id)
        if self._is_away or any(self._redis.hmget(key, ("planner", "restored"))):
            return  # else it was planned before, and maybe resumed
        with contextlib.suppress(*LOST):  # the writer's thread reports it
            if self._history.knows(run_id):
                self._restore(run_id)

    def durations(self, dag_id: str) -> dict[str, float]:
        """The seconds that the DAG's tasks took in earlier runs; empty if the database is away."""
        if not self._is_away:
            with contextlib.suppress(*LOST):
                return self._history.durations(dag_id)
        return {}

    def _restore(self, run_id: str) -> None:
        try:
            if restore(self._engine.planning, self._history, run_id):
                log.warning("%s: Redis had lost it; it goes on from its history", run_id)
        except EngineError as error:  # an older version may have let it in
            log.error("%s: Redis had lost it, and can't take it back: %s", run_id, error)  # noqa: TRY400

    # Batches

    def _write(self) -> bool:
        entries: list[Entry] = self._redis.xrange(self._stream, count=BATCH)
        if not entries:
            return False
        heads, dags = self._heads(runs_in(entries))
        batch = batch_of(entries, heads, dags)
        self._history.write(batch)
        if self._history.is_gone():  # with what was written just now: it stays in the stream
            return True
        for row in batch.runs:
            if row["reason"] == "broken":
                log.error("%s: set aside, all others go on: %s", row["run_id"], row["error"])
        for run_id in batch.ended:
            self._engine.planning.let_expire(run_id)
        # Only now: whoever comes after a writer that died in between writes the same again.
        self._redis.xtrim(self._stream, minid=next_entry_id(entries[-1][0]), approximate=False)
        self._written(batch)
        return len(entries) == BATCH

    def _tell_awaited(self) -> None:
        """Tell tasks that wait for a run of another DAG what the history knows of it."""
        publishing, run_for = self._engine.publishing, self._history.run_for
        if asked := publishing.asked_for(AWAITED):
            publishing.tell_awaited((*each, *(run_for(*each) or ("", ""))) for each in asked)

    def _heads(self, run_ids: list[str]) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
        """The hashes and DAGs of those runs that Redis has."""
        with self._redis.pipeline(transaction=False) as pipe:
            for run_id in run_ids:
                pipe.hgetall(self._engine.store.run_key(run_id))
                pipe.get(self._engine.store.run_key(run_id, "dag"))
            # A damaged run must not keep the others from being written.
            replies = pipe.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, redis.RedisError) and is_transient(reply):
                raise reply
        found = {
            run_id: (head, dag)
            for run_id, head, dag in zip(run_ids, replies[::2], replies[1::2], strict=True)
            if isinstance(head, dict) and head and isinstance(dag, str) and dag
        }
        heads = {run_id: head for run_id, (head, _) in found.items()}
        return heads, {run_id: dag for run_id, (_, dag) in found.items()}

    # Trouble

    @property
    def _is_away(self) -> bool:
        """Whether the database is: nobody who plans should wait for it.

        If Redis was away, this thread may not know yet that it is back when the planner does.
        """
        return self._trouble == self._history.where

    def _wait_for(self, error: Exception) -> None:
        away = self._history.where
        if isinstance(error, redis.RedisError):
            away = "Redis"
            self._engine.store.disconnect()
        if away != self._trouble:
            log.warning("history waits for %s: %s", away, reason_of(error))
        self._trouble = away
        self._renew_at = 0.0
        if self._writes and isinstance(error, LOST):
            self._writes = False
            with contextlib.suppress(redis.RedisError):
                self._lease.release()  # another coordinator may reach the database

    def _untroubled(self) -> None:
        if self._trouble:
            log.info("history goes on")
        self._trouble = ""
