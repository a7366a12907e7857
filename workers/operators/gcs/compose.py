"""``gcs.compose``: objects of a bucket concatenated into one, without moving their content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Blob, Client

from pydag_dist.dag.params.gcs import GcsCompose
from workers.contract.context import TaskContext, parsed_params
from workers.contract.lineage import lineage
from workers.errors import TaskFailed
from workers.google import answers, clients, remote_ids
from workers.google.storage import Uri, blob_at, blobs, client_of, files, sliced
from workers.google.versions import objects_at
from workers.result_cache.cached_operator import CachedOperator, Inputs, Version

_MOST = 32  # sources of one call
_TRY, _SOURCES = "pydag-try", "pydag-sources"  # metadata of what a try made


class Compose(CachedOperator):
    """Result: destination, sources, bytes, generation.

    The object carries the id of the try that made it: executed again, the try finds it done.
    """

    def execute(self, context: TaskContext) -> dict[str, Any]:
        """Compose, unless this try has."""
        params = parsed_params(context, GcsCompose)
        with answers.explained(f"composing {params.destination}"):
            client = client_of(context, params.connection)
            made = _Composer(context, client, Uri.of(params.destination)).made(params)
        return {
            "destination": params.destination,
            "sources": int(made.metadata[_SOURCES]),
            "bytes": made.size,
            "generation": made.generation,
            **lineage(params.sources, [params.destination]),
        }

    def inputs(self, context: TaskContext) -> Inputs:
        """The sources."""
        params = parsed_params(context, GcsCompose)
        with answers.explained("what is composed"):
            client = client_of(context, params.connection)
            reads = objects_at(context, client, params.sources)
        return Inputs({"params": context.params}, reads, [params.destination])

    def written(self, context: TaskContext, names: Sequence[str]) -> dict[str, Version]:
        """The composed object."""
        params = parsed_params(context, GcsCompose)
        with answers.explained(f"what is at {params.destination}"):
            client = client_of(context, params.connection)
            return objects_at(context, client, names)


@dataclass(frozen=True)
class _Composer:
    context: TaskContext
    client: Client
    destination: Uri

    @property
    def _id(self) -> str:
        return remote_ids.of_try("request", self.context)

    def made(self, params: GcsCompose) -> Blob:
        there = blob_at(self.context, self.client, self.destination)
        if there is None or not self._is_ours(there):
            there = self._make(params, there)
        else:
            self.context.log.info("%s is there, made by this try", self.destination)
        if int(there.metadata[_SOURCES]) > _MOST:
            self._clean_up()
        return there

    def _make(self, params: GcsCompose, there: Blob | None) -> Blob:
        sources = list(self._sources(params))
        about = {_TRY: self._id, _SOURCES: str(len(sources))}
        content_type = params.content_type or sources[0].content_type
        parts, level = sources, 0
        while len(parts) > _MOST:
            parts = [
                self._composed(f"{self._temporary}{level}-{index}", few, content_type)
                for index, few in enumerate(sliced(parts, _MOST))
            ]
            level += 1
        try:
            made = self._composed(
                self.destination.name,
                parts,
                content_type,
                metadata=about,
                if_generation_match=there.generation if there else 0,
            )
        except PreconditionFailed:
            # Perhaps by a call of ours whose answer got lost.
            made = blob_at(self.context, self.client, self.destination)
            if made is None or not self._is_ours(made):
                raise TaskFailed(
                    f"{self.destination} was written by somebody else meanwhile"
                ) from None
        self.context.log.info(
            "composed %s of %d objects, %d bytes", self.destination, len(sources), made.size
        )
        return made

    def _sources(self, params: GcsCompose) -> list[Blob]:
        """Each in the generation that it has now, which is the one that is composed."""
        found: list[Blob] = []
        for uri in map(Uri.of, params.sources):
            if uri.is_folder:
                below = blobs(self.context, self.client, uri.bucket, prefix=uri.name)
                inside = list(files(below))
                if not inside:
                    raise TaskFailed(f"there is no object below {uri}")
                found += inside
                continue
            blob = blob_at(self.context, self.client, uri)
            if blob is None:
                raise TaskFailed(f"{uri} is not there")
            found.append(blob)
        return [blob for blob in found if not blob.name.startswith(self._temporary)]

    def _composed(
        self,
        name: str,
        parts: list[Blob],
        content_type: str | None,
        *,
        metadata: dict[str, str] | None = None,
        **conditions: int,
    ) -> Blob:
        blob = self.client.bucket(self.destination.bucket).blob(name)
        blob.content_type = content_type
        blob.metadata = metadata
        try:
            clients.call(self.context.log, blob.compose, parts, retry=None, **conditions)
        except NotFound as error:
            raise TaskFailed(f"a source changed while it was composed: {error.message}") from None
        return blob

    @property
    def _temporary(self) -> str:
        return f"{self.destination.name}.{self._id}-"

    def _clean_up(self) -> None:
        for blob in blobs(
            self.context, self.client, self.destination.bucket, prefix=self._temporary
        ):
            try:
                clients.call(self.context.log, blob.delete, retry=None)
            except NotFound:  # by a call of ours whose answer got lost
                continue

    def _is_ours(self, blob: Blob) -> bool:
        return (blob.metadata or {}).get(_TRY) == self._id
