"""What the tasks of `test_started` wait for, start, leave behind and change.

A worker started with ``--import tests.tasks.started`` calls these. Each notes the processes that it
starts in a folder, as empty files named by their ids.
"""

# ruff: noqa: T201  what is printed is the task's log
from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import decimal
import gc
import locale
import logging
import multiprocessing
import os
import queue
import resource
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

LONG = 600  # seconds, longer than any test

_kept: list[Any] = []


def _note(folder: str, pid: int) -> int:
    Path(folder, str(pid)).touch()
    return pid


def _touch(folder: str, name: str) -> None:
    Path(folder, name).touch()


def _started(folder: str, process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    _note(folder, process.pid)
    return process


def _work(folder: str) -> None:
    """What a process of multiprocessing does."""
    _note(folder, os.getpid())
    time.sleep(LONG)


# Ways to wait


def _wait_shell(folder: str) -> None:
    subprocess.run(f"touch {folder}/$$; sleep {LONG}; true", shell=True, check=True)


def _wait_output(folder: str) -> None:
    subprocess.run(f"touch {folder}/$$; sleep {LONG}", shell=True, check=True, capture_output=True)


def _wait_pipe(_: str) -> None:
    os.read(os.pipe()[0], 1)


def _wait_socket(_: str) -> None:
    ours, _theirs = socket.socketpair()
    ours.recv(1)


def _wait_lock(_: str) -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def _wait_thread(_: str) -> None:
    thread = threading.Thread(target=time.sleep, args=(LONG,), daemon=True)
    thread.start()
    thread.join()


def _wait_selectors(_: str) -> None:
    with selectors.DefaultSelector() as selector:
        selector.select(LONG)


def _wait_queue_of_processes(_: str) -> None:
    multiprocessing.get_context("fork").Queue().get()


def _wait_process(folder: str) -> None:
    process = multiprocessing.get_context("fork").Process(target=_work, args=(folder,))
    process.start()
    process.join()


def _wait_pool(folder: str) -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(_work, [folder] * 2)


def _wait_executor(folder: str) -> None:
    context = multiprocessing.get_context("fork")
    # Its end waits for what it runs.
    with concurrent.futures.ProcessPoolExecutor(1, context) as executor:
        executor.submit(_work, folder).result()


async def _sleep_in_parts() -> None:
    await asyncio.gather(asyncio.sleep(LONG), asyncio.sleep(LONG))


async def _block_in_part() -> None:
    await asyncio.gather(asyncio.sleep(LONG), _block())


async def _block() -> None:
    time.sleep(LONG)  # noqa: ASYNC251  that is the point


WAITS = {
    "subprocess": lambda _: subprocess.run(["sleep", str(LONG)], check=True),
    "shell": _wait_shell,
    "output": _wait_output,
    "pipe": _wait_pipe,
    "socket": _wait_socket,
    "lock": _wait_lock,
    "queue": lambda _: queue.Queue().get(),
    "event": lambda _: threading.Event().wait(),
    "thread": _wait_thread,
    "sleep": lambda _: time.sleep(LONG),
    "select": lambda _: select.select([], [], [], LONG),
    "selectors": _wait_selectors,
    "queue of processes": _wait_queue_of_processes,
    "process": _wait_process,
    "pool": _wait_pool,
    "executor": _wait_executor,
    "asyncio": lambda _: asyncio.run(_sleep_in_parts()),
    "blocked asyncio": lambda _: asyncio.run(_block_in_part()),
}


def wait(folder: str, how: str) -> None:
    """Wait for ever, and say so at the beginning and at the end."""
    Path(folder, "began").touch()
    try:
        WAITS[how](folder)
    finally:
        Path(folder, "finally").touch()


async def wait_async(folder: str, blocks: bool) -> None:
    """Likewise as a coroutine; its end takes a moment and another await."""
    _touch(folder, "began")
    try:
        await (_block() if blocks else _sleep_in_parts())
    finally:
        if not blocks:
            await asyncio.sleep(1.5)
        _touch(folder, "finally")


def never_ends(folder: str) -> None:
    """Swallow what is raised, and leave a process that does as well."""
    _leave_stubborn(folder)
    Path(folder, "began").touch()
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(LONG)


# What is left behind


def _leave_stubborn(folder: str) -> None:
    process = _started(
        folder,
        subprocess.Popen(
            ["sh", "-c", f"trap '' TERM HUP INT; echo; while :; do sleep {LONG}; done"],
            stdout=subprocess.PIPE,
            text=True,
        ),
    )
    assert process.stdout is not None
    process.stdout.readline()


def _leave_daemon(folder: str) -> None:
    """As `daemon(3)` does it: two forks, and a session between them."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            _note(folder, os.getpid())
            time.sleep(LONG)
        os._exit(0)
    os.wait()
    while len(os.listdir(folder)) < 1:  # noqa: PTH208
        time.sleep(0.01)


def _leave_shells_child(folder: str) -> None:
    subprocess.run(f"sleep {LONG} & touch {folder}/$!", shell=True, check=True)


def _leave_process(folder: str, method: str) -> None:
    process = multiprocessing.get_context(method).Process(target=_work, args=(folder,))
    process.start()
    assert process.pid is not None
    _note(folder, process.pid)
    _kept.append(process)


def _leave_pool(folder: str) -> None:
    pool = multiprocessing.get_context("fork").Pool(2)
    for pid in pool.map(_note_own, [folder] * 8):
        _note(folder, pid)
    _kept.append(pool)  # its threads start a new process for each that ends


def _note_own(folder: str) -> int:
    return _note(folder, os.getpid())


def _leave_fork(folder: str) -> None:
    if os.fork() == 0:
        _note(folder, os.getpid())
        return  # back into the worker's code


def _leave_thread(folder: str) -> None:
    def work() -> None:
        while True:
            print("of the thread")
            _started(folder, subprocess.Popen(["sleep", str(LONG)], text=True))
            time.sleep(0.02)

    threading.Thread(target=work).start()


LEAVES = {
    "process": lambda f: _started(f, subprocess.Popen(["sleep", str(LONG)], text=True)),
    "session": lambda f: _started(
        f, subprocess.Popen(["sleep", str(LONG)], text=True, start_new_session=True)
    ),
    "stubborn": _leave_stubborn,
    "daemon": _leave_daemon,
    "shell's child": _leave_shells_child,
    "fork": lambda f: _leave_process(f, "fork"),
    "spawn": lambda f: _leave_process(f, "spawn"),
    "forkserver": lambda f: _leave_process(f, "forkserver"),
    "pool": _leave_pool,
    "forked self": _leave_fork,
    "thread": _leave_thread,
}


def leave(folder: str, what: str, then: str = "") -> int:
    """Leave something behind, and then return, fail or die; this process."""
    LEAVES[what](folder)
    if then == "fail":
        raise ValueError("told to fail")
    if then == "wait":
        _touch(folder, "began")
        time.sleep(LONG)
    if then == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


# What works


def _square(number: int) -> int:
    print("squaring")
    return number * number


def compute(method: str) -> list[Any]:
    """Squares by all that multiprocessing offers, and this process."""
    context = multiprocessing.get_context(method)
    results = context.Queue()
    process = context.Process(target=_put, args=(results,))
    process.start()
    one = results.get()
    process.join()
    with context.Pool(2) as pool:
        many = pool.map(_square, range(4))
    with concurrent.futures.ProcessPoolExecutor(2, context) as executor:
        more = list(executor.map(_square, range(4)))
    memory = shared_memory.SharedMemory(create=True, size=1)  # left to the tracker
    _kept.append(memory)
    return [one, many, more, process.exitcode, os.getpid()]


def _put(results: Any) -> None:
    results.put(_square(3))


async def await_something(value: int) -> int:
    """What an `async def` returns."""
    await asyncio.sleep(0)
    return value


def not_awaited() -> Any:
    """A coroutine that nobody awaits."""
    return await_something(1)


def generate() -> Iterator[int]:
    """A generator."""
    yield 1


async def generate_async() -> AsyncIterator[int]:
    """An asynchronous one."""
    yield 1


# What is changed


def look() -> dict[str, Any]:
    """All that a function can see of its process, but for the streams of its try."""
    root = logging.getLogger()
    mask = os.umask(0)
    os.umask(mask)
    return {
        "pid": os.getpid(),
        "directory": os.getcwd(),  # noqa: PTH109
        "environment": {k: v for k, v in os.environ.items() if "LC_" not in k},
        "umask": mask,
        "signals": [
            str(signal.getsignal(s)) for s in sorted(signal.valid_signals()) if s < signal.SIGRTMIN
        ],
        "mask": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "timers": [signal.getitimer(timer) for timer in range(3)],
        "logging": [str(root.handlers), root.level, root.manager.disable, root.disabled],
        "disabled": logging.getLogger("workers.tries.outcome").disabled,
        "filters": len(warnings.filters),
        "locale": locale.setlocale(locale.LC_ALL),
        "decimal": decimal.getcontext().prec,
        "path": sys.path,
        "streams": [str(sys.stdin), type(sys.stdout).__name__, type(sys.stderr).__name__],
        "hooks": [str(sys.excepthook), str(threading.excepthook), str(sys.unraisablehook)],
        "timeout": socket.getdefaulttimeout(),
        "limits": [resource.getrlimit(n) for n in range(16)],
        "recursion": sys.getrecursionlimit(),
        "gc": gc.isenabled(),
        "trace": str(sys.gettrace()),
        "user": [os.getuid(), os.geteuid()],
    }


def _ignore(*_: Any) -> None:
    pass


def _remove_directory() -> None:
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)  # noqa: PTH106


def _configure_logging() -> None:
    import logging.config

    logging.config.dictConfig(
        {
            "version": 1,
            "handlers": {"h": {"class": "logging.NullHandler"}},
            "root": {"level": "DEBUG", "handlers": ["h"]},
        }
    )


def _lower_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))


CHANGES = {
    "directory": lambda: os.chdir("/"),
    "removed directory": _remove_directory,
    "environment": lambda: os.environ.update({"PYDAG_CHANGED": "1", "PATH": "/nowhere"}),
    "no environment": os.environ.clear,
    "umask": lambda: os.umask(0o777),
    "signals": lambda: [signal.signal(s, _ignore) for s in (10, 12, 15, 17, 2)],
    "mask": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2}),
    "alarm": lambda: signal.alarm(1),
    "timer": lambda: [signal.setitimer(timer, 1) for timer in (0, 1, 2)],
    "root logger": lambda: logging.basicConfig(level=1, force=True),
    "logging.config": _configure_logging,
    "logging.disable": lambda: logging.disable(logging.CRITICAL),
    "filters": lambda: warnings.simplefilter("error"),
    "locale": lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"),
    "decimal": lambda: decimal.getcontext().__setattr__("prec", 3),
    "path": lambda: sys.path.insert(0, "/nowhere"),
    "streams": lambda: [setattr(sys, name, None) for name in ("stdin", "stdout", "stderr")],
    "hooks": lambda: [
        setattr(sys, "excepthook", _ignore),
        setattr(threading, "excepthook", _ignore),
    ],
    "timeout": lambda: socket.setdefaulttimeout(0.001),
    "limit": _lower_limit,
    "recursion": lambda: sys.setrecursionlimit(200),
    "gc": gc.disable,
    "trace": lambda: sys.settrace(lambda *_: None),
}
FOR_GOOD = {
    "user": lambda: os.setuid(65534),
    "root": lambda: os.chroot("/usr"),
}


def change(what: str) -> int:
    """Change something of this process, which it returns."""
    (CHANGES | FOR_GOOD)[what]()
    return os.getpid()


# Ends


def say_and_die(how: str, lines: int) -> None:
    """Print so many lines, then die."""
    for number in range(lines):
        print(f"line {number}")
    if how == "exit":
        os._exit(3)
    if how == "abort":
        os.abort()
    if how == "segfault":
        import ctypes

        ctypes.string_at(0)
    os.kill(os.getpid(), getattr(signal, how))
    time.sleep(LONG)
