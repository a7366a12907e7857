"""MERGE, clause by clause."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query
from pydag_emulators.bigquery.names import quote
from pydag_emulators.bigquery.sql.lower import to_duckdb
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.statements.dml.assign import assignment_sql, fitted
from pydag_emulators.bigquery.statements.dml.insert import (
    or_default,
    target_columns,
    with_defaults,
)
from pydag_emulators.bigquery.statements.pruning import require_filter
from pydag_emulators.bigquery.storage.catalog import Resource


def merge_sql(context: Context, tree: exp.Expression, resource: Resource) -> str:
    """DuckDB's MERGE INTO for a MERGE whose target's name has been replaced already."""
    target = to_duckdb(tree.this)
    bound = context.tables.bind(tree.args["using"])
    context.know(tree.this, bound)
    source = context.lowered(bound)
    for table in (tree.this, bound):
        require_filter(table, tree.args["on"], context.variables)
    on = context.condition(tree.args["on"], "MERGE ON clause")
    clauses = []
    for when in tree.args["whens"].expressions:
        head = "WHEN MATCHED" if when.args.get("matched") else "WHEN NOT MATCHED"
        by_source = bool(when.args.get("source"))
        if by_source:
            head += " BY SOURCE"
        condition = when.args.get("condition")
        if condition is not None:
            head += f" AND {context.condition(condition, 'The condition of WHEN')}"
        then = when.args["then"]
        if isinstance(then, exp.Update):
            tables = target if by_source else f"{target}, {source}"
            values = assignment_sql(context, resource, tree.this.alias, then.expressions, tables)
            action = f"UPDATE SET {values}"
        elif isinstance(then, exp.Insert):
            action = _insert(context, then, resource, source)
        else:
            action = "DELETE"
        clauses.append(f"{head} THEN {action}")
    return f"MERGE INTO {target} USING {source} ON {on} {' '.join(clauses)}"


def _insert(context: Context, then: exp.Insert, resource: Resource, source: str) -> str:
    if then.expression:
        given = then.this.expressions if isinstance(then.this, exp.Tuple) else None
        nodes = list(then.expression.expressions)
    elif isinstance(then.this, exp.Var) and then.this.name.upper() == "ROW":
        given = None
        names = context.cursor.sql(f"SELECT * FROM {source}").columns
        named = [name for name in names if not name.startswith("_PARTITION")]
        nodes = [exp.column(name, quoted=True) for name in named]
    else:
        # `INSERT VALUES (…)`, without names of columns, is a call of VALUES for sqlglot.
        given, nodes = None, list(then.this.expressions[0].expressions)
    columns = target_columns(resource, given)
    if len(columns) != len(nodes):
        raise invalid_query(
            f"Inserted row has wrong column count; Has {len(nodes)}, expected {len(columns)}"
        )
    values = []
    for column, one in zip(columns, nodes, strict=True):
        node = or_default(one, column)
        value = context.translate(node.copy())
        values.append(fitted(context, column, node, value, source))
    defaults = with_defaults(context, resource, columns)
    values += [value for _, value in defaults]
    names = [*(column["name"] for column in columns), *(name for name, _ in defaults)]
    columns_sql = ", ".join(map(quote, names))
    return f"INSERT ({columns_sql}) VALUES ({', '.join(values)})"
