"""Extract jobs: a table into a file of Cloud Storage.

A rename makes the whole file appear at once. A job that runs again after a crash writes it again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pydag_emulators.bigquery.errors import invalid, not_found, unimplemented
from pydag_emulators.bigquery.files.exports.export import export
from pydag_emulators.bigquery.jobs.job import Outcome
from pydag_emulators.bigquery.jobs.runner import Run
from pydag_emulators.bigquery.names import split_partition, table_ref
from pydag_emulators.bigquery.service import Service
from pydag_emulators.bigquery.storage.catalog import get_table, table_fields
from pydag_emulators.bigquery.storage.layout import in_partition
from pydag_emulators.bigquery.storage.store import Cursor
from pydag_emulators.buckets import split_uri

_SUPPORTED = frozenset(
    {
        "sourceTable", "destinationUri", "destinationUris", "destinationFormat", "compression",
        "fieldDelimiter", "printHeader", "useAvroLogicalTypes",
    }
)  # fmt: skip
_DEFAULTS = {
    "destinationFormat": "CSV",
    "compression": "NONE",
    "fieldDelimiter": ",",
    "printHeader": True,
}
_FIRST = "000000000000"  # of the files that a * stands for


def check_extract(configuration: dict[str, Any]) -> None:
    """Refuse a configuration that is wrong, or that can't be carried out here.

    Raises:
        ApiError: `invalid`, `notImplemented`.
    """
    config = configuration["extract"]
    if not isinstance(config, dict) or not config.get("sourceTable"):
        raise invalid("Required parameter is missing: sourceTable")
    for name, value in config.items():
        if name not in _SUPPORTED and value not in (None, [], {}, False, ""):
            raise unimplemented(f"configuration.extract.{name}")
    uris = _uris(config)
    if not uris:
        raise invalid("Required parameter is missing: destinationUris")
    if len(uris) > 1:
        raise unimplemented("extracts to several destinationUris")
    try:
        split_uri(uris[0])
    except ValueError as error:
        raise invalid(f"Invalid extract destination URI {error}") from error


def _uris(config: dict[str, Any]) -> list[str]:
    return list(config.get("destinationUris") or filter(None, [config.get("destinationUri")]))


def run_extract(service: Service, run: Run) -> None:
    """The work of an extract job."""
    job = run.job
    given = job.configuration["extract"]
    config = {**_DEFAULTS, **{key: value for key, value in given.items() if value is not None}}
    config["destinationFormat"] = str(config["destinationFormat"]).upper()
    source, partition = split_partition(config["sourceTable"])
    ref = table_ref(source, job.key.project)
    path = path_of(service.gcs_root, _uris(config)[0])
    # Beside the buckets, whose names don't begin with a dot: on one file system with them.
    name = hashlib.md5(str(job.key).encode()).hexdigest()  # noqa: S324
    unfinished = service.gcs_root / f".extract-{name}"

    def body(cursor: Cursor) -> Outcome:
        table = get_table(cursor, ref, job.key.location)
        if table["location"].upper() != job.key.location.upper():
            raise not_found("Table", str(ref), job.key.location)
        if table["type"] == "SNAPSHOT":
            raise unimplemented("extracts of snapshots")
        if table["type"] != "TABLE":
            raise invalid(f"{ref} is not allowed for this operation: it is a {table['type']}.")
        contents = service.sizes.of(cursor, ref, table)
        try:
            rows = ref.sql
            if partition is not None:
                rows = f"(FROM {ref.sql} WHERE {in_partition(table, partition)})"
            export(cursor, rows, table_fields(table), config, unfinished)
            job.control.check()
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.rename(path)
        finally:
            unfinished.unlink(missing_ok=True)
        statistics = {"destinationUriFileCounts": ["1"], "inputBytes": str(contents.bytes)}
        return Outcome(statistics={"extract": statistics}, rows=contents.rows)

    run.finish(body, writes=None)


def path_of(root: Path, uri: str) -> Path:
    """The file of a URI that `check_extract` has seen; a `*` stands for the number of the first."""
    bucket, name = split_uri(uri)
    if not (root / bucket).is_dir():
        raise not_found("Bucket", bucket)
    return root / bucket / name.replace("*", _FIRST)
