"""The driver's output as Dataproc publishes it: objects `driveroutput.000000000` and so on."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

from google.api_core.exceptions import GoogleAPIError
from requests.exceptions import RequestException

from pydag_emulators.dataproc.storage import Storage

CHUNK = 8 << 20
TAIL = 64 << 10

# The last line of a Python traceback, `pyspark.errors.AnalysisException: …`, or a JVM's.
_EXCEPTION = re.compile(
    rb"^(?:Exception in thread \"[^\"]*\" )?"
    rb"([A-Za-z_][\w.$]*(?:Error|Exception|Exit|Interrupt)\b.*)",
    re.MULTILINE,
)


class DriverOutput:
    """Publishes a growing file as objects. The last object is replaced when the file has grown."""

    def __init__(self, file: Path, uri: str, storage: Storage) -> None:
        self._file = file
        self._uri = uri
        self._storage = storage
        self._published = -1

    def publish(self, *, timeout: float = 0) -> None:
        """Write what the file has now to the objects; try again for `timeout` seconds."""
        size = self._file.stat().st_size if self._file.exists() else 0
        if size == self._published:
            return
        first = max(self._published, 0) // CHUNK
        with self._file.open("rb") if size else contextlib.nullcontext() as file:
            for index in range(first, max(size - 1, 0) // CHUNK + 1):
                content = b""
                if file:
                    file.seek(index * CHUNK)
                    content = file.read(min(CHUNK, size - index * CHUNK))
                self._storage.upload(f"{self._uri}.{index:09d}", content, timeout=timeout)
        self._published = size

    def try_to_publish(self, *, timeout: float = 0) -> None:
        """Call `publish`; if Cloud Storage can't be reached, a later call does it."""
        with contextlib.suppress(GoogleAPIError, RequestException):
            self.publish(timeout=timeout)

    def last_exception(self) -> str | None:
        """The exception that a failed driver reported last."""
        if not self._file.exists():
            return None
        with self._file.open("rb") as file:
            file.seek(max(0, self._file.stat().st_size - TAIL))
            found: Iterable[bytes] = _EXCEPTION.findall(file.read())
        lines = list(found)
        return lines[-1].decode(errors="replace").strip() if lines else None
