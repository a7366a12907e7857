"""The coordinator's loops: one plans submitted runs, one ticks, one writes history."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import secrets
import socket
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import redis
from celery import Celery

from pydag_dist.coordinator.alerts.webhooks import Webhooks
from pydag_dist.coordinator.backfills.loop import Backfills
from pydag_dist.coordinator.keeping.logs import LogKeeper
from pydag_dist.coordinator.keeping.pruning import Pruning
from pydag_dist.coordinator.ownership import RENEWALS
from pydag_dist.coordinator.planner import plan, without_gc
from pydag_dist.coordinator.publisher import FolderPublisher
from pydag_dist.coordinator.recorder import Recorder
from pydag_dist.coordinator.repeating import repeat
from pydag_dist.coordinator.scheduler import Scheduler
from pydag_dist.coordinator.watching.opened import Watchers
from pydag_dist.dag import Dag
from pydag_dist.dag.limits import RETENTION
from pydag_dist.doctor import look_at_host, look_at_server
from pydag_dist.engine import Engine, address, check_redis, connect, is_refusal, is_transient
from pydag_dist.engine.celery.messages import celery_config, template
from pydag_dist.engine.protocol import PLANNERS
from pydag_dist.errors import HistoryError, LeaseMismatch, PydagError, SchemaMismatch, UnknownRun
from pydag_dist.history import History
from pydag_dist.log_store import open_log_store
from pydag_dist.settings import Settings

log = logging.getLogger(__name__)

READ_MS = 500  # a blocking read is this short, so that a stop is prompt
TICK_EVERY = 0.5  # seconds
PAUSE = 1.0  # seconds before Redis is tried again
LEAVING = 15.0  # seconds in which those who watch may send what they have
KEPT_LOGS = 3600  # seconds that Redis keeps a log which the log store has
BIG = 300_000  # bytes of a DAG that takes so long to plan that others should not wait for it


class Coordinator:
    """Plans runs as they are submitted, together with all other coordinators of this Redis."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        self._process = secrets.token_hex(8)
        self._started_at = time.time()
        self._engine = self._connect("coordinator")
        self._redis: Any = self._engine.store.redis
        self._stream = self._engine.store.key("submissions")
        self._stopping = threading.Event()
        self._planning: set[str] = set()  # the stream's entries that it has in hand
        self._big: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()  # of these: entry, run
        # Without a word for so long, another coordinator takes its submission over.
        self._abandoned_ms = round(settings.lease * 2 / 3 * 1000)
        self._seen: str | None = "0"  # up to where it has read its own entries again
        self._history = History(settings.history_url)
        self._log_store = open_log_store(settings)
        watched = settings, self._connect("coordinator"), self._history, self._stopping
        self._watchers = Watchers(*watched)
        self._recorder = Recorder(
            self._connect("coordinator"), self._history, settings.lease, self._watchers.written
        )
        self._refused: HistoryError | LeaseMismatch | None = None
        app = Celery("coordinator", set_as_current=False)
        app.config_from_object(celery_config(settings))
        self._template = template(app)

    def _connect(self, source: Any) -> Engine:
        client = connect(self._settings.redis_url, blocks=READ_MS / 1000)
        return Engine(client, self._settings.key_prefix, source=source)

    def stop(self) -> None:
        """Let `run` return after what it is doing."""
        self._stopping.set()

    def run(self) -> None:
        """Plan, tick and write history until stopped.

        Redis and the database may come and go, also at first. `RedisRefused`; `HistoryError` if
        this coordinator must not write into that database, `LeaseMismatch` if the installation has
        another lease.
        """
        self._recorder.open()
        if not self._wait_for_redis():
            return
        self._warn()
        webhooks = Webhooks(self._connect("coordinator"), self._settings, self._stopping)
        scheduler = Scheduler(self._connect("coordinator"), self._stopping)
        backfills = Backfills(self._connect("coordinator"), self._history, self._stopping)
        threads = [
            self._start("tick", self._tick),
            self._start("history", self._record),
            self._start("webhooks", webhooks.run),
            self._start("schedules", scheduler.run),
            self._start("backfills", backfills.run),
            self._start("big", self._plan_big),
        ]
        threads += self._keep()
        watching = [self._start(name, loop) for name, loop in self._watchers.loops.items()]
        if folder := self._settings.dags:
            engine = self._connect("coordinator")
            publisher = FolderPublisher(engine, folder, self._settings.retention, self._stopping)
            threads.append(self._start("folder", publisher.run))
        log.info("coordinator %s is ready", self._name)
        while not self._stopping.is_set():
            try:
                self._plan_next()
            except redis.RedisError as error:
                self._seen = "0"  # it may have read an entry and not heard of it
                self._engine.store.disconnect()
                if str(error).startswith("NOGROUP"):
                    self._create_group()
                elif is_transient(error) or is_refusal(error):
                    log.warning("Redis can't do it now: %s", error)
                    self._stopping.wait(PAUSE)
                else:
                    raise
        for thread in threads:
            thread.join()
        for thread in watching:
            thread.join(LEAVING)  # it may wait for a name's address, which nothing can stop
        if self._refused:
            raise self._refused

    def _warn(self) -> None:
        """Log what is wrong with Redis and with this host, as far as that is quickly seen."""
        for finding in [*look_at_server(self._redis), *look_at_host(self._settings)]:
            if finding.level != "ok":
                log.warning("%s", finding)

    def _keep(self) -> list[threading.Thread]:
        """The loops that keep logs, and forget old runs, in turn with other coordinators."""
        threads, store = [], self._log_store
        turn = (lambda: self._recorder.writes), self._stopping
        if store:
            # Other hosts can't read a directory that nobody has named.
            seconds = KEPT_LOGS if self._settings.log_store else RETENTION[1]
            keeper = LogKeeper(self._connect("coordinator"), store, seconds, *turn)
            threads.append(self._start("logs", keeper.run))
        if days := self._settings.history_days:
            pruning = Pruning(self._history, days, store, *turn)
            threads.append(self._start("pruning", pruning.run))
        return threads

    def _wait_for_redis(self) -> bool:
        """Wait for Redis; False if this coordinator was stopped before it came."""
        last_warning = ""
        while not self._stopping.is_set():
            try:
                check_redis(self._redis)
            except redis.RedisError as error:
                if not is_transient(error):
                    raise
                if str(error) != last_warning:
                    log.warning("waiting for Redis at %s: %s", address(self._redis), error)
                last_warning = str(error)
                self._stopping.wait(PAUSE)
            else:
                return True
        return False

    def _start(self, name: str, loop: Callable[[], None]) -> threading.Thread:
        """A thread that runs a loop until stopped; after an error the loop begins again."""

        def keep() -> None:
            while not self._stopping.is_set():
                try:
                    loop()
                except Exception:
                    log.exception("the loop of %s met an error, and is started again", name)
                    self._stopping.wait(PAUSE)

        thread = threading.Thread(target=keep, name=f"pydag-{name}", daemon=True)
        thread.start()
        return thread

    def _tick(self) -> None:
        engine = self._connect("tick")
        registered_at = 0.0

        def step() -> float:
            nonlocal registered_at
            if entries := list(self._planning):
                # So that no other coordinator takes a long planning for abandoned.
                engine.store.redis.xclaim(
                    self._stream, PLANNERS, self._name, 0, entries, justid=True
                )
            engine.tick()
            if time.monotonic() - registered_at > self._settings.lease / RENEWALS:
                registered_at = time.monotonic()
                try:
                    self._register(engine)
                except LeaseMismatch as error:
                    self._refused = error
                    self.stop()
            return TICK_EVERY

        repeat(step, engine.store, self._stopping, "no tick", TICK_EVERY)
        with contextlib.suppress(redis.RedisError):
            engine.membership.unregister("coordinators", self._name, self._process)

    def _register(self, engine: Engine) -> None:
        info = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": version("pydag-dist"),
            "started_at": self._started_at,
            "clock": time.time(),
            "writes_history": self._recorder.writes,
        }
        engine.membership.register(
            "coordinators",
            self._name,
            self._process,
            json.dumps(info),
            lease=self._settings.lease,
        )

    def _record(self) -> None:
        try:
            self._recorder.run(self._stopping)
        except HistoryError as error:
            self._refused = error
            self.stop()

    def _create_group(self) -> None:
        try:
            self._redis.xgroup_create(self._stream, PLANNERS, id="0", mkstream=True)
        except redis.RedisError as error:
            # Another coordinator was quicker; or Redis is gone again, which the loop finds out.
            if not (str(error).startswith("BUSYGROUP") or is_transient(error) or is_refusal(error)):
                raise

    def _plan_next(self) -> None:
        abandoned = self._redis.xautoclaim(
            self._stream, PLANNERS, self._name, min_idle_time=self._abandoned_ms, count=1
        )[1]
        for entry_id, fields in abandoned or self._read():
            if entry_id in self._planning:
                continue  # read again after an error, while its plan goes on
            self._planning.add(entry_id)
            run_id = fields.get("run", "")
            if self._is_big(run_id):
                self._big.put((entry_id, run_id))
            else:
                self._plan_entry(entry_id, run_id)

    def _plan_big(self) -> None:
        """Plan big DAGs, one after the other, so that small ones don't wait for them."""
        while not self._stopping.is_set():
            with contextlib.suppress(queue.Empty):
                entry_id, run_id = self._big.get(timeout=PAUSE)
                try:
                    with without_gc():
                        self._plan_entry(entry_id, run_id)
                except redis.RedisError as error:  # it is taken up again like an abandoned one
                    log.warning("%s: its plan waits for Redis: %s", run_id, error)

    def _is_big(self, run_id: str) -> bool:
        try:
            return self._engine.reading.dag_size(run_id) > BIG
        except (UnknownRun, redis.ResponseError):
            return False  # what is wrong is told where the run is planned

    def _plan_entry(self, entry_id: str, run_id: str) -> None:
        try:
            waits = self._plan(run_id)
            if waits:
                return  # another coordinator plans it now, and may die before it is done
            with self._redis.pipeline(transaction=True) as pipe:
                pipe.xack(self._stream, PLANNERS, entry_id)
                pipe.xdel(self._stream, entry_id)
                pipe.execute()
        finally:
            self._planning.discard(entry_id)  # if it is still in the stream, it is taken up again

    def _read(self) -> list[tuple[str, dict[str, str]]]:
        if self._seen is not None:
            # An entry that was read when Redis went away, or before a restart under the same name,
            # still belongs to this coordinator. Others take it over only when it is abandoned.
            mine = self._entries(self._seen)
            self._seen = mine[-1][0] if mine else None
            if mine:  # without fields if it is not in the stream any more
                return [(entry_id, fields) for entry_id, fields in mine if fields]
        return self._entries(">", block=READ_MS)

    def _entries(self, after: str, block: int | None = None) -> list[tuple[str, dict[str, str]]]:
        reply = self._redis.xreadgroup(
            PLANNERS, self._name, {self._stream: after}, count=1, block=block
        )
        return [entry for _, entries in _streams(reply) for entry in entries]

    def _plan(self, run_id: str) -> bool:
        """Plan a run, or end it as failed; whether it waits for a planner all the same."""
        try:
            self._plan_or_refuse(run_id)
            return self._engine.reading.run_state(run_id) == "queued"
        except UnknownRun:
            log.warning("%s: gone before it could be planned", run_id)
        except redis.ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            log.error("%s: left alone, since its keys are damaged: %s", run_id, error)  # noqa: TRY400
        return False

    def _plan_or_refuse(self, run_id: str) -> None:
        try:
            text = self._engine.reading.submitted_dag(run_id)
            dag = Dag.stored(text, run_id, log.warning)
            self._engine.planning.set_template(self._template)
            self._recorder.give_back(run_id)
            if plan(self._engine, run_id, dag, self._recorder.durations(dag.dag_id)):
                log.info("%s: planned, %d tasks", run_id, len(dag.tasks))
        except UnknownRun:
            raise
        except SchemaMismatch as error:
            log.error("%s: left alone: %s", run_id, error)  # noqa: TRY400
        except PydagError as error:
            self._engine.planning.plan_refuse(run_id, str(error))
            log.error("%s: refused: %s", run_id, error)  # noqa: TRY400
        except redis.RedisError:
            raise
        except Exception as error:  # of one run: all others go on
            why = f"it could not be planned: {type(error).__name__}: {error}"
            self._engine.planning.plan_refuse(run_id, why)
            log.exception("%s: refused", run_id)


def _streams(reply: Any) -> list[Any]:
    """XREADGROUP's reply as (stream, entries), in RESP 2 and 3."""
    if isinstance(reply, dict):
        return [(stream, entries[0]) for stream, entries in reply.items()]
    return list(reply or [])
