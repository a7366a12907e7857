"""A log store in a directory, which may be a network's."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from pathlib import Path
from tempfile import NamedTemporaryFile

from pydag_dist.log_store.store import LogStoreAway


class Directory:
    """Objects as files; each appears as a whole. Only this user can read them."""

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
            self._root.parent.mkdir(parents=True, exist_ok=True)
            for folder in (self._root, file.parents[1], file.parent):  # each with this mode
                folder.mkdir(mode=0o700, exist_ok=True)
            with NamedTemporaryFile(dir=file.parent, prefix=".", delete=False) as written:
                try:
                    written.write(content)
                    written.close()
                    Path(written.name).replace(file)
                except BaseException:
                    with contextlib.suppress(OSError):
                        Path(written.name).unlink()
                    raise
        except OSError as error:
            raise self._away(error) from None

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
