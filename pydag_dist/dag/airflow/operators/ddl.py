"""Operators of Airflow that make and delete datasets and tables: statements of SQL here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydag_dist.dag.airflow.operators.arguments import Arguments, NotTaken
from pydag_dist.dag.airflow.operators.bigquery import Made, full_name, partitioning, place


def _dataset(a: Arguments) -> str:
    project = a.left.get("project_id")
    name = a.needs("dataset_id")
    return f"`{project}.{name}`" if isinstance(project, str) else f"`{name}`"


def _create_dataset(a: Arguments) -> Made:
    location = a.left.get("location")
    options = f" OPTIONS (location = '{location}')" if isinstance(location, str) else ""
    sql = f"CREATE SCHEMA IF NOT EXISTS {_dataset(a)}{options}"
    a.ignore("exists_ok", "if_exists")
    return "bigquery.query", place(a) | {"sql": sql}


def _delete_dataset(a: Arguments) -> Made:
    how = " CASCADE" if a.take("delete_contents") else ""
    return "bigquery.query", {"sql": f"DROP SCHEMA IF EXISTS {_dataset(a)}{how}", **place(a)}


def _create_table(a: Arguments) -> Made:
    resource = a.take("table_resource", default={})
    columns = a.take("schema_fields") or resource.get("schema", {}).get("fields")
    table = full_name(a, f"{a.needs('dataset_id')}.{a.needs('table_id')}")
    a.ignore("exists_ok", "if_exists")
    for name, kind in (("view", "VIEW"), ("materializedView", "MATERIALIZED VIEW")):
        if query := resource.get(name, {}).get("query"):
            sql = f"CREATE {kind} IF NOT EXISTS `{table}` AS\n{query}"
            return "bigquery.query", place(a) | {"sql": sql}
    if not columns or any(not {"name", "type"} <= {*each} for each in columns):
        raise NotTaken("its columns are not a list of names and types")
    lines = [f"  {each['name']} {_column(each)}" for each in columns]
    partition = partitioning(a.take("time_partitioning") or resource.get("timePartitioning"))
    by = f"\nPARTITION BY {partition['field']}" if partition else ""
    if others := sorted(set(resource) - {"schema", "timePartitioning", "tableReference"}):
        a.note(f"{', '.join(others)} of its table: left out")
    listed = ",\n".join(lines)
    sql = f"CREATE TABLE IF NOT EXISTS `{table}` (\n{listed}\n){by}"
    return "bigquery.query", place(a) | {"sql": sql}


_TYPES: Final = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}


def _column(column: Mapping[str, Any]) -> str:
    kind = str(column["type"]).upper()
    kind = _TYPES.get(kind, kind)
    if fields := column.get("fields"):
        inner = ", ".join(f"{each['name']} {_column(each)}" for each in fields)
        kind = f"STRUCT<{inner}>"
    mode = str(column.get("mode", "")).upper()
    return {"REPEATED": f"ARRAY<{kind}>", "REQUIRED": f"{kind} NOT NULL"}.get(mode, kind)


def _delete_table(a: Arguments) -> Made:
    table = full_name(a, a.needs("deletion_dataset_table"))
    if_exists = "IF EXISTS " if a.take("ignore_if_missing") else ""
    return "bigquery.query", place(a) | {"sql": f"DROP TABLE {if_exists}`{table}`"}


DDL: Final[Mapping[str, Callable[[Arguments], Made]]] = {
    "BigQueryCreateEmptyDatasetOperator": _create_dataset,
    "BigQueryDeleteDatasetOperator": _delete_dataset,
    "BigQueryCreateEmptyTableOperator": _create_table,
    "BigQueryCreateTableOperator": _create_table,
    "BigQueryDeleteTableOperator": _delete_table,
}
