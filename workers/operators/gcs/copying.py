"""What ``gcs.copy`` and ``gcs.move`` share: which objects go where, and the copy of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Blob, Client

from pydag_dist.dag.params.gcs import TransferParams
from workers.contract.context import TaskContext
from workers.errors import TaskFailed
from workers.google import clients
from workers.google.storage import Uri, blob_at, blobs, files, has_content

_WILDCARD = re.compile(r"[*?\[\]{}\\]")


def pairs(
    context: TaskContext, client: Client, params: TransferParams
) -> Iterator[tuple[Blob, Uri]]:
    """Each source object, of the generation that it has now, and where it goes."""
    source, destination = Uri.of(params.source), Uri.of(params.destination)
    if not source.is_folder:
        blob = blob_at(context, client, source)
        if blob is None:
            raise TaskFailed(f"{source} is not there: neither the object nor, perhaps, its bucket")
        yield blob, into(destination, source)
        return
    options = {}
    if params.match:
        if _WILDCARD.search(source.name):
            raise TaskFailed(f"{source} has characters of a glob, so match can't follow it")
        options["match_glob"] = f"{source.name}{params.match}"
    found = files(blobs(context, client, source.bucket, prefix=source.name, **options))
    for blob in found:
        if not params.are_wanted(blob.time_created):
            continue
        rest = blob.name.removeprefix(source.name)
        yield blob, destination._replace(name=f"{destination.name}{rest}")


def into(destination: Uri, source: Uri) -> Uri:
    """Where one object goes: into a folder under its own name."""
    if not destination.is_folder:
        return destination
    return destination._replace(name=f"{destination.name}{source.name.rpartition('/')[2]}")


def nothing_found(params: TransferParams) -> TaskFailed:
    """That there was no object to take, which is a mistake as a rule."""
    which = f" that matches {params.match}" if params.match else ""
    if params.newer_than or params.older_than:
        which += " of the wanted time"
    return TaskFailed(
        f"there is no object{which} below {params.source}: see whether it is the right folder, or "
        "set allow_empty"
    )


@dataclass
class Copier:
    """Copies objects that are not there yet, and counts them."""

    context: TaskContext
    client: Client
    overwrite: bool
    copied: int = 0
    unchanged: int = 0
    bytes: int = 0

    def count(self, size: int | None) -> None:
        """Add what `copy` returned."""
        self.copied += size is not None
        self.unchanged += size is None
        self.bytes += size or 0
        if (self.copied + self.unchanged) % 1000 == 0:
            self.context.log.info("%s so far", self.summary())

    def summary(self) -> str:
        """The counts in words."""
        return f"{self.copied} objects copied ({self.bytes} bytes), {self.unchanged} unchanged"

    def copy(self, pair: tuple[Blob, Uri], stop: Event) -> int | None:
        """The bytes that were copied; None if the same content was there already."""
        source, target = pair
        there = blob_at(self.context, self.client, target)
        if has_content(there, source.crc32c, source.size):
            return None
        if there is not None and not self.overwrite:
            raise TaskFailed(f"{target} is there with another content, and overwrite is false")
        try:
            self._rewrite(source, target, there.generation if there else 0, stop)
        except PreconditionFailed:
            # Perhaps by a call of ours whose answer got lost.
            there = blob_at(self.context, self.client, target)
            if not has_content(there, source.crc32c, source.size):
                raise TaskFailed(f"{target} was written by somebody else meanwhile") from None
        except NotFound as error:
            what = f"gs://{source.bucket.name}/{source.name} #{source.generation}"
            raise TaskFailed(
                f"{what} changed, or the bucket of {target} is not there: {error.message}"
            ) from None
        return int(source.size)

    def _rewrite(self, source: Blob, target: Uri, generation: int, stop: Event) -> None:
        blob = self.client.bucket(target.bucket).blob(target.name)
        token = ""
        while token is not None and not stop.is_set():
            token, done, size = clients.call(
                self.context.log,
                blob.rewrite,
                source,
                token=token or None,
                if_generation_match=generation,
                retry=None,
            )
            if token is not None:
                self.context.log.info("%s: %d of %d bytes copied", target, done, size)
