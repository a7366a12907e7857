"""Parts as forks of the process that starts them: what all of them import is loaded once.

Each would import for up to a second of a core otherwise, and have for itself what all have alike.
On macOS, whose own libraries may not be used after a fork, and in a process with threads, a part is
a Python of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

# What two parts or more import: nothing that starts a thread, and nothing of `workers`, some of
# which is memory that one worker shares with its pool.
SHARED: Final = (
    "redis",
    "kombu.pidbox",
    "kombu.transport.redis",
    "celery.app.events",
    "celery.app.log",
    "celery.apps.worker",
    "celery.backends.redis",
    "celery.bin.worker",
    "celery.concurrency.prefork",
    "celery.events.receiver",
    "celery.fixups.django",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.consumer",
    "celery.worker.strategy",
    "pydantic_settings.main",
    "pydag_dist.checked_settings",
    "pydag_dist.client",
    "pydag_dist.dag.planning.rendering",
    "pydag_dist.doctor",
    "pydag_dist.engine.celery.broker",
    "pydag_dist.engine.celery.chord",
    "pydag_dist.engine.celery.estimates",
    "pydag_dist.engine.publications",
    "pydag_dist.engine.roles.working",
    "pydag_dist.why",
    "sqlalchemy.dialects.sqlite",
    "requests",
    "starlette.applications",
    "starlette.routing",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_PR_SET_NAME: Final = 15


@dataclass(frozen=True)
class PythonPart:
    """A program that is a module with a function `main`, which returns the exit status or None."""

    module: str
    arguments: tuple[str, ...]

    @property
    def command(self) -> list[str]:
        """How a Python of its own runs it; a folder of the current directory is no module."""
        return [sys.executable, "-P", "-m", self.module, *self.arguments]


def prepare(check: Callable[[], None]) -> bool:
    """Import what is shared; whether parts can be forks. `check` is called meanwhile."""
    if sys.platform != "linux":
        return False
    if not sys.flags.safe_path:
        del sys.path[0]  # the script's directory, or the current one
    for name in SHARED:
        with contextlib.suppress(ModuleNotFoundError):  # another version's: who needs it imports it
            import_module(name)
        check()
    # A collection that looks at it would write into it, and each part get its own.
    gc.collect()
    gc.freeze()
    return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208  threads, also those of libraries


class Forked:
    """What `subprocess.Popen` is to a program."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit status, negative if it is a signal's number; None while it runs."""
        if self._code is None and (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
            self._code = os.waitstatus_to_exitcode(ended[1])
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status when it has ended; `subprocess.TimeoutExpired`."""
        began = time.monotonic()
        while (code := self.poll()) is None:
            if timeout is not None and time.monotonic() - began > timeout:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.01)
        return code

    def terminate(self) -> None:
        """Ask it to end."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)


def fork(name: str, part: PythonPart, env: Mapping[str, str], log: int) -> Forked:
    """Start a part that writes to that open file, and dies with this process."""
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    # A signal to the part must not be taken by what handles it here.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        if (pid := os.fork()) == 0:
            os.setpgid(0, 0)
            libc = ctypes.CDLL(None)
            libc.prctl(_PR_SET_NAME, name.encode())
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == parent:  # else it went before we asked
                _become(name, part, env, log, mask)
            os._exit(1)
        with contextlib.suppress(ProcessLookupError):
            os.setpgid(pid, pid)  # whoever of both is first
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return Forked(pid)


def _become(name: str, part: PythonPart, env: Mapping[str, str], log: int, mask: set[int]) -> None:
    """What a new program would have: nothing of this process but its memory. It never returns."""
    code = 1
    try:
        _reset_files(log)
        for number in signal.valid_signals():
            if callable(signal.getsignal(number)):
                is_interrupt = number == signal.SIGINT
                signal.signal(
                    number, signal.default_int_handler if is_interrupt else signal.SIG_DFL
                )
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.environ.clear()
        os.environ.update(env)
        sys.argv[:] = [part.module, *part.arguments]
        _show_as(f"pydag up: {name}")
        code = _run(part.module)
    except BaseException:  # noqa: BLE001  nothing here may be unwound
        traceback.print_exc()
    finally:
        os._exit(code)


def _run(module: str) -> int:
    """Run it to the end that an interpreter makes of it; the exit status."""
    code: object = 1
    try:
        program = import_module(module)
        sys.argv[0] = str(program.__file__)  # by which Celery starts itself again at SIGHUP
        code = program.main()
    except SystemExit as error:
        code = error.code
    except BaseException:  # noqa: BLE001  as an interpreter does
        traceback.print_exc()
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001  waits for threads
    atexit._run_exitfuncs()  # noqa: SLF001
    sys.stdout.flush()
    return code if isinstance(code, int) else int(code is not None)


def _reset_files(log: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((nothing, log, log)):
        os.dup2(file, number)
    highest = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    os.closerange(3, min(highest, 1 << 16))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(write_through=True)  # type: ignore[union-attr]


def _show_as(title: str) -> None:
    """Let `ps` show a title, in the place of the command line and as long as that at most."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    begin, end = map(int, fields[45:47])  # arg_start and arg_end: man 5 proc_pid_stat
    room = end - begin
    ctypes.memmove(begin, title.encode()[: room - 1].ljust(room, b"\0"), room)
