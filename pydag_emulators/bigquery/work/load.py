"""Load jobs: CSV, JSON lines, Parquet and Avro, from gs:// or an upload, into one table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydag_emulators.bigquery.errors import invalid, unimplemented
from pydag_emulators.bigquery.files.avro import read_avro
from pydag_emulators.bigquery.files.csv.read import read_csv
from pydag_emulators.bigquery.files.gcs import files_of
from pydag_emulators.bigquery.files.gzipped import unzipped
from pydag_emulators.bigquery.files.json.read import read_ndjson
from pydag_emulators.bigquery.files.parquet import read_parquet
from pydag_emulators.bigquery.files.source import Source
from pydag_emulators.bigquery.jobs.job import Job, Outcome
from pydag_emulators.bigquery.jobs.runner import Run
from pydag_emulators.bigquery.names import TableRef, split_partition, table_ref
from pydag_emulators.bigquery.schema import Field, check_schema
from pydag_emulators.bigquery.service import Service
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.statements.write import write_rows
from pydag_emulators.bigquery.storage.catalog import Resource, find_table, table_fields
from pydag_emulators.bigquery.storage.layout import layout_in
from pydag_emulators.bigquery.storage.store import Cursor

_READERS = {
    "CSV": read_csv,
    "NEWLINE_DELIMITED_JSON": read_ndjson,
    "PARQUET": read_parquet,
    "AVRO": read_avro,
}
_TYPED = ("PARQUET", "AVRO")  # say themselves which columns they have
_SUPPORTED = frozenset(
    {
        "sourceUris", "destinationTable", "sourceFormat", "schema", "autodetect",
        "writeDisposition", "createDisposition", "maxBadRecords", "skipLeadingRows",
        "fieldDelimiter", "quote", "allowQuotedNewlines", "allowJaggedRows", "nullMarker",
        "ignoreUnknownValues", "encoding", "timePartitioning", "rangePartitioning", "clustering",
        "parquetOptions", "destinationTableProperties", "useAvroLogicalTypes",
        "schemaUpdateOptions",
    }
)  # fmt: skip


def check_load(configuration: dict[str, Any]) -> None:
    """Refuse a configuration that is wrong, or that can't be carried out here.

    Raises:
        ApiError: `invalid`, `notImplemented`.
    """
    config = configuration["load"]
    if not isinstance(config, dict) or not config.get("destinationTable"):
        raise invalid("Required parameter is missing: destinationTable")
    for name, value in config.items():
        if name not in _SUPPORTED and value not in (None, [], {}, False, ""):
            raise unimplemented(f"configuration.load.{name}")
    if _format(config) not in _READERS:
        raise unimplemented(f"loads of the format {_format(config)}")


def _format(config: dict[str, Any]) -> str:
    return str(config.get("sourceFormat") or "CSV").upper()


def run_load(service: Service, run: Run) -> None:
    """The work of a load job."""
    job = run.job
    if job.upload:
        files = [(service.uploads / job.upload, "upload")]
    else:
        files = files_of(service.gcs_root, job.configuration["load"].get("sourceUris") or [])
    if _format(job.configuration["load"]) in ("CSV", "NEWLINE_DELIMITED_JSON"):
        with unzipped(files, service.data) as plain:
            _load(service, run, files, plain)
    else:
        _load(service, run, files, files)
    if job.upload:
        (service.uploads / job.upload).unlink(missing_ok=True)


def _load(
    service: Service, run: Run, given_files: list[tuple[Path, str]], files: list[tuple[Path, str]]
) -> None:
    job = run.job
    config = job.configuration["load"]
    ref, partition = _destination(job, config)
    write = config.get("writeDisposition") or "WRITE_APPEND"
    size = sum(path.stat().st_size for path, _ in given_files)

    def body(cursor: Cursor) -> Outcome:
        context = Context.of(cursor, service.sizes, job)
        outcome = load_files(
            context, config, files, ref, layout=lambda _: _layout(config), partition=partition
        )
        outcome.statistics["load"]["inputFileBytes"] = str(size)
        return outcome

    run.finish(body, writes=ref, exclusive=write != "WRITE_APPEND")


def _destination(job: Job, config: dict[str, Any]) -> tuple[TableRef, str | None]:
    table, partition = split_partition(config["destinationTable"])
    return table_ref(table, job.key.project), partition


def load_files(
    context: Context,
    config: dict[str, Any],
    files: list[tuple[Path, str]],
    ref: TableRef,
    *,
    layout: Callable[[list[Field]], Resource],
    partition: str | None = None,
) -> Outcome:
    """Read files into a table, or a partition of it, as the configuration of a load job says.

    `layout` gives the partitioning, clustering and options of a table with these columns.
    """
    cursor = context.cursor
    write = config.get("writeDisposition") or "WRITE_APPEND"
    existing = find_table(cursor, ref)
    given = check_schema((config.get("schema") or {}).get("fields") or [])
    columns = given or (table_fields(existing) if existing else [])
    may_grow = "ALLOW_FIELD_ADDITION" in (config.get("schemaUpdateOptions") or [])
    detects = bool(config.get("autodetect"))
    replaces = write == "WRITE_TRUNCATE" and (detects or _format(config) in _TYPED)
    if not given and (replaces or (may_grow and detects)):
        columns = []
    source = Source(cursor, files, config, columns, context.check)
    loaded = _READERS[_format(config)](source)
    write_rows(
        context,
        ref,
        loaded.sql,
        loaded.fields,
        layout=layout(loaded.fields),
        create=config.get("createDisposition") or "CREATE_IF_NEEDED",
        write=write,
        partition=partition,
    )
    rows, written = loaded.finish()
    statistics = {
        "inputFiles": str(len(files)),
        "outputRows": str(rows),
        "outputBytes": str(written),
        "badRecords": str(len(loaded.errors)),
    }
    return Outcome(statistics={"load": statistics}, wrote=ref, rows=rows, errors=loaded.errors)


def _layout(config: dict[str, Any]) -> Resource:
    return {**layout_in(config), **(config.get("destinationTableProperties") or {})}
