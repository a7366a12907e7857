"""A child of the worker, a process of its pool: how it begins, and what is undone after a try.

Nothing that a try started goes on after its end. If something can't be undone, such as a thread
that goes on or a change of the user, the process ends, and another one takes its place.
"""

# ruff: noqa: SLF001  multiprocessing and threading have no public way to any of this
from __future__ import annotations

import _thread
import contextlib
import faulthandler
import logging
import multiprocessing.process
import os
import signal
import sys
import threading
import time
from collections.abc import Collection
from typing import Any

from billiard.common import terminate_handler_fired
from celery.signals import worker_process_init

from workers.pool import keeper, last_words, stopping
from workers.pool.orphans import adopt_orphans, descendants, end_descendants, has_children
from workers.pool.output import capture
from workers.pool.surroundings import Surroundings
from workers.secrecy import sources

_THREADS_END = 0.5  # seconds in which a try's threads may end after it
_PAUSE = 0.01
_STARTS = frozenset({"os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"})
_HELPERS = (
    ("multiprocessing.resource_tracker", "_resource_tracker", ("_pid", "_fd")),
    (
        "multiprocessing.forkserver",
        "_forkserver",
        ("_forkserver_pid", "_forkserver_alive_fd", "_forkserver_address"),
    ),
)
# Celery puts a process of its own there, which may have no children.
_MAIN_PROCESS = multiprocessing.process.current_process()


class PoolProcess:
    """A process of the pool, and how it was before its first try."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        sources.take_out()
        self.surroundings = Surroundings()
        self._keep_threads()
        # What modules started when they were loaded.
        self._children = {*descendants(self.pid)} if has_children() else set[int]()

    def _keep_threads(self) -> None:
        self._threads = {*threading.enumerate()}
        self._count = _thread._count()  # counts all, and costs nothing

    def clean_up(self, log: logging.Logger, *, keep_threads: bool) -> str:
        """End what the try started, and put back what it changed; "", or what could not be undone.

        If anything could not be undone, another process has to take the place of this one. Threads
        are kept for operators whose clients start threads of their own.
        """
        try:
            reasons = self._clean_up(keep_threads)
        except Exception as error:  # noqa: BLE001  such as a MemoryError below a limit that was set
            reasons = [f"it left a process in which nothing works: {error!r}"]
        if not reasons:
            return ""
        log.warning("the worker replaces the process that ran this: %s", ", ".join(reasons))
        return ", ".join(reasons)

    def _clean_up(self, keep_threads: bool) -> list[str]:
        reasons = []
        if keep_threads:
            self._keep_threads()
        elif _thread._count() != self._count and (left := self._threads_left()):
            self._keep_from_starting_processes()
            reasons.append(f"its thread {left[0]} still runs")
        if has_children() and (pids := self._end_processes()):
            reasons.append(f"its process {pids[0]} could not be ended")
        # Else this process is about to end, and its signals are as they have to be for that.
        if not terminate_handler_fired():
            reasons += [f"it changed {what} for good" for what in self.surroundings.restore()]
        return reasons

    def _threads_left(self) -> list[str]:
        """The names of the try's threads that go on."""
        deadline = time.monotonic() + _THREADS_END
        while True:
            threads = threading.enumerate()
            known = [thread for thread in threads if thread in self._threads]
            if _thread._count() < len(known):  # the main thread isn't counted
                self._keep_threads()
                return []
            if time.monotonic() > deadline:
                return [t.name for t in threads if t not in known] or ["(without a name)"]
            time.sleep(_PAUSE)

    def _keep_from_starting_processes(self) -> None:
        """A thread that wants to start a process from now on waits for ever."""
        main = threading.get_ident()

        def wait(event: str, _: Any) -> None:
            if event in _STARTS and threading.get_ident() != main:
                threading.Event().wait()

        sys.addaudithook(wait)

    def _end_processes(self) -> list[int]:
        """End all; those that did not end."""
        (tracker, *_), (server, *_) = map(_helper, _HELPERS)
        # The tracker removes what the others leave behind, and ends by itself when its pipe does.
        is_tracked = tracker and tracker._pid and tracker._pid not in self._children
        spared = {*self._children, tracker._pid} if is_tracked else self._children
        left = end_descendants(spared)
        if server and server._forkserver_pid and server._forkserver_pid not in self._children:
            os.close(server._forkserver_alive_fd)
            with contextlib.suppress(OSError):
                os.unlink(server._forkserver_address)  # noqa: PTH108  it may be abstract
        if is_tracked:
            os.close(tracker._fd)
            left = end_descendants(self._children)
        forget_helpers(self._children)
        if not self._children:
            multiprocessing.process._children.clear()  # type: ignore[attr-defined]
        return left


def _helper(row: tuple[str, str, tuple[str, ...]]) -> tuple[Any, tuple[str, ...]]:
    """What knows of a process that multiprocessing starts for itself, if anything imported it."""
    module, name, attributes = row
    return getattr(sys.modules.get(module), name, None), attributes


def forget_helpers(kept: Collection[int] = ()) -> None:
    """Let multiprocessing start its helpers anew when it needs them next, but for those kept."""
    for helper, attributes in map(_helper, _HELPERS):
        if helper and getattr(helper, attributes[0]) not in kept:
            for name in attributes:
                setattr(helper, name, None)


_own: PoolProcess | None = None


def own() -> PoolProcess:
    """That of this process."""
    global _own  # noqa: PLW0603  one a process
    if _own is None or _own.pid != os.getpid():
        _own = PoolProcess()
    return _own


@worker_process_init.connect  # type: ignore[untyped-decorator]  # Celery has no types
def begin(**_: Any) -> None:
    """Set up a process that was forked for the pool."""
    # Celery's children end when a pipe from their parent does, but one that was forked later holds
    # that pipe, too: a parent that is killed while it starts would leave them for ever.
    keeper.enter()
    # A group of its own: no key of a terminal and no signal to the worker's group ends what tasks
    # started. (With a session of its own Linux would give it a share of the CPU of its own, which
    # makes the parent wait for each of them.)
    with contextlib.suppress(PermissionError):
        os.setpgid(0, 0)
    adopt_orphans()
    multiprocessing.process._current_process = _MAIN_PROCESS  # type: ignore[attr-defined]
    forget_helpers()
    os.register_at_fork(after_in_child=_begin_fork)
    if (file := last_words.file()) is not None:
        faulthandler.enable(file, all_threads=False)
    stopping.begin_process()
    capture.start()


def _begin_fork() -> None:
    """In a process that a task forked: it has nothing to do with the worker."""
    for number in (stopping.STOP, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    faulthandler.disable()
    last_words.forget()
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
