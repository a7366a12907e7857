"""Running an iac script: Python in a child process that dies with the worker's child."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from pydag_dist.errors import Fail, Skip
from workers.contract.context import TaskContext
from workers.errors import TaskFailed
from workers.operators.script.fill import Marked

# What a script may know of the worker: no variable with a secret is among these.
_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "BIGQUERY_EMULATOR_HOST",
    "STORAGE_EMULATOR_HOST",
    "DATAPROC_EMULATOR_HOST",
)
# The text that is run has marks in it, so that columns differ from the script's.
_PLAIN = ("-X", "no_debug_ranges")
# Isolated: neither the script's directory nor PYTHON* variables decide what is imported.
_COMMAND = (
    sys.executable,
    "-I",
    "-u",
    "-X",
    "utf8",
    *_PLAIN,
    "-m",
    "workers.iac.child",
)
_CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"
_VERDICT = ".pydag-verdict"  # what the script raised to say how its task ends
_LAST_LINES = 20
_DRAIN = 5.0  # seconds for output after the process has ended


def run(context: TaskContext, name: str, text: Marked, connection: str | None) -> None:
    """Execute `text`, whose class `name` does the work; `TaskFailed` unless it exits with 0.

    `Skip` and `Fail` if that is what the script raised.

    However this call ends, no process of the script is left behind.
    """
    with tempfile.TemporaryDirectory(prefix="pydag-iac-") as directory:
        verdict = Path(directory) / _VERDICT
        about = {"name": name, "parent": os.getpid(), "verdict": str(verdict)}
        request = json.dumps({**vars(text), **about})
        process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            cwd=directory,
            env=_environment(context, connection),
            start_new_session=True,
        )
        stdin, stdout = cast("tuple[IO[str], IO[str]]", (process.stdin, process.stdout))
        last: deque[str] = deque(maxlen=_LAST_LINES)
        reader = threading.Thread(target=_forward, args=(stdout, context.log, last), daemon=True)
        reader.start()
        try:
            with suppress(BrokenPipeError), stdin:  # it died: its exit status and output say why
                stdin.write(request)
            # Not reaped yet, so that its id still is its group's when that is killed.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
            reader.join(_DRAIN)
        if status and verdict.is_file():
            kind, why = json.loads(verdict.read_text(encoding="utf-8"))
            raise (Skip if kind == Skip.__name__ else Fail)(why)
    if status:
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        raise TaskFailed("\n".join([f"iac script {name} failed with {how}:", *last]))


def _environment(context: TaskContext, connection: str | None) -> dict[str, str]:
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    found = context.settings.connection_of(connection)
    if found is not None and found.impersonate:
        raise TaskFailed(
            f"connection {connection or context.settings.connection} impersonates "
            f"{found.impersonate}, which an iac script, with clients of its own, can't: name a "
            "connection with a key_file alone, or one without"
        )
    if found is not None and found.key_file is not None:
        environment[_CREDENTIALS] = str(found.key_file)
    elif _CREDENTIALS in os.environ:
        environment[_CREDENTIALS] = os.environ[_CREDENTIALS]
    return environment


def _forward(output: IO[str], log: logging.Logger, last: deque[str]) -> None:
    with output:
        for line in output:
            log.info("%s", line.rstrip("\n"))
            last.append(line.rstrip("\n"))
