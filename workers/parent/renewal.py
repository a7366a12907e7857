"""The thread of a worker's parent that renews its slots and the leases of its tries."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections import deque
from functools import partial
from typing import Any

import redis
from celery.worker import state as worker_state

from pydag_dist.engine import Engine, Held, connect, is_passing, is_refusal
from pydag_dist.engine.celery.messages import EXECUTE
from workers.parent.deaths import DEATHS, Call
from workers.parent.membership import Member
from workers.pool import keeper
from workers.pool.output import spools
from workers.pool.stopping import GRACE, STOP, grace
from workers.process import (
    FAREWELL,
    PAUSE,
    leave,
    settings,
)
from workers.tries.message import POLLS, held_by

log = logging.getLogger(__name__)

RENEW_EVERY = 3.0  # seconds; a lease lasts 15
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
            if request.task.name == EXECUTE
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
        spools.relieve()

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
        answers = self._engine.working.renew(
            self._worker, slots, self._queues, held, looked_ago=looked_ago
        )
        to_stop = {}
        for h, answer in zip(held, answers, strict=True):
            if answer == "lost":
                log.warning("%s/%s: its lease was lost to another worker", h.run, h.task)
            elif answer == "cancel":
                to_stop[h] = self._to_stop.get(h, time.monotonic())
        self._to_stop = to_stop
        if self._stopped:
            self._member.leave(self._engine.membership)
        else:
            self._member.renew(self._engine.membership, len(held))
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
            if not self._attempt(partial(call, self._engine.working)):
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
