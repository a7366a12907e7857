"""A worker's place in the engine: its slots, the leases of its tasks, and its leaving."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
import threading
import time
from collections import deque
from functools import partial
from typing import Any

import redis
from celery import bootsteps
from celery.signals import worker_shutdown, worker_shutting_down
from celery.worker import state as worker_state

from pydag_dist.engine import Engine, Held, check_redis, connect, is_passing, is_refusal
from pydag_dist.errors import PydagError
from workers.membership import Member, choose_queues, own_queue
from workers.pool import capture, keeper
from workers.pool.deaths import DEATHS, Call, WatchedPool
from workers.pool.orphans import adopt_orphans
from workers.pool.stopping import GRACE, STOP, grace
from workers.process import (
    FAREWELL,
    PAUSE,
    engine,
    leave,
    settings,
    until_redis_can,
    worker_settings,
)
from workers.task import Execute, Release, held_by
from workers.tries.deferral import POLLS

log = logging.getLogger(__name__)

RENEW_EVERY = 3.0  # seconds; a lease lasts 15
BEAT_EVERY = 1.0  # seconds
EVENTS_EVERY = 0.2  # seconds
EVENTS_A_BATCH = 500
HUB_STUCK = 20.0  # seconds without a beat after which the parent must not pretend to be well


class Renewal(threading.Thread):
    """Renews a worker's slots and leases, and hands over what its parent has to tell the engine.

    A thread with its own connection, so that neither a busy loop nor a slow Redis stops it.
    """

    def __init__(self, worker: str, slots: int, queues: list[str], member: Member) -> None:
        super().__init__(name="pydag-renewal", daemon=True)
        self._worker = worker
        self._slots = slots
        self._queues = queues
        self._member = member
        self._held: list[Held] = []
        self._to_stop: dict[Held, float] = {}  # since when
        self._beat = time.monotonic()
        self._leaving = False
        self._due = 0.0
        self._stopped = False
        self._reached = True  # by the last call
        self._calls: deque[tuple[Held | None, Call]] = deque()  # what has to be told of the dead
        self._told: dict[Held, float] = {}  # tries whose end is told, and when
        client = connect(settings().redis_url)
        self._engine = Engine(client, settings().key_prefix, source="tick")

    def beat(self) -> None:
        """From the hub, which alone may read Celery's requests: what this worker holds.

        The hub also stops children: until it has read a child's result, that child gets no other
        task, so the process is still the one that holds the try.
        """
        beat = time.monotonic()
        requests = {
            held: request
            for request in worker_state.reserved_requests
            if request.task.name == Execute.name
            # Where Celery keeps headers. Polls hold nothing that could be renewed.
            and (held := held_by(request._context)).run != POLLS  # noqa: SLF001
        }
        self._held, self._beat = list(requests), beat
        for held, since in self._to_stop.items():
            if (request := requests.get(held)) and (pid := request.worker_pid):
                if time.monotonic() - since > (patience := grace(pid)):
                    self._kill(pid, patience)
                else:
                    os.kill(pid, STOP)
        for request in requests.values():
            if (since := request.told_to_end) and time.monotonic() - since > GRACE:
                self._kill(request.worker_pid, GRACE)
        keeper.restart_if_gone()
        capture.relieve()

    def _kill(self, pid: int, patience: float) -> None:
        DEATHS.kill(pid, f"was killed: told to stop, it did not end within {patience:g} s")

    def leave(self, *_: Any, **__: Any) -> None:
        """No new tasks from now on; leases are renewed until the last one has ended."""
        leave()
        self._leaving = True
        self._due = 0.0  # give the slots back at once
        DEATHS.calls.put(None)

    def stop(self, *_: Any, **__: Any) -> None:
        """End the thread, after a last call that gives the slots back."""
        self._leaving = True
        self._stopped = True
        DEATHS.calls.put(None)
        self.join(FAREWELL)

    def run(self) -> None:
        """Renew until stopped."""
        while not self._stopped:
            until_due = max(0.0, self._due - time.monotonic())
            self._tell(min(PAUSE, until_due) if self._calls else until_due)
            if time.monotonic() >= self._due:
                self._due = time.monotonic() + RENEW_EVERY
                self._attempt(self._renew)
        if self._reached:
            self._tell(0)
            self._attempt(self._renew)

    def _renew(self) -> None:
        beat, held = self._beat, self._held  # in this order: what is held may be newer
        looked_ago = time.monotonic() - beat
        if looked_ago > HUB_STUCK and not self._leaving:
            log.error("the worker's loop has been stuck for %s s: leases lapse", HUB_STUCK)
            return
        # The loop did not know of these ends when it last looked: named, they would be taken back.
        self._told = {one: at for one, at in self._told.items() if at >= beat}
        # But those that wait for what their tries left running are held.
        held = [one for one in {*held, *DEATHS.reported} if one not in self._told]
        slots = 0 if self._leaving else self._slots
        answers = self._engine.renew(self._worker, slots, self._queues, held, looked_ago=looked_ago)
        to_stop = {}
        for h, answer in zip(held, answers, strict=True):
            if answer == "lost":
                log.warning("%s/%s: its lease was lost to another worker", h.run, h.task)
            elif answer == "cancel":
                to_stop[h] = self._to_stop.get(h, time.monotonic())
        self._to_stop = to_stop
        if self._stopped:
            self._member.leave(self._engine)
        else:
            self._member.renew(self._engine, len(held))
        self._engine.tick()

    def _tell(self, wait: float) -> None:
        """What the hub has to tell within `wait` seconds, and what could not be told yet."""
        with contextlib.suppress(queue.Empty):
            item = DEATHS.calls.get(timeout=wait)
            while True:
                if item is not None:
                    self._calls.append(item)
                item = DEATHS.calls.get_nowait()
        while self._calls:
            held, call = self._calls[0]
            if not self._attempt(partial(call, self._engine)):
                return
            self._calls.popleft()
            if held is not None:
                self._told[held] = time.monotonic()
                DEATHS.reported.discard(held)

    def _attempt(self, call: Any) -> bool:
        try:
            call()
        except redis.RedisError as error:
            if not (is_passing(error) or is_refusal(error)):
                log.exception("the engine refused a call of this worker")
                return True
            log.warning("Redis can't be reached now: %s", error)
            self._reached = False
            return False
        except Exception:
            log.exception("this worker's call to the engine failed")
        self._reached = True
        return True


class WorkerLease(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Starts the renewal with the worker; refuses what it could not work with."""

    requires = ("celery.worker.components:Pool",)

    def create(self, worker: Any) -> None:
        """Check the pool and Redis before anything starts."""
        pool = worker.pool_cls.__module__
        if not pool.endswith(".prefork"):
            sys.exit(
                f"pydag workers run with Celery's prefork pool only, not {pool}: with another a "
                "busy task stops the worker's loop, and leases could not be kept. Leave out -P."
            )
        worker.pool_cls.Pool = WatchedPool
        keeper.start()
        adopt_orphans()
        try:
            worker_settings()
            until_redis_can(lambda: check_redis(engine().redis))
        except PydagError as error:
            sys.exit(f"Error: {error}")
        queues = worker.app.amqp.queues
        choose_queues(queues, named=len(queues.consume_from) < len(queues))
        worker.pydag_queues = list(queues.consume_from)
        worker.pydag_member = Member(worker.hostname, worker.concurrency, worker.pydag_queues)
        worker.pydag_member.join(engine())
        queues.select_add(own_queue(worker.hostname))

    def start(self, worker: Any) -> None:
        """Register this worker's slots."""
        renewal = Renewal(
            worker.hostname, worker.concurrency, worker.pydag_queues, worker.pydag_member
        )
        Release.parent_pid = os.getpid()
        worker.pydag_renewal = renewal
        renewal.start()
        # Not this step's stop(): it runs before the pool has waited for its last tasks.
        worker_shutting_down.connect(renewal.leave, weak=False)
        worker_shutdown.connect(renewal.stop, weak=False)


class HubBeat(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Beats in the worker's loop, again after every reconnection."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Beat every second from now on."""
        renewal: Renewal = consumer.controller.pydag_renewal
        renewal.beat()
        consumer.timer.call_repeatedly(BEAT_EVERY, renewal.beat)
        # Celery hears of a death by a pipe, which what a task has forked may hold.
        consumer.timer.call_repeatedly(BEAT_EVERY, consumer.pool.maintain_pool)


class EventBatches(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Publishes events a few times a second instead of in every turn of the worker's loop.

    One publish an event is half of a busy parent's CPU time.
    """

    requires = ("celery.worker.consumer.events:Events",)

    def start(self, consumer: Any) -> None:
        """Replace the dispatcher's flush at every event by a timer."""
        dispatcher = consumer.event_dispatcher
        dispatcher.on_send_buffered = None
        dispatcher.buffer_limit = EVENTS_A_BATCH
        consumer.timer.call_repeatedly(EVENTS_EVERY, dispatcher.flush)

    def stop(self, consumer: Any) -> None:
        """Publish what is left."""
        if consumer.event_dispatcher:
            consumer.event_dispatcher.flush()
