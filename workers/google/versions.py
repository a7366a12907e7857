"""Which version of a table, of an object, of all objects of a pattern is there now."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from google.api_core.exceptions import NotFound
from google.cloud import bigquery
from google.cloud.storage import Blob, Client

from workers.contract.context import TaskContext
from workers.google import clients
from workers.google.storage import Uri, blob_at, blobs, files
from workers.result_cache.cached_operator import NotCached, Version

# Views change with their tables, external tables with files that nobody looks at here.
_STORED = frozenset({"TABLE", "SNAPSHOT"})


def table_version(context: TaskContext, client: bigquery.Client, name: str) -> Version | None:
    """The table of that name, ``project.dataset.table``, if it is there."""
    try:
        table = clients.call(context.log, client.get_table, name.partition("$")[0], retry=None)
    except NotFound:
        return None
    if table.table_type not in _STORED:
        raise NotCached(f"{name} is a {table.table_type}: its rows change without a trace in it")
    if table.streaming_buffer is not None:
        raise NotCached(f"{name} has rows in its streaming buffer")
    # Rows and bytes tell of expired partitions, and of two changes in one millisecond.
    state = (
        f"made {table.created.isoformat()}, changed {table.modified.isoformat()}, "
        f"{table.num_rows} rows, {table.num_bytes} bytes"
    )
    return Version(state, table.modified.timestamp())


def read_tables(
    context: TaskContext, client: bigquery.Client, names: Iterable[str]
) -> dict[str, Version]:
    """The tables that are read; all of them must be there."""
    found = {}
    for name in names:
        version = table_version(context, client, name)
        if version is None:
            raise NotCached(f"table {name} is not there")
        found[name] = version
    return found


def written_tables(
    context: TaskContext, client: bigquery.Client, names: Iterable[str]
) -> dict[str, Version]:
    """The tables that were written, as far as they are there."""
    found = ((name, table_version(context, client, name)) for name in names)
    return {name: version for name, version in found if version is not None}


def objects_at(context: TaskContext, client: Client, uris: Iterable[str]) -> dict[str, Version]:
    """The objects of each URI, as far as they are there; see `object_version`."""
    found = ((uri, object_version(context, client, uri)) for uri in uris)
    return {uri: version for uri, version in found if version is not None}


def object_version(context: TaskContext, client: Client, text: str) -> Version | None:
    """The object of a URI; with a / at its end, or one ``*`` in it, all that it stands for."""
    uri = Uri.of(text)
    before, star, after = uri.name.partition("*")
    if not (star or uri.is_folder):
        blob = blob_at(context, client, uri)
        return version_of([blob]) if blob else None
    found = blobs(context, client, uri.bucket, prefix=before)
    return version_of(blob for blob in files(found) if blob.name.endswith(after))


def version_of(found: Iterable[Blob]) -> Version:
    """The names and generations of objects, in any order."""
    lines, changed = [], 0.0
    for blob in found:
        lines.append(f"{blob.name}\0{blob.generation}")
        changed = max(changed, blob.updated.timestamp())
    digest = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
    return Version(f"{len(lines)} objects, {digest}", changed)
