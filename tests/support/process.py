"""A program that a test starts: waited for until it is ready, and ended for certain."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import SIGTERM
from typing import Any, Self, TypeVar

from tests.support import wait_until, warm

T = TypeVar("T")


class Process:
    """A program whose output goes to the end of `log`, over all its starts; ended with the block.

    Whatever is waited for in vain is an AssertionError that shows what the program wrote.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.command = [str(word) for word in command]
        self.log = log
        self._cwd = cwd
        self._env = env
        self._process: Any = None
        self._began = 0  # where in the log

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.end()

    def start(self) -> Self:
        """Start it; does not wait for anything."""
        with self.log.open("ab") as out:
            self._began = out.tell()
            env = os.environ if self._env is None else self._env
            self._process = warm.start(self.command, env, out.fileno(), self._cwd)
        return self

    @property
    def pid(self) -> int:
        return self._process.pid

    def text(self) -> str:
        """What it has written since its last start."""
        return self.log.read_bytes()[self._began :].decode(errors="replace")

    def poll(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    def wait_until(self, ready: Callable[[], T], what: str, timeout: float = 120) -> T:
        """The first true value of `ready`; an AssertionError if the program ends instead."""

        def ready_or_ended() -> T | None:
            if (code := self.poll()) is not None:
                raise AssertionError(f"it ended with {code} before {what}:\n{self.text()}")
            return ready()

        try:
            return wait_until(ready_or_ended, what, timeout)
        except AssertionError as error:
            error.add_note(f"{self.log}:\n{self.text()}")
            raise

    def wait_line(self, beginning: str) -> str:
        """The rest of the first line that begins so, as soon as it is whole."""

        def rest() -> list[str]:
            lines = self.text().split("\n")[:-1]
            return [line[len(beginning) :] for line in lines if line.startswith(beginning)]

        return self.wait_until(rest, f"it writes {beginning!r}")[0]

    def signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        self._process.send_signal(number)

    def wait(self, timeout: float = 120) -> int:
        """Its exit status, as soon as it ends; negative if it is a signal's number."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end in {timeout} s:\n{self.text()}") from None

    def end(self, number: int = SIGTERM) -> int:
        """Send it a signal, if it runs, and wait for its end: killed if it does not come."""
        self.signal(number)
        try:
            return self.wait()
        finally:
            self._process.kill()
            self._process.wait()
