"""``gcs.upload``: files of the worker's host, or a text, into objects."""

from __future__ import annotations

import base64
import hashlib
import io
import mimetypes
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO

import google_crc32c
from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Client

from pydag_dist.dag.params.gcs import GcsUpload
from workers.contract.context import TaskContext, parsed_params
from workers.contract.lineage import lineage
from workers.contract.operator import Operator
from workers.errors import HostLacks, TaskFailed
from workers.google import answers, clients
from workers.google.storage import Uri, blob_at, client_of, each, has_content

_CHUNK = 16 << 20  # bytes of one call


class Upload(Operator):
    """Result: destination, uploaded, unchanged, bytes.

    What is there with the same content stays: a try that is executed again goes on where the one
    before was.
    """

    def execute(self, context: TaskContext) -> dict[str, Any]:
        """Upload what is not there yet."""
        params = parsed_params(context, GcsUpload)
        uploader = _Uploader(context, client_of(context, params.connection), params)
        with answers.explained(f"uploading to {params.destination}"):
            each(_files(context, params), uploader.upload, uploader.sizes.append)
        if not uploader.sizes:
            raise TaskFailed(f"there is no file below {params.source} on {socket.gethostname()}")
        uploaded = [size for size in uploader.sizes if size is not None]
        unchanged = len(uploader.sizes) - len(uploaded)
        context.log.info("%d files uploaded, %d unchanged", len(uploaded), unchanged)
        return {
            "destination": params.destination,
            "uploaded": len(uploaded),
            "unchanged": unchanged,
            "bytes": sum(uploaded),
            **lineage([], [params.destination]),
        }


@dataclass(frozen=True)
class _File:
    """A file, or a text, and the object that it becomes."""

    path: Path | None
    content: bytes
    target: Uri


def _files(context: TaskContext, params: GcsUpload) -> Iterator[_File]:
    target = Uri.of(params.destination)
    if params.source is None:
        yield _File(None, (params.text or "").encode(), target)
        return
    path = Path(params.source)
    _check_allowed(context, os.path.realpath(path))
    if not params.source.endswith("/"):
        name = f"{target.name}{path.name}" if target.is_folder else target.name
        yield _File(path, b"", target._replace(name=name))
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            found = Path(folder, name)
            if not found.is_symlink():
                below = f"{target.name}{found.relative_to(path).as_posix()}"
                yield _File(found, b"", target._replace(name=below))


def _check_allowed(context: TaskContext, path: str) -> None:
    """Refuse what is not below one of the directories that the worker's settings name."""
    allowed = context.settings.uploads
    if not any(Path(path).is_relative_to(os.path.realpath(root)) for root in allowed):
        name = hashlib.sha256(path.encode()).hexdigest()[:8]
        raise HostLacks(
            f"{path} is in no directory that this worker may upload from (it may from "
            f"{', '.join(allowed) or 'none'}): add one to its setting uploads",
            f"uploads:{name}",
        )


def _opened(context: TaskContext, path: Path) -> BinaryIO:
    """The file, which may be changed or replaced by a link while it is looked at."""
    try:
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115  the caller closes it
    except OSError as error:
        raise TaskFailed(f"{path} on {socket.gethostname()}: {error.strerror}") from None
    try:
        _check_opened(context, path, file.fileno())
    except BaseException:
        file.close()
        raise
    return file


def _check_opened(context: TaskContext, path: Path, number: int) -> None:
    if not stat.S_ISREG(os.fstat(number).st_mode):
        raise TaskFailed(f"{path} on {socket.gethostname()} is not a file")
    own = f"/proc/self/fd/{number}"  # what is open, wherever links have led
    _check_allowed(context, os.path.realpath(own if os.path.lexists(own) else path))


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # of a pipe, whose other end nobody opens


@dataclass(frozen=True)
class _Uploader:
    context: TaskContext
    client: Client
    params: GcsUpload
    sizes: list[int | None] = field(default_factory=list)  # of each file; None: it was there

    def upload(self, file: _File, stop: Event) -> int | None:
        """The bytes that were uploaded; None if the same content was there already."""
        opened = _opened(self.context, file.path) if file.path else io.BytesIO(file.content)
        with opened as content:
            checksum, size = _checksum(content, stop)
            if stop.is_set():  # perhaps before the end of the file
                return None
            there = blob_at(self.context, self.client, file.target)
            if has_content(there, checksum, size):
                return None
            if there is not None and not self.params.overwrite:
                raise TaskFailed(
                    f"{file.target} is there with another content, and overwrite is false"
                )
            try:
                self._write(content, size, file.target, there.generation if there else 0)
            except PreconditionFailed:
                # Perhaps by a call of ours whose answer got lost.
                there = blob_at(self.context, self.client, file.target)
                if not has_content(there, checksum, size):
                    raise TaskFailed(
                        f"{file.target} was written by somebody else meanwhile"
                    ) from None
            except NotFound:
                raise TaskFailed(f"the bucket of {file.target} is not there") from None
        return size

    def _write(self, content: BinaryIO, size: int, target: Uri, generation: int) -> None:
        blob = self.client.bucket(target.bucket).blob(target.name, chunk_size=_CHUNK)
        clients.call(
            self.context.log,
            blob.upload_from_file,
            content,
            rewind=True,
            size=size,
            content_type=self.params.content_type or mimetypes.guess_type(target.name)[0],
            if_generation_match=generation,
            checksum="crc32c",
            retry=None,
        )


def _checksum(content: BinaryIO, stop: Event) -> tuple[str, int]:
    """As Cloud Storage writes it, and the size."""
    checksum, size = 0, 0
    while (data := content.read(_CHUNK)) and not stop.is_set():
        checksum = google_crc32c.extend(checksum, data)
        size += len(data)
    return base64.b64encode(checksum.to_bytes(4, "big")).decode(), size
