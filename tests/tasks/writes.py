"""A module that writes in every way; its functions are called by tests of logs."""

# ruff: noqa: T201, LOG015, PTH123  what is written is the task's log
from __future__ import annotations

import base64
import ctypes
import faulthandler
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from urllib.parse import quote

from celery.utils.log import get_task_logger

from pydag_dist import Fail, Skip

KEPT = sys.stdout  # as libraries keep it
log = logging.getLogger("acme.etl")


class Told:
    """The lines of one call, in order; each has a number of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: list[str] = []

    def next(self, how: str) -> str:
        self.lines.append(f"{self.name} {len(self.lines)} {how}")
        return self.lines[-1]


def everything(name: str, rounds: int) -> list[str]:
    """Write in every way, one after the other; the lines that are to be in the log."""
    told = Told(name)
    for _ in range(rounds):
        _python(told)
        _logging(told)
        _processes(told)
        _redirections(told)
    print(told.next("without an end"), end="")
    return told.lines


def _python(told: Told) -> None:
    print(told.next("print"))
    print(told.next("stderr"), file=sys.stderr)
    print(told.next("kept stream"), file=KEPT)
    for character in told.next("character by character"):
        print(character, end="")
    print()
    sys.stdout.write(told.next("write") + "\n")
    sys.stdout.flush()
    sys.stdout.buffer.write(told.next("buffer").encode() + b"\n")
    sys.stdout.buffer.flush()
    sys.__stderr__.write(told.next("__stderr__") + "\n")
    os.write(1, told.next("os.write 1").encode() + b"\n")
    os.write(2, told.next("os.write 2").encode() + b"\n")
    with open("/dev/stdout", "w") as file:
        file.write(told.next("/dev/stdout") + "\n")
    with open(os.dup(1), "w") as file:
        file.write(told.next("dup") + "\n")
    thread = threading.Thread(target=print, args=(told.next("thread"),))
    thread.start()
    thread.join()
    libc = ctypes.CDLL(None)
    libc.puts(told.next("puts").encode())
    libc.fflush(None)
    assert not sys.stdout.isatty()
    assert sys.stdout.fileno() == 1
    sys.stdout.reconfigure(write_through=True)
    print(told.next("written through"))
    sys.stdout.reconfigure(write_through=False)


def _logging(told: Told) -> None:
    logging.info(told.next("logging.info"))
    logging.debug("not shown")
    log.warning("%s", told.next("a logger"))
    log.debug("not shown")
    warnings.warn_explicit(told.next("warning"), UserWarning, "file", 1)
    child = log.getChild("child")
    child.setLevel(logging.DEBUG)
    child.debug(told.next("debug of a logger that wants it"))
    child.setLevel(logging.NOTSET)
    handler = logging.StreamHandler()
    other = logging.getLogger("acme.handler")
    other.propagate = False
    other.addHandler(handler)
    other.error(told.next("a handler"))
    other.removeHandler(handler)
    get_task_logger("acme.celery").info(told.next("Celery's logger of a task"))


def _processes(told: Told) -> None:
    echo = ["echo", told.next("subprocess")]
    subprocess.run(echo, check=True)
    subprocess.run(["echo", told.next("stdout=sys.stdout")], stdout=sys.stdout, check=True)
    subprocess.run(["echo", told.next("to stderr")], stdout=sys.stderr, check=True)
    shell = f"echo {told.next('dev stderr')} > /dev/stderr; echo {told.next('shell')}"
    subprocess.run(shell, shell=True, check=True)
    os.system(f"echo {told.next('os.system')} >&2")
    context = multiprocessing.get_context("fork")
    for target, how in ((print, "multiprocessing"), (logging.warning, "its logging")):
        process = context.Process(target=target, args=(told.next(how),))
        process.start()
        process.join()
    script = f"import logging; logging.warning({told.next('of another Python')!r})"
    subprocess.run([sys.executable, "-c", script], check=True)
    if (pid := os.fork()) == 0:
        print(told.next("fork"), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
    told.next("fork")


def _redirections(told: Told) -> None:
    for number in (1, 2):
        spare = os.dup(number)
        os.close(number)
        os.dup2(spare, number)
        os.close(spare)
        os.write(number, told.next(f"after {number} was closed").encode() + b"\n")
    before, sys.stdout = sys.stdout, sys.stderr
    print(told.next("replaced stream"))
    sys.stdout = before


def odd() -> None:
    """What is no text, or no end of lines, or too long."""
    os.write(1, b"\xff\xfe invalid\n")
    os.write(1, b"a\0b\n")
    print("\x1b[31mred\x1b[0m \u202e")
    print("half \ud83d")
    for percent in range(0, 101, 10):
        sys.stderr.write(f"\r{percent} %")
    sys.stderr.write("\n")
    os.write(1, b"windows\r\n")
    print()
    print("x" * 20_000_000)
    for _ in range(80_000):
        print(".", end="")
    print()
    print("the end")


def flood(lines: int) -> None:
    """Very many short lines."""
    for number in range(lines):
        print(number)


def yes(seconds: float) -> None:
    """As much as there can be."""
    print("first")
    subprocess.run(["timeout", str(seconds), "yes"], check=False)
    print("last")


def waits(flag: str) -> None:
    """Write the beginning of a line, then wait."""
    print("a beginning", end="")
    while not Path(flag).exists():
        time.sleep(0.01)
    print("and an end")


def leaves(flag: str) -> None:
    """A thread and a process that write after the end."""

    def later() -> None:
        while True:
            os.write(1, b"too late\n")
            time.sleep(0.001)

    print("mine")
    threading.Thread(target=later, daemon=True).start()
    subprocess.Popen("while :; do echo too late; done", shell=True)
    if flag == "close":
        sys.stdout.close()
        os.close(1)
        os.close(2)


def warns() -> None:
    """Warn from the same line each time."""
    warnings.warn("mind this", stacklevel=1)


def enables_faulthandler_and_dies() -> None:
    """Crash after a last line."""
    faulthandler.enable()
    print("about to crash", end="", flush=True)
    ctypes.string_at(0)


def fails(how: str) -> None:
    """Fail in the function itself, or below a call into the package."""
    if how == "package":
        from pydag_dist import Dag

        Dag.parse({"dag_id": "x", "tasks": 3})
    raise ValueError("of mine")


async def fails_async() -> None:
    """Likewise, awaited."""
    raise ValueError("of mine")


def tells(secret: str, how: str) -> object:
    """Give a secret away in every way."""
    raw = secret.encode()
    for text in (secret, repr(secret), json.dumps([secret]), quote(secret), raw.hex()):
        print("print", text)
    print("base64", base64.b64encode(b"user:" + raw).decode())
    for character in f"in pieces {secret}":
        sys.stdout.write(character)
        sys.stdout.flush()
        time.sleep(0.05 if character in secret[3:5] else 0)
    print()
    log.warning("logged %s", secret)
    warnings.warn(f"warned of {secret}", stacklevel=1)
    subprocess.run(["/bin/echo", "echoed", secret], check=True)
    print(dict(os.environ))
    subprocess.run(["/usr/bin/env"], check=True)
    if how == "raise":
        error = ValueError(f"raised {secret}")
        error.add_note(f"noted {secret}")
        raise error from KeyError(f"caused by {secret}")
    if how == "fail":
        raise Fail(f"failed {secret}")
    if how == "skip":
        raise Skip(f"skipped {secret}")
    if how == "die":
        sys.stdout.write(f"last words {secret}")
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"returned": secret, secret: [f"in a list, {secret}!"]}
