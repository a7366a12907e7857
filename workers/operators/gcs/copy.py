"""``gcs.copy``: an object, or all objects below a folder, copied within Google."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Blob, Client

from pydag_dist.dag.params.gcs import GcsCopy
from workers.contract.context import TaskContext, parsed_params
from workers.contract.lineage import lineage
from workers.errors import TaskFailed
from workers.google import answers, clients
from workers.google.storage import Uri, blob_at, blobs, client_of, each, files
from workers.google.versions import version_of
from workers.result_cache.cached_operator import CachedOperator, Inputs, Version

_WILDCARD = re.compile(r"[*?\[\]{}\\]")


class Copy(CachedOperator):
    """Result: source, destination, copied, unchanged, bytes.

    Nothing runs in Google between two calls, so there is nothing to wait for without a slot.
    What is there with the same content stays: a try that is executed again goes on where the
    one before was.
    """

    def execute(self, context: TaskContext) -> dict[str, Any]:
        """Copy what is not there yet."""
        params = parsed_params(context, GcsCopy)
        with answers.explained(f"copying {params.source} to {params.destination}"):
            client = client_of(context, params.connection)
            copier = _Copier(context, client, overwrite=params.overwrite)
            each(_pairs(context, client, params), copier.copy, copier.count)
            if not (copier.copied or copier.unchanged or params.allow_empty):
                which = f" that matches {params.match}" if params.match else ""
                raise TaskFailed(
                    f"there is no object{which} below {params.source}, so nothing was copied: see "
                    "whether it is the right folder, or set allow_empty"
                )
        context.log.info("%s", copier.summary())
        return {
            "source": params.source,
            "destination": params.destination,
            "copied": copier.copied,
            "unchanged": copier.unchanged,
            "bytes": copier.bytes,
            **lineage([params.source], [params.destination]),
        }

    def inputs(self, context: TaskContext) -> Inputs:
        """The source's objects."""
        params = parsed_params(context, GcsCopy)
        with answers.explained(f"what is in {params.source}"):
            client = client_of(context, params.connection)
            reads = version_of(blob for blob, _ in _pairs(context, client, params))
        return Inputs({"params": context.params}, {params.source: reads}, [params.destination])

    def written(self, context: TaskContext, names: Sequence[str]) -> dict[str, Version]:
        """Of the destination's objects those that are, or were, copied to."""
        params = parsed_params(context, GcsCopy)
        with answers.explained(f"what is in {params.destination}"):
            client = client_of(context, params.connection)
            targets = {target.name for _, target in _pairs(context, client, params)}
            to = Uri.of(params.destination)
            there = blobs(context, client, to.bucket, prefix=to.name)
            version = version_of(blob for blob in there if blob.name in targets)
        return dict.fromkeys(names, version)


def _pairs(context: TaskContext, client: Client, params: GcsCopy) -> Iterator[tuple[Blob, Uri]]:
    """Each source object, of the generation that it has now, and where it goes."""
    source, destination = Uri.of(params.source), Uri.of(params.destination)
    if not source.is_folder:
        blob = blob_at(context, client, source)
        if blob is None:
            raise TaskFailed(f"{source} is not there: neither the object nor, perhaps, its bucket")
        if destination.is_folder:
            name = f"{destination.name}{source.name.rpartition('/')[2]}"
            destination = destination._replace(name=name)
        yield blob, destination
        return
    options = {}
    if params.match:
        if _WILDCARD.search(source.name):
            raise TaskFailed(f"{source} has characters of a glob, so match can't follow it")
        options["match_glob"] = f"{source.name}{params.match}"
    for blob in files(blobs(context, client, source.bucket, prefix=source.name, **options)):
        rest = blob.name.removeprefix(source.name)
        yield blob, destination._replace(name=f"{destination.name}{rest}")


@dataclass
class _Copier:
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
        if _same(source, there):
            return None
        if there is not None and not self.overwrite:
            raise TaskFailed(f"{target} is there with another content, and overwrite is false")
        try:
            self._rewrite(source, target, there.generation if there else 0, stop)
        except PreconditionFailed:
            # Perhaps by a call of ours whose answer got lost.
            if not _same(source, blob_at(self.context, self.client, target)):
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


def _same(source: Blob, there: Blob | None) -> bool:
    return there is not None and (there.crc32c, there.size) == (source.crc32c, source.size)
