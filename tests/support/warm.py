"""Processes that have imported the libraries of what tests start, and fork it.

A coordinator, a worker or an emulator imports for up to a second of a core, and tests start
hundreds of them. What is forked runs the same module as `python -m` would, as a process and a group
of its own that never outlives us. All processes that run tests fork from the same ones.
`PYDAG_TEST_COLD=1` starts every one by itself.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

# What each nursery has imported: that of the emulators, and that of everything else. None of
# `workers`: a worker shares memory with its pool, which it makes at the import. And none that
# starts a thread, as the client of BigQuery does.
EMULATORS, PRODUCT = "emulators", "product"
PRODUCT_LIBRARIES = (
    "alembic.command",
    "alembic.op",
    "celery.__main__",
    "celery.app.log",
    "celery.apps.worker",
    "celery.backends.redis",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.fixups.django",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.consumer",
    "celery.worker.consumer.delayed_delivery",
    "celery.worker.strategy",
    "google.auth.impersonated_credentials",
    "google.cloud.dataproc_v1",
    "google.cloud.storage",
    "kombu.pidbox",
    "kombu.transport.memory",
    "kombu.transport.redis",
    "psutil",
    "pydag_dist.cli",
    "pydag_dist.cli.commands.processes",
    "pydag_dist.client",
    "pydag_dist.coordinator",
    "pydag_dist.dag.planning.rendering",
    "pydag_dist.engine.celery.broker",
    "pydag_dist.engine.celery.chord",
    "pydag_dist.history.migrations",
    "pydag_dist.log_store.directory",
    "pydantic_settings.main",
    "sqlite3",
)
EMULATORS_LIBRARIES = (
    "pydag_emulators.bigquery.app",
    "pydag_emulators.dataproc.server",
    "pydag_emulators.gcs.app",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)
LIBRARIES = {EMULATORS: EMULATORS_LIBRARIES, PRODUCT: PRODUCT_LIBRARIES}
# Beside `python -m pydag_emulators…`, a module that is one of the emulators.
WITHOUT_SPARK = "tests.support.without_spark"
SIZE = 1 << 20  # of a request
# A `pydag` for a shell. It takes no signals.
PROGRAM = """\
#!{python} -IS
import json, os, select, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asked:
    asked.connect({address!r})
    request = {{"arguments": ["-P", "-m", "pydag_dist", *sys.argv[1:]]}}
    request |= {{"env": dict(os.environ), "cwd": os.getcwd()}}
    socket.send_fds(asked, [json.dumps(request).encode()], [0, 1, 2])
    pid = int(asked.recv(100))
    select.select([os.pidfd_open(pid)], [], [])
    asked.send(json.dumps({{"ended": pid}}).encode())
    status = int(asked.recv(100))
sys.exit(status if status >= 0 else 128 - status)
"""
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def can_fork(command: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether the command is a module for this Python, with nothing that it reads at its start."""
    return (
        sys.platform == "linux"
        and env.get("PYDAG_TEST_COLD") != "1"
        and command[0] == sys.executable
        and command[1] in ("-m", "-P")
        and "LD_PRELOAD" not in env
        and all(
            env[name] == os.environ.get(name)
            for name in env
            if name.startswith("PYTHON") and name != "PYTHONPATH"
        )
    )


def start(command: Sequence[str], env: Mapping[str, str], out: int, cwd: Path | None = None) -> Any:
    """Start the command, forked if it can be; its output goes to that open file."""
    if can_fork(command, env):
        module = command[2 + (command[1] == "-P")]
        emulator = module.startswith("pydag_emulators.") or module == WITHOUT_SPARK
        nursery = _nursery(EMULATORS if emulator else PRODUCT)
        return nursery.start(command[1:], env, out, cwd or Path.cwd())
    return subprocess.Popen(
        command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=out
    )


def program() -> str:
    """A program `pydag` that is forked if it can be."""
    if sys.platform == "linux" and os.environ.get("PYDAG_TEST_COLD") != "1":
        return f"{place()}/pydag"
    return str(Path(sys.executable).with_name("pydag"))


def place() -> str:
    """The directory of what we fork from."""
    return serve().name


@functools.cache
def serve() -> tempfile.TemporaryDirectory[str]:
    """The directory of sockets of processes that fork, one of each kind, which end with us.

    Beside them is a program `pydag` that is forked.
    """
    directory = tempfile.TemporaryDirectory(prefix="warm-")
    atexit.register(directory.cleanup)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env["JE_ARROW_MALLOC_CONF"] = "background_thread:false"  # pyarrow's, which is a thread
    for kind in LIBRARIES:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            listening.bind(f"{directory.name}/{kind}")
            listening.listen()
            process = subprocess.Popen(
                [sys.executable, "-P", __file__, kind, str(listening.fileno())],
                env=env,
                stdin=subprocess.PIPE,
                pass_fds=[listening.fileno()],
                process_group=0,  # a terminal interrupts us, and we end it
            )
        atexit.register(process.communicate)
    file = Path(directory.name) / "pydag"
    file.write_text(PROGRAM.format(python=sys.executable, address=f"{directory.name}/{PRODUCT}"))
    file.chmod(0o755)
    return directory


@functools.cache
def _nursery(kind: str) -> Nursery:
    return Nursery(f"{place()}/{kind}")


class Forked:
    """What `subprocess.Popen` is to a process that we started ourselves."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid
        self._ends = os.pidfd_open(pid)
        self._code: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        if self._code is None:
            if not select.select([self._ends], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            with self._lock:
                if self._code is None:
                    self._code = self._nursery.ask({"ended": self.pid})
                    os.close(self._ends)
        return self._code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The way to a process that forks."""

    def __init__(self, address: str) -> None:
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.connect(address)
        atexit.register(self.close)

    def close(self) -> None:
        """Go: what it started is killed."""
        self._socket.close()

    def start(
        self, arguments: Sequence[str], env: Mapping[str, str], out: int, cwd: Path
    ) -> Forked:
        request = {"arguments": arguments, "env": dict(env), "cwd": str(cwd)}
        return Forked(self, self.ask(request, out, out))

    def ask(self, request: Mapping[str, Any], *descriptors: int) -> int:
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(request).encode()], list(descriptors))
            return int(self._socket.recv(SIZE))


def main() -> None:
    """Import once somebody asks, and then fork and tell how what was forked has ended.

    It ends with who started it, whose end of its standard input is closed then. What it forked for
    somebody who has gone is killed.
    """
    owner = os.dup(0)
    with open(os.devnull) as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    forked: dict[socket.socket, set[int]] = {}
    with socket.socket(fileno=int(sys.argv[2])) as listening:
        if owner in select.select([owner, listening], [], [])[0]:
            return
        _load()
        while owner not in (readable := select.select([owner, listening, *forked], [], [])[0]):
            for each in readable:
                if each is listening:
                    forked[listening.accept()[0]] = set()
                elif not _answer(each, forked[each], [owner, listening, *forked]):
                    for pid in forked.pop(each):
                        os.kill(pid, signal.SIGKILL)
                        os.waitpid(pid, 0)
                    each.close()
    os._exit(0)  # DuckDB would tell of what has not been collected


def _load() -> None:
    for library in LIBRARIES[sys.argv[1]]:
        importlib.import_module(library)
    assert len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208
    gc.collect()
    gc.freeze()


def _answer(asking: socket.socket, forked: set[int], ours: list[Any]) -> bool:
    """Do what is asked; whether anybody is there."""
    text, descriptors, _, _ = socket.recv_fds(asking, SIZE, 3)
    if not text:
        return False
    request = json.loads(text)
    if pid := request.get("ended"):
        forked.discard(pid)
        answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    elif answer := os.fork():
        forked.add(answer)
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpgid(answer, answer)  # whoever of both is first
    else:
        for each in ours:
            os.close(each if isinstance(each, int) else each.detach())
        _become(request, descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    with contextlib.suppress(BrokenPipeError):
        asking.send(str(answer).encode())
    return True


def _become(request: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Of the standard files, output and errors are given, or all three."""
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for standard, descriptor in zip((2, 1, 0), reversed(descriptors), strict=False):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    # Those that are there may take a pipe for a file that they are at some place of.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    os.execv = _run_instead
    _run(request["arguments"])


def _run_instead(program: str, command: list[str]) -> NoReturn:
    """For `pydag worker`, which becomes Celery; whoever comes then gets the real one."""
    assert program == sys.executable
    os.execv = EXECV
    _run(command[1:])


def _run(arguments: list[str]) -> NoReturn:
    """As Python would, from its ``-m`` on; what it answers is the end of this process."""
    safe = arguments[0] == "-P"
    _, module, *rest = arguments[safe:]
    given = os.environ.get("PYTHONPATH", "")
    before = [*([] if safe else [os.getcwd()]), *filter(None, given.split(os.pathsep))]  # noqa: PTH109
    sys.path[:] = [*before, *LIBRARIES_PATH]
    sys.argv[:] = [module, *rest]
    status: Any = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code or 0
    if isinstance(status, int):
        _end(status)
    sys.exit(status)


def _end(status: int) -> None:
    """End as Python does, but for what takes it a tenth of a second of a core.

    It would free all that was imported, in pages that are shared until then.
    """
    threading._shutdown()
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError):  # Python says itself that nobody reads it
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


EXECV = os.execv
LIBRARIES_PATH = list(sys.path)

if __name__ == "__main__":
    main()
