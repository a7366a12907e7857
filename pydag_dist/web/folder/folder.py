"""Reads and writes files of one folder; no path and no link leads out of it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, NoReturn

from pydag_dist.dag import limits
from pydag_dist.web.folder.names import DEEPEST, SUFFIX, may_be_called, parts_of
from pydag_dist.web.problems import Refusal

MOST: Final = 10_000  # files that are listed
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would wait
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Entry:
    """A file of the folder; `modified_at` in epoch seconds, by this host's clock."""

    path: str
    bytes: int
    modified_at: float


def etag_of(content: bytes) -> str:
    """By which a file's content is known."""
    return sha256(content).hexdigest()[:32]


class Folder:
    """The folder. Threads, and processes of this host, may use it at the same time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()

    def files(self) -> list[Entry]:
        """The DAG files, by their paths; refused if they are too many."""
        found: list[Entry] = []
        with self._opened([]) as top:
            self._gather(top, "", found)
        return sorted(found, key=lambda entry: entry.path)

    def read(self, path: str) -> bytes | None:
        """A file's content; None if there is no such file."""
        *folders, name = parts_of(path)
        try:
            with self._opened(folders) as folder:
                return _content(folder, name)
        except FileNotFoundError:
            return None

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Inside, nobody else who asks by this class changes a file."""
        with self._lock, self._opened([]) as top:
            fcntl.flock(top, fcntl.LOCK_EX)
            yield

    def write(self, path: str, content: bytes) -> None:
        """Let the file have that content, as a whole or not at all; inside `changing` only."""
        *folders, name = parts_of(path)
        with self._opened(folders, make=True) as folder:
            _refuse_alike(folder, name)
            mode = 0o644
            with contextlib.suppress(FileNotFoundError):
                mode = stat.S_IMODE(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
            new = f".{secrets.token_hex(8)}.new"
            try:
                with open(os.open(new, _NEW, 0o600, dir_fd=folder), "wb") as file:  # noqa: PTH123
                    file.write(content)
                    file.flush()
                    os.fchmod(file.fileno(), mode)
                    os.fsync(file.fileno())
                os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.unlink(new, dir_fd=folder)
                _refuse(error)
            os.fsync(folder)

    def delete(self, path: str) -> None:
        """Delete the file; inside `changing` only."""
        *folders, name = parts_of(path)
        with self._opened(folders) as folder:
            try:
                os.unlink(name, dir_fd=folder)
            except OSError as error:
                _refuse(error)
            os.fsync(folder)

    @contextmanager
    def _opened(self, folders: Sequence[str], *, make: bool = False) -> Iterator[int]:
        """A folder within, opened step by step, so that no link is followed meanwhile."""
        try:
            at = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Refusal(503, f"the folder of files can't be opened: {error.strerror}") from None
        try:
            for name in folders:
                if make:
                    with contextlib.suppress(FileExistsError):
                        _refuse_alike(at, name)
                        os.mkdir(name, 0o755, dir_fd=at)
                within = _open(name, _FOLDER, at)
                os.close(at)
                at = within
            yield at
        finally:
            os.close(at)

    def _gather(self, folder: int, before: str, found: list[Entry]) -> None:
        for name in sorted(os.listdir(folder)):
            try:
                about = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except OSError:
                continue  # it was there a moment ago
            if not may_be_called(name):
                continue
            if stat.S_ISDIR(about.st_mode) and before.count("/") < DEEPEST - 1:
                try:
                    within = _open(name, _FOLDER, folder)
                except (Refusal, FileNotFoundError):
                    continue
                try:
                    self._gather(within, f"{before}{name}/", found)
                finally:
                    os.close(within)
            elif stat.S_ISREG(about.st_mode) and name.endswith(SUFFIX):
                found.append(Entry(before + name, about.st_size, about.st_mtime))
                if len(found) > MOST:
                    raise Refusal(409, f"the folder has more than {MOST:,} DAG files")


def _content(folder: int, name: str) -> bytes:
    opened = _open(name, _FILE, folder)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise Refusal(409, f"{name} is no file")
    with os.fdopen(opened, "rb") as file:
        content = file.read(limits.DAG_BYTES + 1)
    if len(content) > limits.DAG_BYTES:
        raise Refusal(409, f"{name} has more than {limits.DAG_BYTES:,} bytes")
    return content


def _open(name: str, flags: int, folder: int) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EMLINK}:
            raise Refusal(409, f"{name} is a link, and links are not followed") from None
        if error.errno == errno.ENOTDIR:
            raise Refusal(409, f"{name} is no folder, or a link") from None
        _refuse(error)


def _refuse_alike(folder: int, name: str) -> None:
    """Refuse a new name that differs from another one by capitals only."""
    names = os.listdir(folder)
    if name not in names:
        for other in names:
            if other.casefold() == name.casefold():
                raise Refusal(409, f"{name}: there is {other}, and some systems see no difference")


def _refuse(error: OSError) -> NoReturn:
    if isinstance(error, FileNotFoundError):
        raise error
    raise Refusal(409, f"the file system refuses it: {error.strerror}") from None
