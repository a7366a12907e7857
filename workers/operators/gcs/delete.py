"""``gcs.delete``: objects, and all objects below folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from threading import Event
from typing import Any

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Blob, Client

from pydag_dist.dag.params.gcs import GcsDelete
from workers.contract.context import TaskContext, parsed_params
from workers.contract.operator import Operator
from workers.google import answers, clients
from workers.google.storage import Uri, blob_at, blobs, client_of, each


class Delete(Operator):
    """Result: deleted, missing. Each object goes in the generation in which it was found."""

    def execute(self, context: TaskContext) -> dict[str, Any]:
        """Delete what is there."""
        params = parsed_params(context, GcsDelete)
        outcomes: Counter[bool] = Counter()
        with answers.explained("deleting objects"):
            client = client_of(context, params.connection)
            uris = [Uri.of(uri) for uri in (*params.uris, *params.folders)]
            found = _found(context, client, uris, params)
            each(found, partial(delete, context), lambda gone: outcomes.update([gone]))
        deleted, missing = outcomes[True], outcomes[False]
        context.log.info("%d objects deleted, %d were gone already", deleted, missing)
        return {"deleted": deleted, "missing": missing}


def _found(
    context: TaskContext, client: Client, uris: list[Uri], params: GcsDelete
) -> Iterator[Blob | None]:
    for uri in uris:
        if uri.is_folder:
            for blob in blobs(context, client, uri.bucket, prefix=uri.name):
                if params.are_wanted(blob.time_created):
                    yield blob
        else:
            yield blob_at(context, client, uri)


def delete(context: TaskContext, blob: Blob | None, stop: Event) -> bool:
    """Delete this generation; whether there was something to delete."""
    if blob is None or stop.is_set():
        return False
    by_name = blob.bucket.blob(blob.name)  # `blob` itself would not find another generation
    try:
        clients.call(context.log, by_name.delete, if_generation_match=blob.generation, retry=None)
    except NotFound:  # perhaps by a call of ours whose answer got lost
        return False
    except PreconditionFailed:
        context.log.info("gs://%s/%s was written meanwhile, and stays", blob.bucket.name, blob.name)
        return False
    return True
