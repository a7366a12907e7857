"""``gcs.wait_object``: wait until objects are there, new enough, and at rest; or until none is."""

from __future__ import annotations

import json
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from google.api_core.exceptions import NotFound
from google.cloud.storage import Blob, Client

from pydag_dist.dag.params.gcs import GcsWaitObject
from workers.contract.answer import Done, Handle, Pending
from workers.contract.context import TaskContext, parsed_params
from workers.errors import TaskFailed
from workers.google import clients
from workers.google.access import access_to
from workers.google.sensor import GoogleSensor
from workers.google.storage import Uri, blob_at, blobs, client_of, files

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


class WaitObject(GoogleSensor[Search, list[Blob]]):
    """Waits for objects. One list answers for all tasks that it can.

    Result: count, bytes, newest, objects.
    """

    place_names = ("connection",)
    first_interval = 2.0
    longest_interval = 30.0

    def local(self) -> bool:
        """Whether objects are in a Cloud Storage on this machine."""
        return clients.local_storage()

    def handle(self, context: TaskContext) -> Handle:
        """Nothing is started, so there is nothing to name."""
        connection = parsed_params(context, GcsWaitObject).connection
        access_to(context.settings, connection)  # fails here, before it makes a group of polls
        return {"connection": connection}

    def wanted(self, context: TaskContext) -> Search:
        """The list that answers for the task."""
        return Search.of(parsed_params(context, GcsWaitObject))

    def together(self, wanted: Iterable[Search]) -> Iterable[tuple[str, list[Search]]]:
        """Objects of a folder, which one list has; else each search its own."""
        folders: dict[tuple[str, str], list[Search]] = defaultdict(list)
        alone = []
        for search in sorted(wanted):
            if search.kind == "object":
                folders[search.folder].append(search)
            else:
                alone.append([search])
        return [(str(searches[0]), searches) for searches in (*folders.values(), *alone)]

    def find(
        self, context: TaskContext, handle: Handle, wanted: Sequence[Search]
    ) -> dict[Search, list[Blob]]:
        """What there is for each of the searches that `together` put together."""
        return _Lister(context, client_of(context, handle["connection"])).found(wanted)

    def judge(
        self, context: TaskContext, wanted: Search, found: list[Blob] | None
    ) -> Pending | Done:
        """Whether there are enough, and new ones, and nobody writes more; or none."""
        params, found = parsed_params(context, GcsWaitObject), found or []
        if params.absent and found:
            return Pending(f"{wanted}: {len(found)} still there")
        if params.absent:
            return Done({"count": 0, "bytes": 0, "newest": None, "objects": []})
        if params.newer_than:
            new = [blob for blob in found if blob.time_created > params.newer_than]
        else:
            new = found
        if len(new) < params.min_objects:
            if found and params.newer_than:
                newest = max(blob.time_created for blob in found).isoformat()
                return Pending(f"{wanted}: {len(new)} new of {len(found)}, the newest of {newest}")
            return Pending(f"{wanted}: {len(new)} of {params.min_objects}")
        newest = max(blob.time_created for blob in found)
        if params.quiet_for and (datetime.now(UTC) - newest).total_seconds() < params.quiet_for:
            return Pending(
                f"{wanted}: {len(new)}, the newest written {newest.isoformat()}, less than "
                f"{params.quiet_for:g} s ago"
            )
        uris = [f"gs://{wanted.bucket}/{blob.name}" for blob in new]
        return Done(
            {
                "count": len(new),
                "bytes": sum(blob.size for blob in new),
                "newest": max(blob.time_created for blob in new).isoformat(),
                # A list that lacks some would silently expand to too few tasks.
                "objects": uris if len(json.dumps(uris)) <= _MOST_JSON else None,
            }
        )


@dataclass(frozen=True)
class _Lister:
    context: TaskContext
    client: Client

    def found(self, together: Sequence[Search]) -> dict[Search, list[Blob]]:
        """What there is for each; `together` are objects of one folder, or one of another kind."""
        first = together[0]
        try:
            if first.kind == "object":
                return self._objects(first.bucket, together)
            option = {"prefix": "prefix", "glob": "match_glob"}[first.kind]
            return {first: list(self._blobs(first.bucket, **{option: first.text}))}
        except NotFound:
            raise TaskFailed(
                f"bucket {first.bucket} does not exist, so nothing can come into it: make it, or "
                "name another one"
            ) from None

    def _objects(self, bucket: str, searches: Sequence[Search]) -> dict[Search, list[Blob]]:
        """Objects of one folder: they are in its list, between the first and the last of them."""
        names = sorted(search.text for search in searches)
        # What follows a name in order comes after it, so the end is just behind the last one.
        span = {"start_offset": names[0], "end_offset": f"{names[-1]}!"}
        listed = islice(self._blobs(bucket, **span), _MOST_LISTED)
        found: dict[str, Blob | None] = {blob.name: blob for blob in listed}
        if len(found) == _MOST_LISTED:
            for name in names[bisect(names, max(found)) :]:
                found[name] = blob_at(self.context, self.client, Uri(bucket, name))
        return {search: [blob] if (blob := found.get(search.text)) else [] for search in searches}

    def _blobs(self, bucket: str, **options: object) -> Iterator[Blob]:
        return files(blobs(self.context, self.client, bucket, fields=_FIELDS, **options))
