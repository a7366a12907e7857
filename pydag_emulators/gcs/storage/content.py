"""The bytes of objects as files, and what follows from them."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import os
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c

_BLOCK = 1 << 20


class Content:
    """Bytes that are to become an object: a file beside the buckets."""

    def __init__(self, path: Path, *, append: bool = False) -> None:
        self.path = path
        self._file: BinaryIO = path.open("ab" if append else "wb")

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)

    def copy(self, source: Path, start: int, length: int) -> None:
        """Append a part of a file."""
        with source.open("rb") as file:
            file.seek(start)
            while length and (block := file.read(min(_BLOCK, length))):
                self._file.write(block)
                length -= len(block)

    def close(self) -> int:
        """Close the file; its size. What was written survives a kill -9."""
        self._file.close()
        return self.path.stat().st_size


def describe(path: Path) -> dict[str, Any]:
    """What follows from a file's content."""
    md5 = hashlib.md5(usedforsecurity=False)
    crc, size = 0, 0
    with path.open("rb") as file:
        stat = os.fstat(file.fileno())
        while block := file.read(_BLOCK):
            md5.update(block)
            crc = google_crc32c.extend(crc, block)
            size += len(block)
    return {
        "storageClass": "STANDARD",
        "contentType": "application/octet-stream",
        "size": size,
        "crc32c": base64.b64encode(crc.to_bytes(4, "big")).decode(),
        "md5Hash": base64.b64encode(md5.digest()).decode(),
        "mtime": stat.st_mtime_ns,
    }


def now() -> str:
    """The time now, as Google writes it."""
    return time_text(dt.datetime.now(dt.UTC))


def time_text(at: dt.datetime) -> str:
    """A time as Google writes it."""
    return at.isoformat().replace("+00:00", "Z")
