"""The few things that the local Dataproc itself does in Cloud Storage."""

from __future__ import annotations

import contextlib
from pathlib import Path
from urllib.parse import urlsplit

from google.api_core.exceptions import Conflict, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client
from google.cloud.storage.retry import DEFAULT_RETRY


class Storage:
    """A client of the local server at `url`. Objects are named `gs://bucket/object`."""

    def __init__(self, url: str) -> None:
        self._client = Client(
            project="local",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": url},
        )

    def make_bucket(self, project: str, name: str) -> None:
        """Create a bucket unless it is there."""
        if not self._client.lookup_bucket(name):
            with contextlib.suppress(Conflict):  # somebody else has done so just now
                self._client.create_bucket(name, project=project)

    def upload(self, uri: str, content: bytes, *, timeout: float) -> None:
        """Write an object; try again for `timeout` seconds."""
        bucket, name = split_uri(uri)
        self._client.bucket(bucket).blob(name).upload_from_string(
            content,
            content_type="application/octet-stream",
            retry=DEFAULT_RETRY.with_timeout(timeout) if timeout else None,
        )

    def upload_file(self, uri: str, file: Path) -> None:
        """Write an object with a file's content."""
        bucket, name = split_uri(uri)
        self._client.bucket(bucket).blob(name).upload_from_filename(str(file))

    def delete_folder(self, uri: str) -> None:
        """Delete all objects below."""
        bucket, prefix = split_uri(f"{uri}/")
        for blob in self._client.list_blobs(bucket, prefix=prefix):
            blob.delete()

    def download(self, uri: str, directory: Path) -> Path:
        """The object as a file of the same name; `FileNotFoundError` if there is none."""
        bucket, name = split_uri(uri)
        path = directory / Path(name).name
        try:
            self._client.bucket(bucket).blob(name).download_to_filename(str(path))
        except NotFound:
            raise FileNotFoundError(uri) from None
        return path


def split_uri(uri: str) -> tuple[str, str]:
    """`gs://bucket/object` as bucket and object."""
    parts = urlsplit(uri)
    return parts.netloc, parts.path.removeprefix("/")
