"""A Redis whose clock steps and whose disk is full when it is told so."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from tests.support.redis_server import RedisServer, server_binary

NO_LIBRARY = (
    "nothing sets the clock of a Redis here: libfaketime is missing (apt-get install libfaketime)"
)


def faketime() -> Path | None:
    """The library that changes the time of a process, if this machine has it."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


class FaultyServer(RedisServer):
    """Valkey behind a script that sets what a fault needs; the process is the server's."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._offset = directory / "clock"
        self.offset = 0.0  # seconds that its clock is ahead
        self.set_clock(0)
        script = directory / "server"
        # A write above the limit is an error then, not the end.
        lines = ["#!/bin/sh", "trap '' XFSZ"]
        if library := faketime():
            fakes = {
                "LD_PRELOAD": library,
                "FAKETIME_TIMESTAMP_FILE": self._offset,
                "FAKETIME_NO_CACHE": 1,
                "FAKETIME_DONT_FAKE_MONOTONIC": 1,
            }
            lines.append("export " + " ".join(f"{name}='{value}'" for name, value in fakes.items()))
        lines.append(f"exec '{server_binary('valkey')}' \"$@\"")
        script.write_text("\n".join(lines) + "\n")
        script.chmod(0o755)
        super().__init__(script, directory)

    def set_clock(self, offset: float) -> None:
        """Let the server's clock be so many seconds ahead of this machine's from now on."""
        self.offset = offset
        new = self._offset.with_suffix(".new")
        new.write_text(f"{offset:+.3f}\n")
        new.replace(self._offset)  # it is read at every look at the clock

    def fill_disk(self) -> None:
        """No file of it can grow any more, until `free_disk`."""
        files = (self.directory / "appendonlydir").iterdir()
        self._limit_files(max(file.stat().st_size for file in files))

    def free_disk(self) -> None:
        self._limit_files(resource.RLIM_INFINITY)

    def _limit_files(self, size: int) -> None:
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, hard))


def needs_faketime() -> None:
    """Skip the test where no clock can be set; where CI is true it fails."""
    if faketime() is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(NO_LIBRARY)
