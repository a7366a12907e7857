"""What stands in a query of DuckDB for a table that a statement names."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.names import DatasetRef, TableRef
from pydag_emulators.bigquery.schema import Field, sql_type
from pydag_emulators.bigquery.sql.typing.types import data_type, type_of_field
from pydag_emulators.bigquery.statements.pruning import note_filter
from pydag_emulators.bigquery.storage.catalog import Resource, table_fields
from pydag_emulators.bigquery.storage.layout import pseudo_columns

_SUFFIX = "_TABLE_SUFFIX"


def alias_of(name: str) -> exp.TableAlias:
    """A name as an alias, whatever its characters."""
    return exp.TableAlias(this=exp.to_identifier(name, quoted=True))


def physical(ref: TableRef, alias: str, resource: Resource) -> exp.Table:
    """A table itself, with what it has for columns."""
    table = exp.Table(
        this=exp.to_identifier(ref.name, quoted=True),
        db=exp.to_identifier(ref.in_dataset.schema, quoted=True),
        alias=alias_of(alias),
    )
    pseudo = pseudo_columns(resource)
    table.meta["fields"] = [*table_fields(resource), *pseudo]
    table.meta["hidden"] = {field["name"].lower() for field in pseudo}
    note_filter(table, ref, resource)
    return table


def set_sample(source: exp.Expression, sample: exp.TableSample) -> None:
    """TABLESAMPLE: whole blocks of the table, of which a small one has one only."""
    if not isinstance(source, exp.Table) or not source.args.get("db"):
        raise invalid_query("TABLESAMPLE can only be applied directly to a table")
    percent = sample.args.get("percent")
    is_system = sample.text("method").upper() == "SYSTEM" and not sample.args.get("seed")
    if percent is None or not is_system:
        raise invalid_query("Syntax error: Expected TABLESAMPLE SYSTEM (n PERCENT)")
    if not isinstance(percent, exp.Literal):
        raise unimplemented("TABLESAMPLE of a share that isn't written as a number")
    source.set("sample", sample)


def wildcard(
    dataset: DatasetRef, stem: str, found: Sequence[tuple[str, Resource]], alias: str
) -> exp.Subquery:
    """The rows of all tables of that stem, with the columns of the newest."""
    fields = table_fields(max(found, key=lambda each: int(each[1]["creationTime"]))[1])
    selects: list[exp.Expression] = []
    for suffix, resource in found:
        if resource["type"] == "SNAPSHOT":
            raise unimplemented("snapshots among wildcard tables")
        if resource["type"] != "TABLE":
            raise invalid_query("Views cannot be queried through prefix")
        selects.append(
            _with_suffix(TableRef(*dataset, f"{stem}{suffix}"), resource, fields, suffix)
        )
    source = exp.Subquery(this=_union(selects), alias=alias_of(alias))
    source.meta["hidden"] = {_SUFFIX.lower()}
    return source


def _with_suffix(
    ref: TableRef, resource: Resource, fields: list[Field], suffix: str
) -> exp.Expression:
    """The rows of one table of a wildcard table."""
    own = {field["name"].lower(): field for field in table_fields(resource)}
    columns: list[exp.Expr] = []
    for field in fields:
        given = own.get(field["name"].lower())
        if given is not None and sql_type(given) != sql_type(field):
            raise invalid_query(
                f"Cannot read field of type {sql_type(given)} as {sql_type(field)} "
                f"Field: {field['name']}"
            )
        value: exp.Expression = exp.column(field["name"], quoted=True)
        if given is None:
            value = exp.Cast(this=exp.Null(), to=data_type(type_of_field(field)))
        columns.append(exp.alias_(value, field["name"], quoted=True))
    columns.append(exp.alias_(exp.Literal.string(suffix), _SUFFIX, quoted=True))
    table = physical(ref, ref.table, resource)
    return exp.Select(expressions=columns, from_=exp.From(this=table))


def _union(queries: list[exp.Expression]) -> exp.Expression:
    """All of their rows. It isn't deep, as trees are walked by recursion."""
    if len(queries) == 1:
        return queries[0]
    half = len(queries) // 2
    return exp.Union(this=_union(queries[:half]), expression=_union(queries[half:]), distinct=False)
