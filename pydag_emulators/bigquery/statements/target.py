"""Finds what a statement writes to before it runs, so that it can be locked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, cast

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.jobs.job import JobKey
from pydag_emulators.bigquery.names import DatasetRef, TableRef, split_partition, table_ref
from pydag_emulators.bigquery.sql.parse import Statement
from pydag_emulators.bigquery.statements.context import NO_NAMES, Names
from pydag_emulators.bigquery.statements.paths import Paths
from pydag_emulators.bigquery.storage.catalog import create_dataset, find_dataset
from pydag_emulators.bigquery.storage.store import Cursor


@dataclass(frozen=True)
class Target:
    """The table or dataset that a statement writes to."""

    ref: TableRef | DatasetRef | None
    """None for a statement that writes to none."""
    exclusive: bool = True
    """Whether the statement must be alone in it."""
    partition: str | None = None
    """The id of the only partition that it writes to."""
    hidden: bool = False
    """Whether it is an anonymous table, of a query that names no destination."""

    @property
    def table(self) -> TableRef:
        """The table; for statements that write to one."""
        return cast("TableRef", self.ref)


def target_of(
    statement: Statement, key: JobKey, config: dict[str, Any], names: Names = NO_NAMES
) -> Target:
    """The target of a statement of a query job with that configuration."""
    paths, tree = Paths.of(key.project, config, names.tables), statement.tree
    if isinstance(tree, exp.LoadData | exp.Create) and tree.find(exp.TemporaryProperty):
        raise unimplemented("CREATE TEMP as the only statement of a job")
    if statement.kind == "SELECT":
        if not config.get("destinationTable"):
            return Target(_anonymous_table(key), hidden=True)
        append = config.get("writeDisposition") == "WRITE_APPEND"
        table, partition = split_partition(config["destinationTable"])
        ref = table_ref(table, key.project)
        return Target(ref, exclusive=not append, partition=partition)
    _check_configuration(statement, config)
    return _target_of_tree(statement.kind, tree, paths)


def _target_of_tree(kind: str, tree: exp.Expression, paths: Paths) -> Target:
    if kind == "EXPORT_DATA":
        return Target(None)
    if kind == "LOAD_DATA":
        return Target(paths.table(_named(tree.this)), exclusive=bool(tree.args.get("overwrite")))
    if kind.endswith("_SCHEMA"):
        return Target(paths.dataset(_named(tree)))
    if isinstance(tree, exp.TruncateTable):
        return Target(paths.table(tree.expressions[0]))
    return Target(paths.table(_named(tree)), exclusive=kind != "INSERT")


_OF_SELECT = {
    "destinationTable": "destination table",
    "writeDisposition": "write disposition",
    "createDisposition": "create disposition",
    "timePartitioning": "partitioning",
    "rangePartitioning": "partitioning",
    "clustering": "clustering",
}


def _check_configuration(statement: Statement, config: dict[str, Any]) -> None:
    """Refuse what a job's configuration can say of the rows of a SELECT only."""
    kind = "DML" if isinstance(statement.tree, exp.DML | exp.TruncateTable) else "DDL"
    for name, what in _OF_SELECT.items():
        if config.get(name):
            raise invalid_query(f"Cannot set {what} in jobs with {kind} statements")


def _named(tree: exp.Expression) -> exp.Table:
    table = tree.this or tree.args["tables"][0]
    is_wrapped = isinstance(table, exp.Schema | exp.UserDefinedFunction)
    named: exp.Table = table.this if is_wrapped else table
    return named


def _anonymous_table(key: JobKey) -> TableRef:
    """The table for the rows of a job without a destination, in a hidden dataset per location."""
    digest = hashlib.md5(str(key).encode()).hexdigest()  # noqa: S324
    return TableRef(*hidden_dataset(key), f"anon{digest}")


def hidden_dataset(key: JobKey) -> DatasetRef:
    """The dataset of the anonymous tables of that job's location."""
    return DatasetRef(key.project, f"_results_{key.location.replace('-', '_')}")


def create_hidden_dataset(cursor: Cursor, ref: DatasetRef, location: str) -> None:
    """Make the dataset of anonymous tables if it isn't there.

    It has a transaction of its own, since the transaction of a job may be long, and other jobs
    would conflict with it.
    """
    if find_dataset(cursor, ref) is None:
        create_dataset(cursor, ref, {"location": location})
