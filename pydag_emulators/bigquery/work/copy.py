"""Copy jobs: tables, or partitions of them, into one table."""

from __future__ import annotations

from typing import Any

from pydag_emulators.bigquery.errors import invalid, not_found, unimplemented
from pydag_emulators.bigquery.jobs.job import Outcome
from pydag_emulators.bigquery.jobs.runner import Run
from pydag_emulators.bigquery.names import TableRef, quote, split_partition, table_ref
from pydag_emulators.bigquery.schema import sql_type
from pydag_emulators.bigquery.service import Service
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.statements.ddl.keys import keys_in
from pydag_emulators.bigquery.statements.write import write_rows
from pydag_emulators.bigquery.storage.catalog import (
    Resource,
    get_table,
    stored_columns,
    table_fields,
)
from pydag_emulators.bigquery.storage.layout import in_partition, layout_in
from pydag_emulators.bigquery.storage.store import Cursor, fetch_one

_SUPPORTED = frozenset(
    {
        "sourceTable", "sourceTables", "destinationTable", "createDisposition", "writeDisposition",
        "operationType",
    }
)  # fmt: skip


def check_copy(configuration: dict[str, Any]) -> None:
    """Refuse a configuration that is wrong, or that can't be carried out here.

    Raises:
        ApiError: `invalid`, `notImplemented`.
    """
    config = configuration["copy"]
    if not isinstance(config, dict) or not config.get("destinationTable"):
        raise invalid("Required parameter is missing: destinationTable")
    if not _sources(config):
        raise invalid("Required parameter is missing: sourceTables")
    for name, value in config.items():
        if name not in _SUPPORTED and value not in (None, [], {}, False, ""):
            raise unimplemented(f"configuration.copy.{name}")
    if config.get("operationType") not in (None, "OPERATION_TYPE_UNSPECIFIED", "COPY", "CLONE"):
        raise unimplemented(f"copy jobs of the type {config['operationType']}")


def _sources(config: dict[str, Any]) -> list[dict[str, Any]]:
    return list(config.get("sourceTables") or filter(None, [config.get("sourceTable")]))


def run_copy(service: Service, run: Run) -> None:
    """The work of a copy job."""
    job = run.job
    config = job.configuration["copy"]
    table, partition = split_partition(config["destinationTable"])
    ref = table_ref(table, job.key.project)
    write = config.get("writeDisposition") or "WRITE_EMPTY"

    def body(cursor: Cursor) -> Outcome:
        context = Context.of(cursor, service.sizes, job)
        sources = [_source(context, each) for each in _sources(config)]
        first = sources[0][1]
        for _, other, _ in sources[1:]:
            if _columns(other) != _columns(first):
                raise invalid("The tables to be copied have different schemas")
        # Each row stays in its partition, unless the job names another one.
        pseudo = stored_columns(first)[len(table_fields(first)) :] if partition is None else []
        columns = ", ".join(quote(field["name"]) for field in [*table_fields(first), *pseudo])
        sql = " UNION ALL ".join(f"SELECT {columns} FROM {rows}" for *_, rows in sources)
        write_rows(
            context,
            ref,
            sql,
            table_fields(first),
            layout={**layout_in(first), **keys_in(first)},
            create=config.get("createDisposition") or "CREATE_IF_NEEDED",
            write=write,
            partition=partition,
            pseudo=pseudo,
        )
        row = fetch_one(cursor, f"SELECT count(*) FROM ({sql})", [])
        copied = int(row[0]) if row else 0
        statistics = {"copiedRows": str(copied)}
        return Outcome(statistics={"copy": statistics}, wrote=ref, rows=copied)

    run.finish(body, writes=ref, exclusive=write != "WRITE_APPEND")


def _source(context: Context, given: dict[str, Any]) -> tuple[TableRef, Resource, str]:
    """A table to be copied, and DuckDB SQL of its rows."""
    table, partition = split_partition(given)
    ref = table_ref(table, context.key.project)
    resource = get_table(context.cursor, ref, context.key.location)
    if resource["location"].upper() != context.key.location.upper():
        raise not_found("Dataset", str(ref.in_dataset), context.key.location)
    if resource["type"] == "SNAPSHOT":
        raise unimplemented("copy jobs of snapshots; CREATE TABLE … CLONE restores one")
    if resource["type"] != "TABLE":
        raise invalid(f"Cannot copy {ref}: it is a {resource['type']}.")
    context.tables.referenced[ref] = resource  # it may be replaced by itself
    where = "" if partition is None else f" WHERE {in_partition(resource, partition)}"
    return ref, resource, f"{ref.sql}{where}"


def _columns(resource: Resource) -> list[tuple[str, str, str]]:
    return [(f["name"].lower(), sql_type(f), f["mode"]) for f in table_fields(resource)]
