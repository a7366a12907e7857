"""What a task's function may change in its process: it is put back after each try.

All of it is compared after each try, which takes some ten microseconds; what differs is put back.
"""

from __future__ import annotations

import _locale
import _signal  # type: ignore[import-not-found]  # `signal` makes enums: twenty times slower
import functools
import gc
import locale
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

_SIGNALS = tuple(n for n in range(1, 32) if n not in (signal.SIGKILL, signal.SIGSTOP))
_LIMITS = tuple(
    getattr(resource, f"RLIMIT_{name}")
    for name in ("AS", "FSIZE", "CPU", "NOFILE")
    if hasattr(resource, f"RLIMIT_{name}")
)


class _Kept(NamedTuple):
    """A thing with its value; `put` raises an OSError or ValueError if it can't be put back."""

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], Any]


def _for_good(_: Any) -> None:
    raise ValueError("no process can take it back")


def _environment() -> dict[bytes, bytes]:
    return os.environ._data  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001


def _put_environment(saved: dict[bytes, bytes]) -> None:
    os.environb.clear()
    os.environb.update(saved)
    time.tzset()


def _put_signals(saved: list[Any]) -> None:
    for number, handler in zip(_SIGNALS, saved, strict=True):
        if handler is not None and handler is not _signal.getsignal(number):
            signal.signal(number, handler)


# How often any limit was set: to ask for all of them takes longer than all the rest.
_limits_set = 0
_known_limits: tuple[int, list[tuple[int, int]]] = (-1, [])


def _watch_limits(event: str, _: Any) -> None:
    global _limits_set  # noqa: PLW0603
    if event in {"resource.setrlimit", "resource.prlimit"}:
        _limits_set += 1


@functools.cache
def _begin_to_watch() -> None:
    """Not at the import: nobody else's calls should take the longer, and a hook stays for good."""
    sys.addaudithook(_watch_limits)


def _limits() -> list[tuple[int, int]]:
    global _known_limits  # noqa: PLW0603
    if _known_limits[0] != _limits_set:
        _known_limits = _limits_set, [*map(resource.getrlimit, _LIMITS)]
    return _known_limits[1]


def _put_limits(saved: list[tuple[int, int]]) -> None:
    for limit, values in zip(_LIMITS, saved, strict=True):
        resource.setrlimit(limit, values)


def _root_logger() -> tuple[Any, ...]:
    root = logging.root
    return (root.level, root.disabled, root.manager.disable, *root.handlers, *root.filters)


def _put_root_logger(saved: tuple[Any, ...]) -> None:
    root = logging.root
    root.setLevel(saved[0])
    root.disabled = saved[1]
    logging.disable(saved[2])
    root.handlers[:] = [entry for entry in saved[3:] if isinstance(entry, logging.Handler)]
    root.filters[:] = [entry for entry in saved[3:] if not isinstance(entry, logging.Handler)]


def _put_loggers(saved: bool) -> None:
    # What `logging.config` does to every logger that it is not told of.
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = saved


def _put_filters(saved: tuple[Any, ...]) -> None:
    warnings.filters[:] = saved  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]  # noqa: SLF001


def _put_path(saved: tuple[str, ...]) -> None:
    sys.path[:] = saved


def _locale_name() -> str:
    return _locale.setlocale(locale.LC_ALL, None)


def _put_locale(saved: str) -> None:
    locale.setlocale(locale.LC_ALL, saved)


def _directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109  compared as text
    except FileNotFoundError:
        return ""


def _put_directory(saved: str) -> None:
    os.chdir(saved)
    if os.stat("/").st_ino != _ROOT:  # noqa: PTH116
        _for_good(saved)


def _user() -> tuple[Any, ...]:
    if sys.platform == "linux":
        return os.getresuid(), os.getresgid()
    return os.getuid(), os.geteuid(), os.getgid(), os.getegid()


def _priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def _hooks() -> list[Any]:
    return [values[name] for values, name in _NAMED]


def _put_hooks(saved: list[Any]) -> None:
    for (owner, name), value in zip(_HOOKS, saved, strict=True):
        setattr(owner, name, value)


_OUR_LOGGER = logging.getLogger("workers.task")
_HOOKS = (
    *((sys, name) for name in ("stdin", "stdout", "stderr", "argv")),
    *((sys, name) for name in ("excepthook", "unraisablehook", "displayhook")),
    (threading, "excepthook"),
    (warnings, "showwarning"),
    (logging, "raiseExceptions"),
)
_NAMED = tuple((vars(owner), name) for owner, name in _HOOKS)
_KEPT: tuple[_Kept, ...] = (
    _Kept("the current directory", _directory, _put_directory),
    _Kept("the environment", _environment, _put_environment),
    _Kept("the signal handlers", lambda: [*map(_signal.getsignal, _SIGNALS)], _put_signals),
    _Kept("the resource limits", _limits, _put_limits),
    _Kept("the root logger", _root_logger, _put_root_logger),
    _Kept("the loggers", lambda: _OUR_LOGGER.disabled, _put_loggers),
    _Kept("the warnings filters", lambda: tuple(warnings.filters), _put_filters),
    _Kept("sys.path", lambda: tuple(sys.path), _put_path),
    _Kept("the locale", _locale_name, _put_locale),
    _Kept("the streams and hooks", _hooks, _put_hooks),
    _Kept("the socket timeout", socket.getdefaulttimeout, socket.setdefaulttimeout),
    _Kept("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    _Kept("the garbage collector", gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
    _Kept("the trace function", sys.gettrace, sys.settrace),
    _Kept("the profiler", sys.getprofile, sys.setprofile),
    _Kept("the user", _user, _for_good),
    _Kept("the priority", _priority, lambda n: os.setpriority(os.PRIO_PROCESS, 0, n)),
)
if _directory() == "/":  # elsewhere the current directory tells
    _KEPT += (_Kept("the root directory", lambda: os.stat("/").st_ino, _for_good),)  # noqa: PTH116
_GETTERS = tuple(kept.get for kept in _KEPT)
# Setting these tells what they were.
_UMASK = os.umask(0o022)
os.umask(_UMASK)
_ITIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_ROOT = os.stat("/").st_ino  # noqa: PTH116
_MASK = signal.pthread_sigmask(signal.SIG_BLOCK, ())


class Surroundings:
    """A process as it is when this is made, or when modules were imported since: see `renew`."""

    def __init__(self) -> None:
        _begin_to_watch()
        self._take()

    def _take(self) -> None:
        self._modules = len(sys.modules)
        found = [get() for get in _GETTERS]
        self._values = [value.copy() if value is _environment() else value for value in found]

    def renew(self) -> None:
        """Before a try: what imports have changed since is how the process is now."""
        if len(sys.modules) != self._modules:
            self._take()

    def restore(self) -> list[str]:
        """After a try: put back what it changed; names what can't be."""
        os.umask(_UMASK)
        _signal.pthread_sigmask(signal.SIG_SETMASK, _MASK)
        for timer in _ITIMERS:
            _signal.setitimer(timer, 0)
        now = [get() for get in _GETTERS]
        if now == self._values:
            return []
        lost = []
        for kept, value, found in zip(_KEPT, self._values, now, strict=True):
            if found != value:
                try:
                    kept.put(value)
                except (OSError, ValueError, locale.Error):
                    lost.append(kept.name)
        return lost
