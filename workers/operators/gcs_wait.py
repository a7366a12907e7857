"""``gcs.wait_object``: wait until objects are there, and new enough."""

from __future__ import annotations

import json
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from google.api_core.exceptions import NotFound
from google.cloud.storage import Blob, Client

from pydag_dist.dag.gcs_params import GcsWaitObject
from workers import google
from workers.errors import TaskFailed
from workers.operators.base import (
    Done,
    Handle,
    Pending,
    RemoteOperator,
    TaskContext,
    parsed_params,
)
from workers.operators.gcs import Uri, blob_at, blobs, client_of

_MOST_JSON = 60_000  # bytes of names in a result
_MOST_LISTED = 20_000  # objects of a folder that are listed to find some; then each is looked for
_FIELDS = "items(name,generation,size,timeCreated),nextPageToken"


class Search(NamedTuple):
    """A list that answers for some tasks: of an object, of a prefix, or of a glob."""

    kind: str
    bucket: str
    text: str

    @classmethod
    def of(cls, params: GcsWaitObject) -> Search:
        """What a task waits for."""
        for kind in ("object", "prefix", "glob"):
            if uri := getattr(params, kind):
                return cls(kind, *Uri.of(uri))
        raise AssertionError(params)  # the params have one

    @property
    def folder(self) -> tuple[str, str]:
        """Bucket and folder of an object."""
        return self.bucket, self.text.rpartition("/")[0]

    def __str__(self) -> str:
        return f"{self.kind} gs://{self.bucket}/{self.text}"


class WaitObject(RemoteOperator):
    """A sensor: it starts nothing, and asks. One list answers for all tasks that it can.

    Result: count, bytes, newest, objects.
    """

    first_interval = 2.0
    longest_interval = 30.0

    def local(self) -> bool:
        """Whether objects are in a Cloud Storage on this machine."""
        return google.local_storage()

    def handle(self, context: TaskContext) -> Handle:
        """Nothing is started, so there is nothing to name."""
        parsed_params(context, GcsWaitObject)  # params that are wrong fail at once
        return {}

    def submit(self, context: TaskContext) -> Handle:
        """Start nothing."""
        return self.handle(context)

    def poll(self, context: TaskContext, handle: Handle) -> Pending | Done:  # noqa: ARG002
        """Ask for one."""
        [answer] = self.answers([context])
        if isinstance(answer, TaskFailed):
            raise answer
        return answer

    def cancel(self, context: TaskContext, handle: Handle) -> None:
        """Nothing is there to cancel."""

    def answers(self, contexts: Sequence[TaskContext]) -> list[Pending | Done | TaskFailed]:
        """Ask for what several tasks of one connection wait for, with as few lists as it takes."""
        wanted = [parsed_params(context, GcsWaitObject) for context in contexts]
        client = client_of(contexts[0], wanted[0].connection)
        found = _Lister(contexts[0], client).found({Search.of(params) for params in wanted})
        return [_answer(params, found[Search.of(params)]) for params in wanted]


@dataclass(frozen=True)
class _Lister:
    context: TaskContext
    client: Client

    def found(self, searches: set[Search]) -> dict[Search, list[Blob] | TaskFailed]:
        """What there is for each."""
        found: dict[Search, list[Blob] | TaskFailed] = {}
        for some in _together(searches):
            try:
                with google.explained(f"looking for {some[0]}"):
                    found |= self._listed(some)
            except TaskFailed as failed:  # a bucket that isn't there must not fail the others'
                found |= dict.fromkeys(some, failed)
        return found

    def _listed(self, some: list[Search]) -> dict[Search, list[Blob]]:
        bucket = some[0].bucket
        try:
            if some[0].kind == "object":
                return self._objects(bucket, some)
            option = {"prefix": "prefix", "glob": "match_glob"}[some[0].kind]
            return {some[0]: list(self._blobs(bucket, **{option: some[0].text}))}
        except NotFound:
            raise TaskFailed(
                f"bucket {bucket} does not exist, so nothing can come into it: make it, or name "
                "another one"
            ) from None

    def _objects(self, bucket: str, some: list[Search]) -> dict[Search, list[Blob]]:
        """Objects of one folder: they are in its list, between the first and the last of them."""
        names = sorted(search.text for search in some)
        # What follows a name in order comes after it, so the end is just behind the last one.
        span = {"start_offset": names[0], "end_offset": f"{names[-1]}!"}
        listed = islice(self._blobs(bucket, **span), _MOST_LISTED)
        found: dict[str, Blob | None] = {blob.name: blob for blob in listed}
        if len(found) == _MOST_LISTED:
            for name in names[bisect(names, max(found)) :]:
                found[name] = blob_at(self.context, self.client, Uri(bucket, name))
        return {one: [blob] if (blob := found.get(one.text)) else [] for one in some}

    def _blobs(self, bucket: str, **options: object) -> Iterator[Blob]:
        return blobs(self.context, self.client, bucket, fields=_FIELDS, **options)


def _together(searches: set[Search]) -> list[list[Search]]:
    """Searches that one list answers: objects of a folder, else each its own."""
    folders: dict[tuple[str, str], list[Search]] = defaultdict(list)
    alone = []
    for search in sorted(searches):
        if search.kind == "object":
            folders[search.folder].append(search)
        else:
            alone.append([search])
    return [*folders.values(), *alone]


def _answer(params: GcsWaitObject, found: list[Blob] | TaskFailed) -> Pending | Done | TaskFailed:
    if isinstance(found, TaskFailed):
        return found
    search = Search.of(params)
    if params.newer_than:
        new = [blob for blob in found if blob.time_created > params.newer_than]
    else:
        new = found
    if len(new) < params.min_objects:
        if found and params.newer_than:
            newest = max(blob.time_created for blob in found).isoformat()
            return Pending(f"{search}: {len(new)} new of {len(found)}, the newest of {newest}")
        return Pending(f"{search}: {len(new)} of {params.min_objects}")
    uris = [f"gs://{search.bucket}/{blob.name}" for blob in new]
    return Done(
        {
            "count": len(new),
            "bytes": sum(blob.size for blob in new),
            "newest": max(blob.time_created for blob in new).isoformat(),
            # A list that lacks some would silently expand to too few tasks.
            "objects": uris if len(json.dumps(uris)) <= _MOST_JSON else None,
        }
    )
