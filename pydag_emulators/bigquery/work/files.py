"""EXPORT DATA and LOAD DATA: statements that write files of Cloud Storage, or read them.

Options: https://cloud.google.com/bigquery/docs/reference/standard-sql/export-statements,
https://cloud.google.com/bigquery/docs/reference/standard-sql/load-statements
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.files.exports.export import export
from pydag_emulators.bigquery.files.gcs import files_of
from pydag_emulators.bigquery.files.gzipped import unzipped
from pydag_emulators.bigquery.jobs.job import Job, Outcome
from pydag_emulators.bigquery.names import quote
from pydag_emulators.bigquery.schema import Field, sql_type
from pydag_emulators.bigquery.service import Service
from pydag_emulators.bigquery.sql.definitions import fields_of, layout_of, options_of
from pydag_emulators.bigquery.sql.parse import Statement
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.statements.execute import check_billed, with_statistics
from pydag_emulators.bigquery.statements.select import plan_select
from pydag_emulators.bigquery.statements.target import Target
from pydag_emulators.bigquery.storage.catalog import Resource, find_table, stored_columns
from pydag_emulators.bigquery.storage.layout import INGESTED, partition_id
from pydag_emulators.bigquery.storage.store import fetch_one
from pydag_emulators.bigquery.work.extract import check_extract, path_of
from pydag_emulators.bigquery.work.load import check_load, load_files

_FORMATS = {"JSON": "NEWLINE_DELIMITED_JSON"}
_EXPORT: dict[str, tuple[str, type]] = {
    "uri": ("destinationUri", str),
    "format": ("destinationFormat", str),
    "compression": ("compression", str),
    "field_delimiter": ("fieldDelimiter", str),
    "header": ("printHeader", bool),
    "use_avro_logical_types": ("useAvroLogicalTypes", bool),
    "overwrite": ("overwrite", bool),
}
_EXPORT_DEFAULTS = {"compression": "NONE", "fieldDelimiter": ",", "printHeader": False}
_LOAD: dict[str, tuple[str, type]] = {
    "uris": ("sourceUris", list),
    "format": ("sourceFormat", str),
    "allow_jagged_rows": ("allowJaggedRows", bool),
    "allow_quoted_newlines": ("allowQuotedNewlines", bool),
    "enable_logical_types": ("useAvroLogicalTypes", bool),
    "encoding": ("encoding", str),
    "field_delimiter": ("fieldDelimiter", str),
    "ignore_unknown_values": ("ignoreUnknownValues", bool),
    "max_bad_records": ("maxBadRecords", int),
    "null_marker": ("nullMarker", str),
    "quote": ("quote", str),
    "skip_leading_rows": ("skipLeadingRows", int),
}


def export_data(
    service: Service, job: Job, context: Context, statement: Statement, _target: Target
) -> Outcome:
    """Write the rows of the query into one file, which appears at once."""
    tree = statement.tree.copy()
    if tree.args.get("connection"):
        raise unimplemented("EXPORT DATA WITH CONNECTION")
    given = _options(context, tree.args["options"], _EXPORT)
    for name in ("uri", "format"):
        if _EXPORT[name][0] not in given:
            raise invalid_query(f"Missing mandatory option: {name}")
    uri, overwrite = given["destinationUri"], given.pop("overwrite", False)
    if uri.count("*") != 1:
        raise invalid_query("Option 'uri' value must be a wild card URI.")
    check_extract({"extract": {**given, "sourceTable": {"tableId": "query"}}})
    plan = plan_select(context, tree.this)
    read = check_billed(context)
    path = path_of(service.gcs_root, uri)
    unfinished, begun = _own_files(service, job)
    if not overwrite and path.exists() and not begun.exists():
        raise invalid_query(
            f"Invalid value for option 'uri': {uri} has files already; "
            "use overwrite=true to overwrite them"
        )
    try:
        rows = export(
            context.cursor, f"({plan.sql})", plan.fields, {**_EXPORT_DEFAULTS, **given}, unfinished
        )
        context.check()
        path.parent.mkdir(parents=True, exist_ok=True)
        begun.touch()
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
    query = {"exportDataStatistics": {"fileCount": "1", "rowCount": str(rows)}}
    outcome = Outcome(statistics={"query": query}, rows=rows)
    return with_statistics(context, statement, outcome, read)


def _own_files(service: Service, job: Job) -> tuple[Path, Path]:
    """The file that is being written, and the mark of a job that has made its own appear.

    They stand beside the buckets, whose names don't begin with a dot.
    """
    name = hashlib.md5(str(job.key).encode()).hexdigest()  # noqa: S324
    return service.gcs_root / f".export-{name}", service.gcs_root / f".exported-{name}"


def forget_export(service: Service, job: Job) -> None:
    """Remove the mark of an export whose end is recorded: it won't run again."""
    _own_files(service, job)[1].unlink(missing_ok=True)


def load_data(
    service: Service, _job: Job, context: Context, statement: Statement, target: Target
) -> Outcome:
    """Read the files into a table."""
    tree = statement.tree.copy()
    table = tree.this
    config = _options(context, tree.args["files"], _LOAD)
    if "sourceUris" not in config:
        raise invalid_query("Missing mandatory option: uris")
    columns = table.this.expressions if isinstance(table.this, exp.Schema) else []
    fields = fields_of(table.this, context.constant) if columns else []
    if fields:
        config["schema"] = {"fields": fields}
    existing, partition = find_table(context.cursor, target.table), tree.args.get("partition")
    config["autodetect"] = not columns and (existing is None or partition is None)
    config["writeDisposition"] = "WRITE_TRUNCATE" if tree.args.get("overwrite") else "WRITE_APPEND"
    check_load({"load": {**config, "destinationTable": target.table.api()}})

    def layout(fields: list[Field]) -> Resource:
        return {
            **layout_of(table, fields, context.constant),
            **options_of(table, context.constant),
        }

    if partition is not None:
        given = existing or {**layout(fields), "schema": {"fields": fields}}
        partition = _partition(context, partition, given)
    files = files_of(service.gcs_root, config["sourceUris"])
    with unzipped(files, service.data) as plain:
        outcome = load_files(
            context, config, plain, target.table, layout=layout, partition=partition
        )
    loaded = outcome.statistics.pop("load")
    size = sum(path.stat().st_size for path, _ in files)
    query = {"loadQueryStatistics": {**loaded, "inputFileBytes": str(size)}}
    outcome.statistics["query"] = query
    return with_statistics(context, statement, outcome, [])


def _partition(context: Context, given: exp.EQ, table: Resource) -> str:
    """The id of the partition that `column = value` names, in a table with such a layout.

    Raises:
        ApiError: `invalidQuery` for another column than that of the partitions, or a wrong value.
    """
    by = table.get("timePartitioning") or table.get("rangePartitioning") or {"field": ""}
    column, value = by.get("field", INGESTED), given.expression
    if given.this.name.lower() != column.lower():
        raise invalid_query(f"The table has no partitions by {given.this.name}")
    if value.is_string and value.name.isdigit():
        return str(value.name)
    (field,) = (f for f in stored_columns(table) if f["name"].lower() == column.lower())
    constant = context.constant(exp.cast(value.copy(), sql_type(field), dialect="bigquery"))
    sql = f"SELECT {partition_id(table)} FROM (SELECT ? AS {quote(column)})"
    row = fetch_one(context.cursor, sql, [constant])
    if constant is None or row is None or row[0] == "__UNPARTITIONED__":
        raise invalid_query(f"There is no partition {given.sql(dialect='bigquery')}")
    return str(row[0])


def _options(
    context: Context, given: exp.Expression, known: dict[str, tuple[str, type]]
) -> dict[str, Any]:
    """What OPTIONS(…) or FILES(…) sets, by its name in the REST API."""
    result: dict[str, Any] = {}
    for node in given.expressions:
        is_format = isinstance(node, exp.FileFormatProperty)
        name = "format" if is_format else node.name.lower()
        if name not in known:
            raise unimplemented(f"the option {name}")
        key, type_ = known[name]
        if key in result:
            raise invalid_query(f"Duplicate option specified for '{name}'")
        value = context.constant(node.this if is_format else node.args["value"])
        if not isinstance(value, type_):
            raise invalid_query(f"The option {name} has a value of the wrong type: {value}")
        is_word = name in ("format", "compression")
        result[key] = _FORMATS.get(str(value).upper(), str(value).upper()) if is_word else value
    return result


WITH_FILES: dict[str, Callable[[Service, Job, Context, Statement, Target], Outcome]] = {
    "EXPORT_DATA": export_data,
    "LOAD_DATA": load_data,
}
"""`statementType` -> what carries such a statement out."""
