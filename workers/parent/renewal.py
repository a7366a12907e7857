"""The thread of a worker's parent that renews its slots and the leases of its tries."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import Any

import redis
from celery.worker import state as worker_state

from pydag_dist.engine import Engine, Held, connect, is_refusal, is_transient
from pydag_dist.engine.celery.messages import EXECUTE
from pydag_dist.engine.connection import Outage, trouble_of
from workers.parent.deaths import DEATHS, Call, relieve
from workers.parent.membership import Member
from workers.pool import going_on, keeper
from workers.pool.output import spools
from workers.pool.stopping import GRACE, STOP, grace
from workers.process import (
    PAUSE,
    SHUTDOWN_WAIT,
    begin_shutdown,
    settings,
)
from workers.tries.message import POLLS, held_by

log = logging.getLogger(__name__)

RENEWALS = 5  # in a lease
HUB_STUCK = 20.0  # seconds without a beat after which the leases are not renewed any more


class Renewal(threading.Thread):
    """Renews a worker's slots and leases, and makes the parent's other calls of the engine.

    It is a thread with its own connection, so that a busy loop does not stop it, and a slow Redis
    does not stop the loop.
    """

    def __init__(self, worker: str, slots: int, queues: list[str], member: Member) -> None:
        super().__init__(name="pydag-renewal", daemon=True)
        self._worker = worker
        self._slots = slots
        self._queues = queues
        self._member = member
        self._held: list[Held] = []
        self._processes: list[int] = []  # that are at work
        self._to_stop: dict[Held, float] = {}  # since when
        self._further: dict[Held, bool] = {}  # what processes have gone on with; seen before?
        self._beat = time.monotonic()
        self._leaving = False
        self._due = 0.0
        self._stopped = False
        self._outage = Outage()
        self._reached = True  # whether the last call reached Redis
        self._calls: deque[tuple[Held | None, Call]] = deque()  # that `DEATHS` wants to be made
        self._reported: dict[Held, float] = {}  # tries whose end was reported, and when
        client = connect(settings().redis_url)
        self._engine = Engine(client, settings().key_prefix, source="tick")

    def beat(self) -> None:
        """In the worker's loop, which alone may read Celery's requests: note what is held.

        Children are stopped here, too: until the loop has read a child's result, that child gets no
        other task, so its process is still the one that runs the try.
        """
        beat = time.monotonic()
        ours = [each for each in worker_state.reserved_requests if each.task.name == EXECUTE]
        requests = {held: request for request in ours if (held := _held_now(request)) is not None}
        processes = [request.worker_pid for request in ours if request.worker_pid]
        self._held, self._processes, self._beat = list(requests), processes, beat
        for held, since in self._to_stop.items():
            if (request := requests.get(held)) and (pid := request.worker_pid):
                if time.monotonic() - since > (seconds := grace(pid)):
                    self._kill(pid, seconds)
                else:
                    os.kill(pid, STOP)
        for request in ours:
            if (since := request.terminated_at) and time.monotonic() - since > GRACE:
                self._kill(request.worker_pid, GRACE)
        self._relieve(requests)
        keeper.restart_if_gone()
        spools.relieve()

    def _relieve(self, requests: Mapping[Held, Any]) -> None:
        """Let nothing wait behind a try that runs since the last beat, as it did at that one."""
        further = {}
        for held, request in requests.items():
            if held != _of_message(request):
                further[held] = held in self._further
                if self._further.get(held) is False:
                    call = relieve(request.worker_pid, held, self._worker)
                    DEATHS.calls.put((None, call))
        self._further = further

    def _kill(self, pid: int, seconds: float) -> None:
        DEATHS.kill(pid, f"was killed: told to stop, it did not end within {seconds:g} s")

    def leave(self, *_: Any, **__: Any) -> None:
        """No new tasks from now on; leases are renewed until the last one has ended."""
        begin_shutdown()
        self._leaving = True
        self._due = 0.0  # give the slots back at once
        DEATHS.calls.put(None)

    def stop(self, *_: Any, **__: Any) -> None:
        """End the thread, after a last call that gives the slots back."""
        self._leaving = True
        self._stopped = True
        DEATHS.calls.put(None)
        self.join(SHUTDOWN_WAIT)

    def run(self) -> None:
        """Renew until stopped."""
        while not self._stopped:
            until_due = max(0.0, self._due - time.monotonic())
            self._make_calls(min(PAUSE, until_due) if self._calls else until_due)
            if time.monotonic() >= self._due:
                self._due = time.monotonic() + settings().lease / RENEWALS
                self._attempt(self._renew)
        if self._reached:
            self._make_calls(0)
            self._attempt(self._renew)

    def _renew(self) -> None:
        # In this order: what is held may be newer.
        beat, held, processes = self._beat, self._held, self._processes
        looked_ago = time.monotonic() - beat
        if looked_ago > HUB_STUCK and not self._leaving:
            log.error("the worker's loop has been stuck for %s s: leases lapse", HUB_STUCK)
            return
        # Tries whose end was reported after the last beat are not held any more, though the loop
        # did not know that: if they were named here, the engine would take them for running.
        self._reported = {held: at for held, at in self._reported.items() if at >= beat}
        # Tries whose end is not reported yet, since something that they started still runs, are.
        held = [held for held in {*held, *DEATHS.unreported} if held not in self._reported]
        slots = 0 if self._leaving else self._slots
        answers = self._engine.working.renew(
            self._worker,
            slots,
            self._queues,
            held,
            looked_ago=looked_ago,
            processes={*processes, *DEATHS.processes},
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

    def _make_calls(self, wait: float) -> None:
        """Make the calls that `DEATHS` has within `wait` seconds, and those that failed before."""
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
                self._reported[held] = time.monotonic()
                DEATHS.unreported.discard(held)

    def _attempt(self, call: Any) -> bool:
        try:
            call()
        except redis.RedisError as error:
            if not (is_transient(error) or is_refusal(error)):
                log.exception("the engine refused a call of this worker")
                return True
            if self._outage.begins_with(why := trouble_of(error)):
                log.warning("Redis can't do it now: %s", why)
            self._reached = False
            return False
        except Exception:
            log.exception("this worker's call to the engine failed")
        self._reached = True
        return True


def _of_message(request: Any) -> Held:
    return held_by(request._context)  # noqa: SLF001  where Celery keeps headers


def _held_now(request: Any) -> Held | None:
    """The try that is held for a message: its own until Redis has its end, or a later one.

    Between two later ones it is None: Redis knows what a process has gone on with. For a message
    that asks to poll, none is held.
    """
    pid = request.worker_pid
    if not going_on.is_releasing(pid) and going_on.has_gone_on(pid):
        return spools.running(pid)
    held = _of_message(request)
    return None if held.run == POLLS else held
