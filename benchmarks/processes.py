"""Starting the processes that are measured, and reading how much CPU each kind of them used."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import psutil

ROOT = Path(__file__).parents[1]


def wait_until(condition: Callable[[], bool], what: str, timeout: float = 600) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s in vain: {what}")
        time.sleep(0.01)


class Program:
    """A Python program of ours with its output in a file."""

    def __init__(self, log: Path, *arguments: str, environment: dict[str, str]) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for(self, text: str) -> None:
        """Wait until the program has written this; an error with its output if it ends before."""

        def said() -> bool:
            output = self.log.read_text(errors="replace")
            if self._process.poll() is not None:
                raise RuntimeError(f"it ended with {self._process.returncode}: {output}")
            return text in output

        wait_until(said, f"{text!r} in {self.log}", timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        family = psutil.Process(self.pid).children(recursive=True)
        self._process.kill()
        self._process.wait()
        for process in family:
            if process.is_running():
                process.kill()


class CpuMeter:
    """CPU seconds per kind of process since the meter was made."""

    def __init__(self, parents: dict[str, int], children_of: int) -> None:
        self._processes = {kind: [psutil.Process(pid)] for kind, pid in parents.items()}
        self._processes["children"] = psutil.Process(children_of).children()
        self._before = self._read()

    def used(self) -> dict[str, float]:
        now = self._read()
        return {kind: now[kind] - before for kind, before in self._before.items()}

    def _read(self) -> dict[str, float]:
        return {
            kind: sum(sum(process.cpu_times()[:2]) for process in processes)
            for kind, processes in self._processes.items()
        }
