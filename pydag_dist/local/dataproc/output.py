"""The driver's output as Dataproc publishes it: objects `driveroutput.000000000` and so on."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client
from google.cloud.storage.retry import DEFAULT_RETRY
from requests.exceptions import RequestException

CHUNK = 8 << 20
TAIL = 64 << 10

# The last line of a Python traceback, `pyspark.errors.AnalysisException: …`, or a JVM's.
_EXCEPTION = re.compile(
    rb"^(?:Exception in thread \"[^\"]*\" )?"
    rb"([A-Za-z_][\w.$]*(?:Error|Exception|Exit|Interrupt)\b.*)",
    re.MULTILINE,
)


class Bucketeer:
    """The few things that the service itself does in Cloud Storage."""

    def __init__(self, url: str) -> None:
        self._client = Client(
            project="local",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": url},
        )

    def make_bucket(self, project: str, name: str) -> None:
        """Create a bucket unless it is there."""
        if not self._client.lookup_bucket(name):
            self._client.create_bucket(name, project=project)

    def upload(self, uri: str, content: bytes, *, patience: float) -> None:
        """Write an object; try again for `patience` seconds."""
        bucket, name = split_uri(uri)
        self._client.bucket(bucket).blob(name).upload_from_string(
            content,
            content_type="application/octet-stream",
            retry=DEFAULT_RETRY.with_timeout(patience) if patience else None,
        )

    def download(self, uri: str, directory: Path) -> Path:
        """The object as a file of the same name; `FileNotFoundError` if there is none."""
        bucket, name = split_uri(uri)
        path = directory / Path(name).name
        try:
            self._client.bucket(bucket).blob(name).download_to_filename(str(path))
        except NotFound:
            raise FileNotFoundError(uri) from None
        return path


class DriverOutput:
    """Publishes a growing file. An object is whole or not there: its last one is replaced."""

    def __init__(self, file: Path, uri: str, storage: Bucketeer) -> None:
        self._file = file
        self._uri = uri
        self._storage = storage
        self._published = -1

    def publish(self, *, patience: float = 0) -> None:
        """Bring the objects up to what the file has now; try again for `patience` seconds."""
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
                self._storage.upload(f"{self._uri}.{index:09d}", content, patience=patience)
        self._published = size

    def try_to_publish(self, *, patience: float = 0) -> None:
        """`publish`, unless Cloud Storage is away: a later call makes up for it."""
        with contextlib.suppress(GoogleAPIError, RequestException):
            self.publish(patience=patience)

    def last_exception(self) -> str | None:
        """The exception that a failed driver reported last."""
        if not self._file.exists():
            return None
        with self._file.open("rb") as file:
            file.seek(max(0, self._file.stat().st_size - TAIL))
            found: Iterable[bytes] = _EXCEPTION.findall(file.read())
        lines = list(found)
        return lines[-1].decode(errors="replace").strip() if lines else None


def split_uri(uri: str) -> tuple[str, str]:
    """`gs://bucket/object` as bucket and object."""
    parts = urlsplit(uri)
    return parts.netloc, parts.path.removeprefix("/")
