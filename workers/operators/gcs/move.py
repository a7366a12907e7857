"""``gcs.move``: an object, or all objects below a folder, copied and then deleted."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import Any

from google.cloud.storage import Blob, Client

from pydag_dist.dag.params.gcs import GcsMove
from workers.contract.context import TaskContext, parsed_params
from workers.contract.lineage import lineage
from workers.contract.operator import Operator
from workers.errors import TaskFailed
from workers.google import answers
from workers.google.storage import Uri, blob_at, client_of, each
from workers.operators.gcs.copying import Copier, into, nothing_found, pairs
from workers.operators.gcs.delete import delete


class Move(Operator):
    """Result: source, destination, moved, bytes.

    Each object is deleted after it was copied, in the generation that was copied. So a try that is
    executed again goes on where the one before was.
    """

    def execute(self, context: TaskContext) -> dict[str, Any]:
        """Move what is not there yet."""
        params = parsed_params(context, GcsMove)
        with answers.explained(f"moving {params.source} to {params.destination}"):
            client = client_of(context, params.connection)
            copier = Copier(context, client, overwrite=params.overwrite)

            def move(pair: tuple[Blob, Uri], stop: Event) -> int | None:
                source, target = pair
                if (source.bucket.name, source.name) == target:
                    raise TaskFailed(f"{target} would be moved to itself", final=True)
                size = copier.copy(pair, stop)
                if not stop.is_set():
                    delete(context, source, stop)
                return size

            each(_pairs(context, client, params), move, copier.count)
            moved = copier.copied + copier.unchanged
            if not (moved or params.allow_empty or _may_be_done(context)):
                raise nothing_found(params)
        context.log.info("%d objects moved (%d bytes copied)", moved, copier.bytes)
        return {
            "source": params.source,
            "destination": params.destination,
            "moved": moved,
            "bytes": copier.bytes,
            **lineage([params.source], [params.destination]),
        }


def _may_be_done(context: TaskContext) -> bool:
    """Whether this task may have moved everything before its worker died, or its time was over."""
    return context.is_repeated or context.try_number > 1


def _pairs(context: TaskContext, client: Client, params: GcsMove) -> Iterator[tuple[Blob, Uri]]:
    """What there is to move; not what is below the destination already, if that is below."""
    source, destination = Uri.of(params.source), Uri.of(params.destination)
    if not source.is_folder:
        target = into(destination, source)
        gone = _may_be_done(context) and blob_at(context, client, source) is None
        if gone and blob_at(context, client, target) is not None:
            context.log.info("%s was moved to %s before", source, target)
            return
    is_inside = source.bucket == destination.bucket and destination.name.startswith(source.name)
    for blob, target in pairs(context, client, params):
        if not (is_inside and source.is_folder and blob.name.startswith(destination.name)):
            yield blob, target
