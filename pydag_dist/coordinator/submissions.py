"""Plans submitted runs, together with all other coordinators of this Redis."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from typing import Any, Final

import redis
from celery import Celery

from pydag_dist.coordinator.planner import plan, without_gc
from pydag_dist.coordinator.recording.recorder import Recorder
from pydag_dist.dag import Dag
from pydag_dist.engine import Engine, is_refusal, is_transient
from pydag_dist.engine.celery.messages import celery_config, template
from pydag_dist.engine.connection import Outage, trouble_of
from pydag_dist.engine.protocol import PLANNERS
from pydag_dist.errors import PydagError, SchemaMismatch, UnknownRun
from pydag_dist.settings import Settings

log = logging.getLogger(__name__)
READ_MS: Final = 500  # a blocking read is this short, so that a stop is prompt
PAUSE: Final = 1.0  # seconds before Redis is tried again
BIG: Final = 300_000  # bytes of a DAG that takes so long to plan that others should not wait for it


class Submissions:
    """Takes submissions from their stream, each as one of the group of all coordinators.

    An entry leaves the stream once its run is planned. The recorder gives a run back before that
    if Redis has lost it, and knows what its tasks took in earlier runs.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        settings: Settings,
        recorder: Recorder,
        stopping: threading.Event,
    ) -> None:
        self._engine, self._name = engine, name
        self._recorder, self._stopping = recorder, stopping
        self._redis: Any = engine.store.redis
        self._stream = engine.store.key("submissions")
        self._in_hand: set[str] = set()  # entries
        self._big: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()  # of these: entry, run
        # Without a word for so long, another coordinator takes its submission over.
        self._abandoned_ms = round(settings.lease * 2 / 3 * 1000)
        self._seen: str | None = "0"  # up to where it has read its own entries again
        app = Celery("coordinator", set_as_current=False)
        app.config_from_object(celery_config(settings))
        self._template = template(app)

    def run(self) -> None:
        """Plan until stopped; Redis may come and go."""
        outage = Outage()
        while not self._stopping.is_set():
            try:
                self.step()
            except redis.RedisError as error:
                self._seen = "0"  # it may have read an entry and not heard of it
                self._engine.store.disconnect()
                if str(error).startswith("NOGROUP"):
                    self._create_group()
                elif is_transient(error) or is_refusal(error):
                    if outage.begins_with(why := trouble_of(error)):
                        log.warning("Redis can't do it now: %s", why)
                    self._stopping.wait(PAUSE)
                else:
                    raise

    def hold(self, engine: Engine) -> None:
        """Tell the others by that connection that what it has in hand is not abandoned."""
        if entries := list(self._in_hand):
            engine.store.redis.xclaim(self._stream, PLANNERS, self._name, 0, entries, justid=True)

    def run_big(self) -> None:
        """Plan big DAGs, one after the other, so that small ones don't wait for them."""
        while not self._stopping.is_set():
            with contextlib.suppress(queue.Empty):
                entry_id, run_id = self._big.get(timeout=PAUSE)
                try:
                    with without_gc():
                        self._plan_entry(entry_id, run_id)
                except redis.RedisError as error:  # it is taken up again like an abandoned one
                    log.warning("%s: its plan waits for Redis: %s", run_id, error)

    def step(self) -> None:
        """Plan the next submission, or wait a moment for one; a big DAG is put aside."""
        abandoned = self._redis.xautoclaim(
            self._stream, PLANNERS, self._name, min_idle_time=self._abandoned_ms, count=1
        )[1]
        for entry_id, fields in abandoned or self._read():
            if entry_id in self._in_hand:
                continue  # read again after an error, while its plan goes on
            self._in_hand.add(entry_id)
            run_id = fields.get("run", "")
            if self._is_big(run_id):
                self._big.put((entry_id, run_id))
            else:
                self._plan_entry(entry_id, run_id)

    def _create_group(self) -> None:
        try:
            self._redis.xgroup_create(self._stream, PLANNERS, id="0", mkstream=True)
        except redis.RedisError as error:
            # Another coordinator was quicker; or Redis is gone again, which the loop finds out.
            if not (str(error).startswith("BUSYGROUP") or is_transient(error) or is_refusal(error)):
                raise

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
            self._in_hand.discard(entry_id)  # if it is still in the stream, it is taken up again

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
