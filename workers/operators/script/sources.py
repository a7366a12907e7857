"""Where a script's text comes from: one class for each kind of store."""

from __future__ import annotations

import functools
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import SecretStr

from pydag_dist.dag.script import ScriptPath
from workers.contract.context import TaskContext
from workers.errors import HostLacks, TaskFailed
from workers.google import answers
from workers.google.storage import Uri, blob_at, client_of, content

_READS = 3  # of a script that is written just then

# The table of a database store, see docs/workers.md.
_SELECT = "SELECT body FROM pydag_scripts WHERE path = :path"


class Script(NamedTuple):
    """A script's text, and a word that no other text of this script has."""

    data: bytes
    generation: str


class ScriptSource(ABC):
    """One script in its store."""

    @abstractmethod
    def generation(self) -> str:
        """That of the text as it is now; `TaskFailed` if there is none."""

    @abstractmethod
    def read(self) -> Script:
        """The text as it is now; `TaskFailed` if there is none."""


@dataclass(frozen=True)
class GcsSource(ScriptSource):
    """An object in Cloud Storage."""

    context: TaskContext
    path: ScriptPath
    connection: str | None

    def generation(self) -> str:
        """The object's own."""
        return str(self._blob().generation)

    def read(self) -> Script:
        """The content of one generation, whatever is written meanwhile."""
        for _ in range(_READS):
            blob = self._blob()
            with answers.explained(self._what):
                data = content(self.context, blob)
            if data is not None:
                return Script(data, str(blob.generation))
        raise TaskFailed(f"{self._what} changes faster than it can be read")

    @property
    def _what(self) -> str:
        return f"script {self.path} (gs://{self.path.bucket}/{self.path.object_name})"

    def _blob(self) -> Any:
        with answers.explained(self._what):
            client = client_of(self.context, self.connection)
            uri = Uri(self.path.bucket, self.path.object_name)
            blob = blob_at(self.context, client, uri)
        if blob is None:
            raise TaskFailed(f"{self._what} does not exist: neither it nor, perhaps, its bucket")
        return blob


@dataclass(frozen=True)
class FileSource(ScriptSource):
    """A file below one of the worker's directories."""

    path: ScriptPath
    roots: list[Path]

    def generation(self) -> str:
        """The content's: reading a file costs no more than asking for it."""
        return self.read().generation

    def read(self) -> Script:
        """The first file that there is."""
        name = f"{self.path.bucket}/{self.path.object_name}"
        for root in self.roots:
            file = (root / name).resolve()
            # A link may lead out of the directory that is trusted.
            if file.is_relative_to(root) and file.is_file():
                return _hashed(file.read_bytes())
        looked = ", ".join(str(root / name) for root in self.roots)
        raise TaskFailed(f"script {self.path} does not exist: looked for {looked}")


@dataclass(frozen=True)
class S3Source(ScriptSource):
    """An object in S3, or in what AWS_ENDPOINT_URL_S3 names; with the host's own credentials."""

    path: ScriptPath

    def generation(self) -> str:
        """The object's entity tag, which follows from its content."""
        return str(self._call("head_object")["ETag"])

    def read(self) -> Script:
        """The object as it is now."""
        found = self._call("get_object")
        return Script(found["Body"].read(), str(found["ETag"]))

    def _call(self, method: str) -> Mapping[str, Any]:
        client, errors = _s3()
        where = {"Bucket": self.path.bucket, "Key": self.path.object_name}
        try:
            return getattr(client, method)(**where)  # type: ignore[no-any-return]
        except errors as error:
            url = f"s3://{self.path.bucket}/{self.path.object_name}"
            raise TaskFailed(f"script {self.path} ({url}): {error}") from None


@dataclass(frozen=True)
class DatabaseSource(ScriptSource):
    """A row of the table pydag_scripts in a database of the worker's settings."""

    path: ScriptPath
    databases: Mapping[str, SecretStr]

    def generation(self) -> str:
        """The content's: one query either way."""
        return self.read().generation

    def read(self) -> Script:
        """The row's body."""
        from sqlalchemy import text  # noqa: PLC0415  few workers need it
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

        if (url := self.databases.get(self.path.bucket)) is None:
            defined = ", ".join(sorted(self.databases)) or "none"
            raise HostLacks(
                f"script {self.path}: database {self.path.bucket} is not defined on this worker "
                f"(defined: {defined}): add it to the table [worker.databases] of its settings",
                f"database:{self.path.bucket}",
            )
        try:
            with _engine(url.get_secret_value()).connect() as connection:
                body = connection.scalar(text(_SELECT), {"path": self.path.object_name})
        except SQLAlchemyError as error:
            # Its own message may name the URL, with a password in it.
            reason = str(getattr(error, "orig", None) or type(error).__name__)
            raise TaskFailed(f"script {self.path}: {reason}") from None
        if body is None:
            raise TaskFailed(
                f"script {self.path} does not exist: no row {self.path.object_name} in "
                f"pydag_scripts of database {self.path.bucket}"
            )
        return _hashed(str(body).encode())


def _hashed(data: bytes) -> Script:
    return Script(data, hashlib.sha256(data).hexdigest())


@functools.cache
def _s3() -> tuple[Any, tuple[type[Exception], ...]]:
    """The client, and the errors of its calls."""
    try:
        import boto3  # noqa: PLC0415  an extra
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    except ImportError:
        raise HostLacks(
            "scripts in S3 need boto3: pip install 'pydag-dist[s3]'", "package:boto3"
        ) from None
    retries = Config(retries={"mode": "standard", "max_attempts": 10})
    return boto3.client("s3", config=retries), (BotoCoreError, ClientError)


@functools.cache
def _engine(url: str) -> Any:
    from sqlalchemy import create_engine  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    return create_engine(url, poolclass=NullPool)  # a connection would sleep between two tasks
