"""A process's hand: the tries that it was handed, and the ends of which Redis has not heard yet.

One call of Redis ends several short tries and hands the next ones over. That is done when the hand
is empty, after `_FRESH` seconds, or before the process takes no more. If a try takes longer than
expected, a thread tells of those before it, and puts back those behind it: they wait for no longer
than `_STALE`. What has ended is in the last words of the process, too, until Redis has it: so the
parent of a process that is killed tells of it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from functools import partial

from celery.signals import worker_process_init

from pydag_dist.engine import Held, Next
from workers.pool import last_words
from workers.pool.output.logs import Log, close_all
from workers.process import engine, until_redis_can
from workers.tries.outcome import Ended, Untold, hand_in, report_and_go_on

# Seconds after which a process begins nothing of its hand any more. (A try that is told to stop has
# ten: so whoever kills the process for its sake hits no other.)
_FRESH = 0.03
_STALE = 0.06  # seconds for which a hand waits for a try that takes longer

log = logging.getLogger(__name__)


def is_wanted(queue: str) -> bool:
    """Whether anything waits for a slot of the queue."""
    return until_redis_can(partial(engine().working.has_work, queue))


class Hand:
    """What one process of the pool has in hand, from its message's try on."""

    def __init__(self, queue: str, worker: str) -> None:
        self.queue = queue
        self.worker = worker
        self._mutex = threading.Lock()
        self._waiting: deque[Next] = deque()
        self._untold: list[Untold] = []
        self._logs: dict[Held, Log] = {}  # of what was polled of these
        self._running: Held | None = None
        self._since = 0.0  # when it was handed these
        self._has_left_words = False

    def found(self, held: Held, ended: Ended, log_of_poll: Log | None = None) -> None:
        """A poll has found that try to be so; the thread tells of it if the poll takes long.

        The lines that the poll has logged are told before that.
        """
        with self._mutex:
            if log_of_poll is not None:
                self._logs[held] = log_of_poll
            self._untold.append(Untold(held, ended, None, time.monotonic(), polled=True))
        _WATCH.begin(self)

    def ended(self, held: Held, ended: Ended, lasted: float | None = None) -> None:
        """That try has ended; one that was handed over lasted so many seconds."""
        end = Untold(held, ended, lasted, time.monotonic())
        with self._mutex:
            self._running = None
            self._untold.append(end)
            if self._waiting:  # else it is told at once
                last_words.leave_end(end)
                self._has_left_words = True

    def is_wanted(self) -> bool:
        """Whether anything waits behind the try that runs, here or in the queue."""
        return bool(self._waiting) or is_wanted(self.queue)

    def is_fresh(self) -> bool:
        """Whether there is more, to be begun before anything is told."""
        return bool(self._waiting) and time.monotonic() - self._since < _FRESH

    def take(self) -> Next | None:
        """The next try, which begins now."""
        with self._mutex:
            if not self._waiting:
                return None
            following = self._waiting.popleft()
            self._running = following.held
            return following

    def refill(self) -> None:
        """Tell what has ended, if anything has, and be handed others."""
        with self._mutex:
            self._waiting.clear()
            if not self._untold:
                return
            self._close_logs()
            self._waiting.extend(report_and_go_on(self._untold, self.queue, self.worker))
            self._told()
            if self._waiting:
                _WATCH.begin(self)

    def give_back(self) -> None:
        """Tell what has ended, and put back what has not begun; nothing runs any more."""
        with self._mutex:
            self._running = None
            self._hand_in()

    def relieve(self) -> None:
        """In the thread: likewise, if the try that runs takes too long for the others."""
        with self._mutex:
            if time.monotonic() - self._since > _STALE:
                self._hand_in()

    def _hand_in(self) -> None:
        if self._waiting or self._untold:
            self._waiting.clear()  # whether the call fails or not
            self._close_logs()
            hand_in(self._untold, self.worker, self._running)
            self._told()

    def _close_logs(self) -> None:
        if self._logs:
            close_all(self._logs)
            self._logs.clear()

    def _told(self) -> None:
        if self._has_left_words:
            last_words.forget_ends()
            self._has_left_words = False
        self._untold.clear()
        self._since = time.monotonic()


class _Watch:
    """The thread of a process that looks at its hand."""

    def __init__(self) -> None:
        self._hand: Hand | None = None
        self._begun = threading.Event()

    def begin(self, hand: Hand) -> None:
        """Look at that one from now on."""
        if self._hand is not hand:
            self._hand = hand
            self._begun.set()

    def end(self) -> None:
        """Look at none."""
        self._hand = None

    def start(self, **_: object) -> None:
        """In a new process of the pool."""
        threading.Thread(target=self._run, name="hand", daemon=True).start()

    def _run(self) -> None:
        while self._begun.wait():
            self._begun.clear()
            while (hand := self._hand) is not None:
                time.sleep(_STALE)
                try:
                    hand.relieve()
                except Exception:
                    log.exception("the rest of a hand can't be given back")


_WATCH = _Watch()
worker_process_init.connect(_WATCH.start, weak=False)
end_of_hand = _WATCH.end
