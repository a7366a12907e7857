"""Who saved which file, and when: lines of JSON that are only ever added."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from pathlib import Path
from typing import Any, Final

from pydag_dist.web.problems import Refusal

MOST_BYTES: Final = 2_000_000  # of the journal; what it had before stays in a second file
TOLD: Final = 100  # newest entries of a file


class Journal:
    """The journal of one folder."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()

    def add(self, path: str, **facts: Any) -> None:
        """Note what was done to a file; `Refusal` if that is not possible, before it is done."""
        line = json.dumps({"at": time.time(), "path": path, **facts})
        try:
            with self._lock:
                self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._turn()
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                with open(os.open(self._file, flags, 0o600), "ab") as file:  # noqa: PTH123
                    file.write(f"{line}\n".encode())
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise Refusal(
                503, f"who saves what can't be noted ({error.strerror}): nothing was saved"
            ) from None

    def of(self, path: str) -> list[dict[str, Any]]:
        """What was done to a file, the newest first."""
        found: list[dict[str, Any]] = []
        for file in (self._file, self._older):
            with contextlib.suppress(OSError):
                for line in reversed(file.read_text("utf-8", errors="replace").splitlines()):
                    with contextlib.suppress(ValueError, AttributeError):
                        entry = json.loads(line)
                        if entry.get("path") == path:
                            found.append({k: v for k, v in entry.items() if k != "path"})
                    if len(found) == TOLD:
                        return found
        return found

    @property
    def _older(self) -> Path:
        return self._file.with_suffix(".1.jsonl")

    def _turn(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self._file.stat().st_size > MOST_BYTES:
                self._file.replace(self._older)
