"""Webhooks: the URLs that a DAG names are called when its runs end.

One thread decides which call is next. Each call has a thread of its own and a hard time limit.
The receivers of one DAG must not hold up those of others: so a receiver (a host) has few calls at
a time and few that wait, and first tries come before repeated ones.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import redis

from pydag_dist.coordinator.http_post import Post
from pydag_dist.engine import ENDED_RUN_STATES, Engine
from pydag_dist.engine.snapshot import seconds
from pydag_dist.errors import UnknownRun

log = logging.getLogger(__name__)

TRIES: Final = 10
FIRST_DELAY: Final = 1.0  # seconds after the first try; doubled after each
TIMEOUT: Final = 5.0  # seconds of a call, from the look-up of the name to the end of the answer
LEASE: Final = 60.0  # seconds after which another coordinator takes over what this one has taken
PARALLEL: Final = 16  # calls at a time
THREADS: Final = 64  # with those that are late and still wait for their host's address
PER_RECEIVER: Final = 2  # calls to one receiver at a time
WAITING: Final = 20  # calls to one receiver that may wait; further runs are put off
MOST_RUNS: Final = 500  # whose calls are under way at a time
TAKEN: Final = 200  # runs of one look
PUT_OFF: Final = 30.0  # seconds
EVERY: Final = 1.0  # seconds between two looks
UNTIL_ENDED: Final = 60.0  # seconds until a resumed run is looked at again
FAILED_SHOWN: Final = 20  # failed tasks in a message
ERROR_SHOWN: Final = 1_000  # characters of each one's error

_REMEMBERED: Final = 10_000  # runs of which it is known which hooks were delivered


@dataclass(eq=False)
class _Run:
    """An ended run whose webhooks are being called."""

    run_id: str
    tries: int  # before this one
    ended_at: str
    delivered: set[str]  # hooks that need no call for this end any more
    hooks: list[str]
    leased_until: float
    left: int = 0  # calls that have not ended
    body: bytes | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(eq=False)
class _Call:
    run: _Run
    hook: str
    url: str
    receiver: str
    post: Post | None = None


class Webhooks:
    """Calls the webhooks of ended runs, together with all other coordinators of this Redis.

    `named` are the URLs that DAGs may name. Each hook is delivered at least once, or given up after
    `TRIES` tries.
    """

    def __init__(self, engine: Engine, named: Mapping[str, str], stopping: threading.Event) -> None:
        self._engine = engine
        self._named = named
        self._stopping = stopping
        self._runs: dict[str, _Run] = {}
        self._waiting: list[_Call] = []
        self._running: list[_Call] = []
        self._late: list[Post] = []  # given up, and not gone yet
        self._served: OrderedDict[str, float] = OrderedDict()  # receiver -> when it was called last
        self._woken: queue.SimpleQueue[None] = queue.SimpleQueue()
        # Run -> when it ended, and the hooks that need no call for that end any more.
        self._delivered: OrderedDict[str, tuple[str, set[str]]] = OrderedDict()

    def run(self) -> None:
        """Call hooks until stopped; calls that have begun may end."""
        looked = 0.0
        while not self._stopping.is_set() or self._running:
            try:
                if not self._stopping.is_set() and time.monotonic() - looked >= EVERY:
                    looked = time.monotonic()
                    self._take()
                self._begin_calls()
                self._end_calls()
            except redis.RedisError as error:
                log.warning("no webhooks: %s", error)
                self._stopping.wait(EVERY)
            except Exception:
                log.exception("no webhooks for a while")
                self._stopping.wait(EVERY)
            self._sleep()
        for run in self._runs.values():
            self._put_off(run.run_id, 0)

    def _sleep(self) -> None:
        try:
            self._woken.get(timeout=0.2 if self._running else 0.5)  # a stop waits for that
            while True:
                self._woken.get_nowait()
        except queue.Empty:
            return

    def _take(self) -> None:
        now = time.monotonic()
        for run in self._runs.values():
            if run.leased_until - now < LEASE / 2:
                self._engine.webhooks.later(run.run_id, LEASE)
                run.leased_until = now + LEASE
        for _ in range(TAKEN):
            if len(self._runs) >= MOST_RUNS or not (taken := self._engine.webhooks.take(LEASE)):
                return
            run_id, tries = taken
            try:
                self._begin_run(run_id, tries)
            except UnknownRun:
                self._engine.webhooks.done(run_id)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                log.error("%s: its webhooks can't be called: %s", run_id, error)  # noqa: TRY400
                self._engine.webhooks.done(run_id)

    def _begin_run(self, run_id: str, tries: int) -> None:
        if run_id in self._runs:
            return  # it took longer than its lease
        head = self._engine.reading.run_head(run_id)
        if head["state"] not in ENDED_RUN_STATES:
            self._engine.webhooks.later(run_id, UNTIL_ENDED)
            return
        dag = json.loads(self._engine.reading.submitted_dag(run_id))
        hooks = dag.get("on_success" if head["state"] == "success" else "on_failure", [])
        ended_at, delivered = self._delivered.get(run_id, ("", set()))
        if ended_at != head["ended_at"]:
            delivered = set()
            self._delivered[run_id] = head["ended_at"], delivered
            if len(self._delivered) > _REMEMBERED:
                self._delivered.popitem(last=False)
        until = time.monotonic() + LEASE
        run = _Run(run_id, tries, head["ended_at"], delivered, hooks, until)
        calls = [
            call for hook in hooks if hook not in delivered and (call := self._call_of(run, hook))
        ]
        waiting = Counter(call.receiver for call in self._waiting)
        if any(waiting[call.receiver] >= WAITING for call in calls):
            self._put_off(run_id, PUT_OFF)
            return
        run.left = len(calls)
        self._runs[run_id] = run
        self._waiting += calls
        if not calls:
            self._end_run(run)

    def _call_of(self, run: _Run, hook: str) -> _Call | None:
        url = hook if "://" in hook else self._named.get(hook)
        if url is None:
            log.error(
                "%s: no webhook is named %s: add it to PYDAG_WEBHOOKS of the coordinators",
                run.run_id,
                hook,
            )
            run.delivered.add(hook)
            return None
        try:
            receiver = (urlsplit(url).hostname or "").rstrip(".")
        except ValueError:
            shown = "with a URL" if "://" in hook else hook
            log.error("%s: webhook %s: its URL is none", run.run_id, shown)  # noqa: TRY400
            run.delivered.add(hook)
            return None
        return _Call(run, hook, url, receiver)

    def _put_off(self, run_id: str, delay: float) -> None:
        """Have the run come again later, without counting this as a try."""
        try:
            self._engine.webhooks.put_off(run_id, delay)
        except redis.RedisError as error:
            log.warning("%s: its webhooks come later: %s", run_id, error)

    def _begin_calls(self) -> None:
        """Begin calls: first tries come first, and among them the receiver served longest ago."""
        self._late = [post for post in self._late if not post.has_ended]
        busy = Counter(call.receiver for call in self._running)
        while (
            not self._stopping.is_set()
            and len(self._running) < PARALLEL
            and len(self._running) + len(self._late) < THREADS
        ):
            free = [call for call in self._waiting if busy[call.receiver] < PER_RECEIVER]
            if not free:
                return
            call = min(free, key=lambda c: (c.run.tries > 0, self._served.get(c.receiver, 0.0)))
            self._waiting.remove(call)
            self._served.pop(call.receiver, None)
            self._served[call.receiver] = time.monotonic()
            if len(self._served) > _REMEMBERED:
                self._served.popitem(last=False)
            busy[call.receiver] += 1
            call.post = Post(call.url, lambda run=call.run: self._body(run), self._wake)  # type: ignore[misc]
            self._running.append(call)
            call.post.start(TIMEOUT)

    def _wake(self) -> None:
        self._woken.put(None)

    def _end_calls(self) -> None:
        """Take note of calls that have ended, and end those whose time is over."""
        for call in list(self._running):
            post = call.post
            assert post is not None  # noqa: S101  it was begun
            reason = post.error
            if not post.has_ended:
                if not post.is_late:
                    continue
                reason = f"no answer in {TIMEOUT:g} s"
                post.stop()
                self._late.append(post)
            self._running.remove(call)
            if reason:
                shown = _shown(call.hook)
                log.warning("%s: webhook %s: %s", call.run.run_id, shown, reason)
            else:
                log.info("%s: told webhook %s", call.run.run_id, _shown(call.hook))
                call.run.delivered.add(call.hook)
            call.run.left -= 1
        for run in [run for run in self._runs.values() if not run.left]:
            self._end_run(run)

    def _end_run(self, run: _Run) -> None:
        missing = [_shown(hook) for hook in run.hooks if hook not in run.delivered]
        if missing and run.tries + 1 < TRIES:
            self._engine.webhooks.later(run.run_id, FIRST_DELAY * 2**run.tries)
        else:
            # A run that was resumed and has ended again meanwhile is due again.
            if self._engine.reading.run_state(run.run_id) is None or (
                self._engine.reading.run_head(run.run_id).get("ended_at") == run.ended_at
            ):
                self._engine.webhooks.done(run.run_id)
            if missing:
                log.error("%s: gave up %s after %d tries", run.run_id, ", ".join(missing), TRIES)
            self._delivered.pop(run.run_id, None)
        self._runs.pop(run.run_id, None)

    def _body(self, run: _Run) -> bytes:
        with run.lock:
            if run.body is None:
                head = self._engine.reading.run_head(run.run_id)
                run.body = json.dumps(self._message(run.run_id, head)).encode()
            return run.body

    def _message(self, run_id: str, head: Mapping[str, str]) -> dict[str, Any]:
        message: dict[str, Any] = {
            "run_id": run_id,
            "dag_id": head["dag_id"],
            "state": head["state"],
            "started_at": seconds(head.get("started_at")),
            "ended_at": seconds(head["ended_at"]),
        }
        if head["state"] != "success":
            tasks = self._engine.reading.snapshot(run_id).tasks
            failed = [
                {
                    "task_id": task_id,
                    "try_number": task.try_number,
                    "error": task.error and task.error[:ERROR_SHOWN],
                }
                for task_id, task in tasks.items()
                if task.state == "failed"
            ]
            message |= {
                "error": head.get("error"),
                "failed": len(failed),
                "failed_tasks": failed[:FAILED_SHOWN],
            }
        return message


def _shown(hook: str) -> str:
    """A hook as a log may have it: the rest of a URL is often the secret."""
    if "://" not in hook:
        return hook
    parts = urlsplit(hook)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
