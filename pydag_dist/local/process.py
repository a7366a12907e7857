"""A child process of ours: its own process group and log file, and it never outlives us."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydag_dist.errors import LocalServiceError
from pydag_dist.local.forked import Forked, PythonPart, fork

# Isolated and without site-packages: it costs 15 ms that way.
LEASH = (sys.executable, "-I", "-S", str(Path(__file__).with_name("leash.py")))
TAIL_LINES = 10


class Child:
    """A program of the embedded stack.

    It leads a process group, so that Ctrl-C in our terminal reaches us only and we stop the parts
    in their order, and so that nothing that it started stays behind. `grace` is how many seconds
    it may take to stop after SIGTERM. A `PythonPart` is a fork of this process.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str] | PythonPart,
        log: Path,
        env: Mapping[str, str],
        *,
        grace: float = 10,
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._env = env
        self._grace = grace
        self._process: subprocess.Popen[bytes] | Forked | None = None
        self._terminated = False

    @property
    def pid(self) -> int:
        """The process id; 0 before the start."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start the program; its output goes to a fresh log file."""
        self.log.unlink(missing_ok=True)
        # Appending: the processes that it starts write here, too, and must not overwrite it.
        with self.log.open("ab") as log:
            if isinstance(self._command, PythonPart):
                self._process = fork(self.name, self._command, self._env, log.fileno())
                return
            self._process = subprocess.Popen(
                [*LEASH, str(os.getpid()), *self._command],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    def check(self) -> None:
        """`LocalServiceError` with the last log lines if the program has ended by itself."""
        if self._process is not None and (code := self._process.poll()) is not None:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise LocalServiceError(f"{self.name} {how}. {self._last_words()}")

    def wait_until(
        self, healthy: Callable[[], bool], timeout: float, check: Callable[[], None]
    ) -> None:
        """Return when `healthy` is true; `check` is called meanwhile and may raise."""
        deadline = time.monotonic() + timeout
        while not healthy():
            self.check()
            check()
            if time.monotonic() > deadline:
                raise LocalServiceError(
                    f"{self.name} was not ready after {timeout:g} s. {self._last_words()}"
                )
            time.sleep(0.05)

    def finish(self, check: Callable[[], None]) -> None:
        """Wait for the end of a program that has one; `LocalServiceError` if it went wrong."""
        assert self._process is not None  # noqa: S101  it was started
        while (code := self._process.poll()) is None:
            check()
            time.sleep(0.02)
        if code:
            self.check()

    def terminate(self) -> None:
        """Ask the program to end, once, without waiting for it."""
        if self._process is not None and not self._terminated:
            self._process.terminate()
            self._terminated = True

    def stop(self) -> None:
        """End the program, and kill what is left of its group."""
        if self._process is None:
            return
        self.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(self._grace)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        quoted = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
        return f"Its last log lines, of {self.log}:\n{quoted}"
