"""GoogleSQL trees to DuckDB trees: only what is known to mean the same is let through.

`KEEP` are the node types that sqlglot writes for DuckDB with GoogleSQL's meaning; `LOWER` are
those that need another tree. Anything else is `notImplemented`: a function that is only spelled
alike must not give another answer.
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.errors import ErrorLevel, UnsupportedError

from pydag_dist.local.bigquery.errors import unimplemented
from pydag_dist.local.bigquery.sql.functions import KEEP, LOWER
from pydag_dist.local.bigquery.sql.shapes import name_columns


def to_duckdb(tree: exp.Expression) -> str:
    """The DuckDB SQL of a bound GoogleSQL tree (which is changed).

    Raises:
        ApiError: `notImplemented`.
    """
    holder = exp.Paren(this=tree)
    name_columns(tree)
    for node in reversed(list(tree.walk())):
        kind = type(node)
        if kind in LOWER:
            node.replace(LOWER[kind](node))
        elif kind not in KEEP:
            raise unimplemented(f"{_what(node)} in queries")
    try:
        return str(
            holder.this.sql(
                dialect="duckdb", identify=True, unsupported_level=ErrorLevel.RAISE, comments=False
            )
        )
    except UnsupportedError as error:
        raise unimplemented(f"this query: {error}") from error


def _what(node: exp.Expr) -> str:
    if isinstance(node, exp.Anonymous):
        return f"the function {node.name.upper()}"
    if isinstance(node, exp.Func):
        return f"the function {node.sql_name()}"
    return f"{type(node).__name__} ({node.sql(dialect='bigquery')[:80]})"
