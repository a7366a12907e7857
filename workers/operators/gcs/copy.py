"""``gcs.copy``: an object, or all objects below a folder, copied within Google."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydag_dist.dag.params.gcs import GcsCopy
from workers.contract.context import TaskContext, parsed_params
from workers.contract.lineage import lineage
from workers.google import answers
from workers.google.storage import Uri, blobs, client_of, each
from workers.google.versions import version_of
from workers.operators.gcs.copying import Copier, nothing_found, pairs
from workers.result_cache.cached_operator import CachedOperator, Inputs, Version


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
            copier = Copier(context, client, overwrite=params.overwrite)
            each(pairs(context, client, params), copier.copy, copier.count)
            if not (copier.copied or copier.unchanged or params.allow_empty):
                raise nothing_found(params)
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
            reads = version_of(blob for blob, _ in pairs(context, client, params))
        return Inputs({"params": context.params}, {params.source: reads}, [params.destination])

    def written(self, context: TaskContext, names: Sequence[str]) -> dict[str, Version]:
        """Of the destination's objects those that are, or were, copied to."""
        params = parsed_params(context, GcsCopy)
        with answers.explained(f"what is in {params.destination}"):
            client = client_of(context, params.connection)
            targets = {target.name for _, target in pairs(context, client, params)}
            to = Uri.of(params.destination)
            there = blobs(context, client, to.bucket, prefix=to.name)
            version = version_of(blob for blob in there if blob.name in targets)
        return dict.fromkeys(names, version)
