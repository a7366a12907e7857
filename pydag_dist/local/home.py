"""The directory of an embedded installation, and who runs on it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pydag_dist.errors import LocalServiceError

LEAST_FREE = 16 << 20  # bytes; on a full disk parts end without a word
PARTS = ("redis", "gcs", "bigquery", "dataproc", "logs")


class Home:
    """A directory for each service, `logs/`, `history.sqlite`; while something runs also `up.json`.

    Only the user can read what is in it, also where the home itself was there before. A lock, held
    by the process that runs here and dropped by the system when that dies, says whether `up.json`
    is true.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self._state = self.path / "up.json"

    def directory(self, name: str) -> Path:
        """A directory of the home for its user only; made if need be."""
        path = self.path / name
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
        return path

    def redis_config(self) -> tuple[Path, str]:
        """A configuration file for Redis, and the password that it sets.

        It is made once, so that a terminal with the exports of `pydag env` stays valid.
        """
        path = self.path / "redis.conf"
        with contextlib.suppress(FileNotFoundError):
            path.chmod(0o600)
            if found := re.fullmatch(r"requirepass (\w{32,})\n", path.read_text()):
                return path, found[1]
        password = secrets.token_hex(32)
        with self._replacing(path) as file:
            file.write(f"requirepass {password}\n")
        return path, password

    def clear(self) -> None:
        """Remove the data of all parts; for who has locked the home."""
        for name in PARTS:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self.path / name)
        for file in (self.path / "seeded", *self.path.glob("history.sqlite*")):
            file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Own the home; `LocalServiceError` if another process does."""
        with self._opened_lock() as lock:
            if not _lock(lock.fileno(), attempts=10):
                raise LocalServiceError(
                    f"{self._running()} runs with the home {self.path} already: stop it, or give "
                    "this one a directory of its own with PYDAG_HOME"
                )
            self._state.unlink(missing_ok=True)  # left by one that was killed
            try:
                yield
            finally:
                self._state.unlink(missing_ok=True)

    def _opened_lock(self) -> IO[str]:
        try:
            # Keys and data of the user: nobody else's business.
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in PARTS:
                self.directory(name)
            lock = (self.path / "lock").open("a")
        except OSError as error:
            raise LocalServiceError(
                f"{error.filename or self.path} can't be written ({error.strerror}): set "
                "PYDAG_HOME to a directory of yours"
            ) from None
        if shutil.disk_usage(self.path).free < LEAST_FREE:
            lock.close()
            raise LocalServiceError(
                f"The disk of the home {self.path} is full: make room, or set PYDAG_HOME to a "
                "directory on another one"
            )
        return lock

    def write_state(self, state: dict[str, Any]) -> None:
        """Say what runs here; readers see the old state or the new one, never a part."""
        with self._replacing(self._state) as file:
            json.dump(state, file, indent=2)
            file.write("\n")

    def read_state(self) -> dict[str, Any]:
        """What runs here; `LocalServiceError` if nothing does."""
        try:
            with (self.path / "lock").open("a") as lock:
                free = _lock(lock.fileno())
            state: dict[str, Any] = json.loads(self._state.read_text())
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            raise LocalServiceError(
                f"Nothing runs with the home {self.path}: start it with `pydag up`"
            ) from None
        if free:
            raise LocalServiceError(
                f"The `pydag up` of the home {self.path} was killed: start it again"
            )
        return state

    @contextlib.contextmanager
    def _replacing(self, path: Path) -> Iterator[IO[str]]:
        """A file for its user only that takes the place of `path`."""
        with tempfile.NamedTemporaryFile("w", dir=self.path, suffix=".tmp", delete=False) as file:
            yield file
        Path(file.name).replace(path)

    def _running(self) -> str:
        try:
            pid = json.loads(self._state.read_text())["pid"]
        except FileNotFoundError:  # it is just starting or stopping
            return "A `pydag up` or `pydag demo`"
        return f"A `pydag up` or `pydag demo` (process {pid})"


def _lock(descriptor: int, attempts: int = 1) -> bool:
    """Whether the lock is ours now. A reader of the state has it for a moment: try again then."""
    for attempt in range(attempts):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt + 1 < attempts:
                time.sleep(0.05)
        else:
            return True
    return False
