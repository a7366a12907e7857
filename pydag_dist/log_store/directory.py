"""A log store in a directory, which may be a network's."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
from pathlib import Path

from pydag_dist.log_store.store import LogStoreAway


class Directory:
    """Objects as files; each appears as a whole. Only this user can read them."""

    writers = 1  # more would wait for Python's lock, and take twice the time of a processor

    def __init__(self, place: str) -> None:
        self._root = Path(place).expanduser().absolute()
        self.where = f"{self._root} on {socket.gethostname()}"

    def get(self, name: str) -> bytes | None:
        """The content of a file."""
        try:
            return (self._root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._away(error) from None

    def put(self, name: str, content: bytes) -> None:
        """Write a file beside it first, and then put it there."""
        file = self._root / name
        try:
            try:
                _write(file, content)
            except FileNotFoundError:
                self._make(file.parent)
                _write(file, content)
        except OSError as error:
            raise self._away(error) from None

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except FileNotFoundError:
            self._root.parent.mkdir(parents=True, exist_ok=True)
            for each in (self._root, folder.parent, folder):  # each with this mode
                each.mkdir(mode=0o700, exist_ok=True)

    def names_below(self, folder: str) -> list[str]:
        """The files of a run's tasks."""
        found = []
        try:
            with os.scandir(self._root / folder) as tasks:
                for task in tasks:
                    found += [f"{folder}/{task.name}/{file.name}" for file in Path(task).iterdir()]
        except FileNotFoundError:
            return found
        except OSError as error:
            raise self._away(error) from None
        return found

    def delete_below(self, folder: str) -> None:
        """Delete a folder with all files."""
        try:
            shutil.rmtree(self._root / folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._away(error) from None

    def _away(self, error: OSError) -> LogStoreAway:
        return LogStoreAway(f"the log store {self.where}: {error.strerror or error}")


def _write(file: Path, content: bytes) -> None:
    # Without `tempfile`, which takes twice the time, and there is a log for each try.
    part = f"{file.parent}/.{secrets.token_hex(8)}"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as written:  # noqa: PTH123  of a descriptor
            written.write(content)
        Path(part).replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(part).unlink()
        raise
