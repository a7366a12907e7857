"""The coordinator's loops: one plans submitted runs, one ticks, one writes history."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import socket
import threading
import time
from importlib.metadata import version
from typing import Any

import redis
from celery import Celery

from pydag_dist.coordinator.planner import plan
from pydag_dist.coordinator.recorder import Recorder
from pydag_dist.coordinator.webhooks import Webhooks
from pydag_dist.dag import Dag
from pydag_dist.engine import Engine, check_redis, connect, is_passing
from pydag_dist.engine.messages import celery_config, templates
from pydag_dist.errors import HistoryError, PydagError, SchemaMismatch, UnknownRun
from pydag_dist.history import History
from pydag_dist.settings import Settings

log = logging.getLogger(__name__)

GROUP = "coordinators"
READ_MS = 500  # a blocking read is this short, so that a stop is prompt
TICK_EVERY = 0.5  # seconds
REGISTER_EVERY = 3.0  # seconds; who is not heard of for 15 is gone
ABANDONED_MS = 10_000  # after which another coordinator takes a submission over
PAUSE = 1.0  # seconds before Redis is asked again


class Coordinator:
    """Plans runs as they are submitted, together with all other coordinators of this Redis."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        self._process = secrets.token_hex(8)
        self._started_at = time.time()
        self._engine = self._connect("coordinator")
        self._redis: Any = self._engine.redis
        self._stream = self._engine.key("submissions")
        self._stopping = threading.Event()
        self._recorder = Recorder(self._connect("coordinator"), History(settings.history_url))
        self._refused: HistoryError | None = None
        self._celery = Celery("coordinator", set_as_current=False)
        self._celery.config_from_object(celery_config(settings))

    def _connect(self, source: Any) -> Engine:
        client = connect(self._settings.redis_url, blocks=READ_MS / 1000)
        return Engine(client, self._settings.key_prefix, source=source)

    def stop(self) -> None:
        """Let `run` return after what it is doing."""
        self._stopping.set()

    def run(self) -> None:
        """Plan, tick and write history until stopped.

        Redis may come and go; it must be there at first. The database may be away at any time.
        `HistoryError` if this coordinator must not write into it.
        """
        check_redis(self._redis)
        self._recorder.open()
        threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for name, target in (("pydag-tick", self._tick), ("pydag-history", self._record))
        ]
        for thread in threads:
            thread.start()
        webhooks = Webhooks(self._connect("coordinator"), self._settings.webhooks, self._stopping)
        threading.Thread(target=webhooks.run, name="pydag-webhooks", daemon=True).start()
        log.info("coordinator %s is ready", self._name)
        while not self._stopping.is_set():
            try:
                self._plan_next()
            except redis.RedisError as error:
                if str(error).startswith("NOGROUP"):
                    self._create_group()
                elif is_passing(error):
                    log.warning("Redis can't do it now: %s", error)
                    self._stopping.wait(PAUSE)
                else:
                    raise
        for thread in threads:
            thread.join()
        if self._refused:
            raise self._refused

    def _tick(self) -> None:
        engine = self._connect("tick")
        told_at = 0.0
        while not self._stopping.wait(TICK_EVERY):
            try:
                engine.tick()
                if time.monotonic() - told_at > REGISTER_EVERY:
                    told_at = time.monotonic()
                    self._register(engine)
            except redis.RedisError as error:
                log.warning("no tick: %s", error)
        with contextlib.suppress(redis.RedisError):
            engine.unregister("coordinators", self._name, self._process)

    def _register(self, engine: Engine) -> None:
        info = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": version("pydag-dist"),
            "started_at": self._started_at,
            "writes_history": self._recorder.writes,
        }
        engine.register("coordinators", self._name, self._process, json.dumps(info))

    def _record(self) -> None:
        try:
            self._recorder.run(self._stopping)
        except HistoryError as error:
            self._refused = error
            self.stop()

    def _create_group(self) -> None:
        try:
            self._redis.xgroup_create(self._stream, GROUP, id="0", mkstream=True)
        except redis.RedisError as error:
            # Another coordinator was quicker; or Redis is gone again, which the loop finds out.
            if not (str(error).startswith("BUSYGROUP") or is_passing(error)):
                raise

    def _plan_next(self) -> None:
        abandoned = self._redis.xautoclaim(
            self._stream, GROUP, self._name, min_idle_time=ABANDONED_MS, count=1
        )[1]
        entries = abandoned or self._read()
        for entry_id, fields in entries:
            self._plan(entry_id, fields["run"])
            if self._engine.run_state(fields["run"]) == "queued":
                continue  # another coordinator plans it now, and may die before it is done
            with self._redis.pipeline(transaction=True) as pipe:
                pipe.xack(self._stream, GROUP, entry_id)
                pipe.xdel(self._stream, entry_id)
                pipe.execute()

    def _read(self) -> list[tuple[str, dict[str, str]]]:
        reply = self._redis.xreadgroup(
            GROUP, self._name, {self._stream: ">"}, count=1, block=READ_MS
        )
        return [entry for _, entries in _streams(reply) for entry in entries]

    def _plan(self, entry_id: str, run_id: str) -> None:
        try:
            dag = Dag.parse(self._engine.submitted_dag(run_id), source=run_id)
            queues = {task.queue for task in dag.tasks.values()}
            self._engine.set_templates(templates(self._celery, queues))
            self._recorder.give_back(run_id)
            # Between chunks, so that no other coordinator takes a long planning for abandoned.
            keep = lambda: self._redis.xclaim(  # noqa: E731
                self._stream, GROUP, self._name, 0, [entry_id], justid=True
            )
            if plan(self._engine, run_id, dag, keep, self._recorder.durations(dag.dag_id)):
                log.info("%s: planned, %d tasks", run_id, len(dag.tasks))
        except UnknownRun:
            log.warning("%s: gone before it could be planned", run_id)
        except SchemaMismatch as error:
            log.error("%s: left alone: %s", run_id, error)  # noqa: TRY400
        except PydagError as error:
            self._engine.plan_refuse(run_id, str(error))
            log.error("%s: refused: %s", run_id, error)  # noqa: TRY400


def _streams(reply: Any) -> list[Any]:
    """XREADGROUP's reply as (stream, entries), in RESP 2 and 3."""
    if isinstance(reply, dict):
        return [(stream, entries[0]) for stream, entries in reply.items()]
    return list(reply or [])
