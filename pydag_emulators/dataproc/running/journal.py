"""The journal: one JSON line per job that really ran, each exactly once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class Journal:
    """Appends whole lines that are on disk when `append` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if path.exists():
            whole = path.read_bytes().rpartition(b"\n")
            if whole[2]:  # a kill in the middle of a line
                os.truncate(path, len(whole[0]) + len(whole[1]))

    def has(self, uid: str) -> bool:
        """Whether the job with that unique id has its line."""
        if not self._path.exists():
            return False
        with self._path.open() as lines:
            return any(json.loads(line)["uuid"] == uid for line in lines)

    def append(self, record: dict[str, Any]) -> None:
        """Write one line; it is on disk when this returns."""
        with self._path.open("ab") as file:
            file.write(json.dumps(record).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
