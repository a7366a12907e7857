"""A log store in a bucket of Cloud Storage; needs ``pip install 'pydag-dist[gcs]'``."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any

from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from requests.exceptions import RequestException

from pydag_dist.errors import InvalidSettings
from pydag_dist.log_store.store import LogStoreAway

_SECONDS = 5.0  # without a byte, and without another attempt: the caller comes again
_ERRORS = (GoogleAPIError, GoogleAuthError, RequestException, OSError)


class Bucket:
    """Objects of a bucket below a prefix, with the host's own credentials."""

    writers = 8

    def __init__(self, place: str) -> None:
        self._name, _, folder = place.removeprefix("gs://").partition("/")
        if not self._name:
            raise InvalidSettings(f"PYDAG_LOG_STORE is {place}: must be gs://BUCKET/PREFIX")
        self._prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
        self.where = f"gs://{self._name}/{self._prefix}"

    @cached_property
    def _bucket(self) -> Any:
        # Else it asks for the bucket, too, in a thread that tries for two minutes, for its traces.
        os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
        if os.environ.get("STORAGE_EMULATOR_HOST"):  # which the client itself obeys
            client = storage.Client(project="local", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
        else:
            client = storage.Client()
        return client.bucket(self._name)

    def get(self, name: str) -> bytes | None:
        """The content of an object."""
        try:
            found = self._bucket.blob(self._prefix + name)
            content: bytes = found.download_as_bytes(
                raw_download=True, timeout=_SECONDS, retry=None
            )
        except NotFound as error:
            if "bucket" in str(error).lower() and "object" not in str(error).lower():
                raise self._away(error) from None
            return None
        except _ERRORS as error:
            raise self._away(error) from None
        return content

    def put(self, name: str, content: bytes) -> None:
        """Write an object."""
        try:
            self._bucket.blob(self._prefix + name).upload_from_string(
                content, content_type="application/gzip", timeout=_SECONDS, retry=None
            )
        except _ERRORS as error:
            raise self._away(error) from None

    def names_below(self, folder: str) -> list[str]:
        """The names of the objects."""
        try:
            found = self._bucket.list_blobs(prefix=f"{self._prefix}{folder}/", timeout=_SECONDS)
            return [blob.name.removeprefix(self._prefix) for blob in found]
        except _ERRORS as error:
            raise self._away(error) from None

    def delete_below(self, folder: str) -> None:
        """Delete the objects, a page at a time."""
        try:
            found = self._bucket.list_blobs(prefix=f"{self._prefix}{folder}/", timeout=_SECONDS)
            for blob in found:
                blob.delete(timeout=_SECONDS)
        except NotFound:  # somebody else was quicker
            pass
        except _ERRORS as error:
            raise self._away(error) from None

    def _away(self, error: Exception) -> LogStoreAway:
        return LogStoreAway(f"the log store {self.where}: {str(error).splitlines()[0][:300]}")
