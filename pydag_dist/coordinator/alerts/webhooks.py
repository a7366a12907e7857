"""Webhooks: those that a DAG names are told when its runs are late and when they end.

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
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import redis

from pydag_dist.coordinator.alerts.call import Call
from pydag_dist.coordinator.alerts.http_post import Post
from pydag_dist.coordinator.alerts.mail import Mail
from pydag_dist.coordinator.alerts.messages import message_of, written
from pydag_dist.engine import ENDED_RUN_STATES, Engine
from pydag_dist.engine.connection import Outage, trouble_of
from pydag_dist.engine.protocol import Notice
from pydag_dist.errors import UnknownRun
from pydag_dist.receivers import MailServer, Webhook
from pydag_dist.settings import Settings

log = logging.getLogger(__name__)

TRIES: Final = 150  # which take a day
FIRST_DELAY: Final = 1.0  # seconds after the first try; doubled after each
LONGEST_DELAY: Final = 600.0
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

_REMEMBERED: Final = 10_000  # runs of which it is known which hooks were delivered


@dataclass(eq=False)
class _Run:
    """A run whose webhooks are being called, since it is late or has ended."""

    run_id: str
    what: Notice
    tries: int  # before this one
    ended_at: str  # if it has ended
    delivered: set[str]  # hooks that need no call for this notice any more
    hooks: list[str]
    leased_until: float
    left: int = 0  # calls that have not ended
    message: dict[str, Any] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def key(self) -> tuple[str, Notice]:
        return self.run_id, self.what


@dataclass(eq=False)
class _Call:
    run: _Run
    hook: str
    webhook: Webhook
    receiver: str  # its host
    call: Call | None = None


class Webhooks:
    """Calls the webhooks of runs, together with all other coordinators of this Redis.

    Of `settings` it needs those that DAGs may name. Each hook is delivered at least once, or given
    up after `TRIES` tries.
    """

    def __init__(self, engine: Engine, settings: Settings, stopping: threading.Event) -> None:
        self._engine = engine
        self._named = settings.webhooks
        self._pages = f"{settings.url.rstrip('/')}/runs/" if settings.url else ""
        self._server = MailServer.parse(settings.smtp_url) if settings.smtp_url else None
        self._sender = settings.smtp_from or ""
        self._stopping = stopping
        self._runs: dict[tuple[str, Notice], _Run] = {}
        self._waiting: list[_Call] = []
        self._running: list[_Call] = []
        self._late: list[Call] = []  # given up, and not gone yet
        self._served: OrderedDict[str, float] = OrderedDict()  # receiver -> when it was called last
        self._woken: queue.SimpleQueue[None] = queue.SimpleQueue()
        # Of a run's notice: when it ended, and the hooks that need no call for that any more.
        self._delivered: OrderedDict[tuple[str, Notice], tuple[str, set[str]]] = OrderedDict()

    def run(self) -> None:
        """Call hooks until stopped; calls that have begun may end."""
        looked = 0.0
        outage = Outage()
        while not self._stopping.is_set() or self._running:
            try:
                if not self._stopping.is_set() and time.monotonic() - looked >= EVERY:
                    looked = time.monotonic()
                    self._take()
                self._begin_calls()
                self._end_calls()
            except redis.RedisError as error:
                if outage.begins_with(why := trouble_of(error)):
                    log.warning("no webhooks: %s", why)
                self._stopping.wait(EVERY)
            except Exception:
                log.exception("no webhooks for a while")
                self._stopping.wait(EVERY)
            self._sleep()
        for run in self._runs.values():
            self._put_off(*run.key, 0)

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
                self._engine.webhooks.later(*run.key, LEASE)
                run.leased_until = now + LEASE
        for _ in range(TAKEN):
            if len(self._runs) >= MOST_RUNS or not (due := self._engine.webhooks.take(LEASE)):
                return
            try:
                self._begin_run(due.run_id, due.what, due.tries)
            except UnknownRun:
                self._engine.webhooks.done(due.run_id, due.what)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                log.error("%s: its webhooks can't be called: %s", due.run_id, error)  # noqa: TRY400
                self._engine.webhooks.done(due.run_id, due.what)

    def _begin_run(self, run_id: str, what: Notice, tries: int) -> None:
        key = run_id, what
        if key in self._runs:
            return  # it took longer than its lease
        head = self._engine.reading.run_head(run_id)
        if what == "ended" and head["state"] not in ENDED_RUN_STATES:
            self._engine.webhooks.later(run_id, what, UNTIL_ENDED)
            return
        dag = json.loads(self._engine.reading.submitted_dag(run_id))
        field = "on_success" if head["state"] == "success" else "on_failure"
        hooks = dag.get("on_late" if what == "late" else field, [])
        end = head["ended_at"] if what == "ended" else ""
        ended_at, delivered = self._delivered.get(key, ("", set()))
        if ended_at != end or key not in self._delivered:
            delivered = set()
            self._delivered[key] = end, delivered
            if len(self._delivered) > _REMEMBERED:
                self._delivered.popitem(last=False)
        until = time.monotonic() + LEASE
        run = _Run(run_id, what, tries, end, delivered, hooks, until)
        calls = [
            call for hook in hooks if hook not in delivered and (call := self._call_of(run, hook))
        ]
        waiting = Counter(call.receiver for call in self._waiting)
        if any(waiting[call.receiver] >= WAITING for call in calls):
            self._put_off(run_id, what, PUT_OFF)
            return
        run.left = len(calls)
        self._runs[key] = run
        self._waiting += calls
        if not calls:
            self._end_run(run)

    def _call_of(self, run: _Run, hook: str) -> _Call | None:
        webhook = Webhook(hook) if "://" in hook else self._named.get(hook)
        why = ""
        if webhook is None:
            why = f"no webhook is named {hook}: add it to PYDAG_WEBHOOKS of the coordinators"
        elif webhook.format == "email":
            if self._server and self._sender:
                return _Call(run, hook, webhook, self._server.host)
            why = f"webhook {hook}: for e-mail set PYDAG_SMTP_URL and PYDAG_SMTP_FROM here"
        else:
            try:
                receiver = (urlsplit(webhook.url).hostname or "").rstrip(".")
                return _Call(run, hook, webhook, receiver)
            except ValueError:
                why = f"webhook {'with a URL' if '://' in hook else hook}: its URL is none"
        log.error("%s: %s", run.run_id, why)
        run.delivered.add(hook)
        return None

    def _put_off(self, run_id: str, what: Notice, delay: float) -> None:
        """Have the run come again later, without counting this as a try."""
        try:
            self._engine.webhooks.put_off(run_id, what, delay)
        except redis.RedisError as error:
            log.warning("%s: its webhooks come later: %s", run_id, error)

    def _begin_calls(self) -> None:
        """Begin calls: first tries come first, and among them the receiver served longest ago."""
        self._late = [call for call in self._late if not call.has_ended]
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
            call.call = self._made(call.run, call.webhook)
            self._running.append(call)
            call.call.start(TIMEOUT)

    def _made(self, run: _Run, webhook: Webhook) -> Call:
        def body() -> bytes:
            page = self._pages and f"{self._pages}{run.run_id}"
            return written(self._message(run), webhook.format, page, self._sender, webhook.to)

        if webhook.format == "email" and self._server:
            return Mail(self._server, self._sender, webhook.to, body, self._wake)
        return Post(webhook.url, body, self._wake)

    def _wake(self) -> None:
        self._woken.put(None)

    def _end_calls(self) -> None:
        """Take note of calls that have ended, and end those whose time is over."""
        for call in list(self._running):
            made = call.call
            assert made is not None  # noqa: S101  it was begun
            reason = made.error
            if not made.has_ended:
                if not made.is_late:
                    continue
                reason = f"no answer in {TIMEOUT:g} s"
                made.stop()
                self._late.append(made)
            self._running.remove(call)
            if reason:
                shown = _shown(call.hook)
                level = logging.INFO if call.run.tries else logging.WARNING
                log.log(level, "%s: webhook %s: %s", call.run.run_id, shown, reason)
            else:
                log.info("%s: told webhook %s", call.run.run_id, _shown(call.hook))
                call.run.delivered.add(call.hook)
            call.run.left -= 1
        for run in [run for run in self._runs.values() if not run.left]:
            self._end_run(run)

    def _end_run(self, run: _Run) -> None:
        missing = [_shown(hook) for hook in run.hooks if hook not in run.delivered]
        if missing and run.tries + 1 < TRIES:
            delay = min(FIRST_DELAY * 2 ** min(run.tries, 20), LONGEST_DELAY)
            self._engine.webhooks.later(*run.key, delay)
        else:
            # A run that was resumed and has ended again meanwhile is due again.
            if (
                run.what == "late"
                or self._engine.reading.run_state(run.run_id) is None
                or self._engine.reading.run_head(run.run_id).get("ended_at") == run.ended_at
            ):
                self._engine.webhooks.done(*run.key)
            if missing:
                log.error("%s: gave up %s after %d tries", run.run_id, ", ".join(missing), TRIES)
            self._delivered.pop(run.key, None)
        self._runs.pop(run.key, None)

    def _message(self, run: _Run) -> dict[str, Any]:
        with run.lock:
            if run.message is None:
                snapshot = self._engine.reading.snapshot(run.run_id)
                run.message = message_of(snapshot, run.what)
            return run.message


def _shown(hook: str) -> str:
    """A hook as a log may have it: the rest of a URL is often the secret."""
    if "://" not in hook:
        return hook
    parts = urlsplit(hook)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
