"""The coordinator's process: its loops, and when they end."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import redis

from pydag_dist.coordinator.alerts.webhooks import Webhooks
from pydag_dist.coordinator.backfills.loop import Backfills
from pydag_dist.coordinator.keeping.logs import LogKeeper
from pydag_dist.coordinator.keeping.pruning import Pruning
from pydag_dist.coordinator.publisher import FolderPublisher
from pydag_dist.coordinator.recording.ownership import RENEWALS
from pydag_dist.coordinator.recording.recorder import Recorder
from pydag_dist.coordinator.repeating import repeat
from pydag_dist.coordinator.scheduler import Scheduler
from pydag_dist.coordinator.submissions import PAUSE, READ_MS, Submissions
from pydag_dist.coordinator.watching.watchers import Watchers
from pydag_dist.dag.limits import RETENTION
from pydag_dist.doctor import look_at_host, look_at_server
from pydag_dist.engine import Engine, address, check_redis, connect, is_transient
from pydag_dist.errors import HistoryError, LeaseMismatch
from pydag_dist.history import History
from pydag_dist.log_store import open_log_store
from pydag_dist.settings import Settings

log = logging.getLogger(__name__)

TICK_EVERY = 0.5  # seconds
LEAVING = 15.0  # seconds in which those who watch may send what they have
KEPT_LOGS = 3600  # seconds that Redis keeps a log which the log store has


class Coordinator:
    """Plans runs as they are submitted, together with all other coordinators of this Redis."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        self._process = secrets.token_hex(8)
        self._started_at = time.time()
        self._engine = self._connect("coordinator")
        self._redis: Any = self._engine.store.redis
        self._stopping = threading.Event()
        self._history = History(settings.history_url)
        self._log_store = open_log_store(settings)
        watched = settings, self._connect("coordinator"), self._history, self._stopping
        self._watchers = Watchers(*watched)
        self._recorder = Recorder(
            self._connect("coordinator"), self._history, settings.lease, self._watchers.written
        )
        self._submissions = Submissions(
            self._engine, self._name, settings, self._recorder, self._stopping
        )
        self._refused: HistoryError | LeaseMismatch | None = None

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
            self._start("big", self._submissions.run_big),
        ]
        threads += self._keep()
        watching = [self._start(name, loop) for name, loop in self._watchers.loops.items()]
        if folder := self._settings.dags:
            engine = self._connect("coordinator")
            publisher = FolderPublisher(engine, folder, self._settings.retention, self._stopping)
            threads.append(self._start("folder", publisher.run))
        log.info("coordinator %s is ready", self._name)
        self._submissions.run()
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
            self._submissions.hold(engine)
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
