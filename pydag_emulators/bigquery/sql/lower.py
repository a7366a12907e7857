"""Turns GoogleSQL trees into DuckDB trees.

`KEEP` are the node types that have the same meaning in DuckDB as sqlglot writes them; `LOWER` are
those that need another tree. Anything else is refused as `notImplemented`, since a DuckDB function
of the same name could give another answer.
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.errors import ErrorLevel, UnsupportedError

from pydag_emulators.bigquery.errors import unimplemented
from pydag_emulators.bigquery.sql.functions import KEEP, LOWER
from pydag_emulators.bigquery.sql.nan import check_nan
from pydag_emulators.bigquery.sql.shapes import settle_names
from pydag_emulators.bigquery.sql.typing.queries import Typer
from pydag_emulators.bigquery.sql.typing.results import check_condition
from pydag_emulators.bigquery.sql.typing.scope import UNKNOWN, Scope


def to_duckdb(
    tree: exp.Expression,
    nan_names: frozenset[str] = frozenset(),
    scope: Scope | None = None,
    condition: str = "",
) -> str:
    """The DuckDB SQL of a bound GoogleSQL tree (which is changed).

    `nan_names` are the columns, in lower case, that hold NaN in the tables it names; `scope` has
    the names that are known around it, if it is a part of a statement; `condition` names a part
    that must be a BOOL.

    Raises:
        ApiError: `invalidQuery`, `notImplemented`.
    """
    holder = exp.Paren(this=tree)
    _check_safe(tree)
    settle_names(tree)
    if isinstance(tree, exp.Query | exp.Subquery):
        Typer().query(tree, scope)
    elif not isinstance(tree, exp.Table):
        type_ = Typer().visit(tree, scope or UNKNOWN)
        if condition:
            check_condition(type_, condition)
    check_nan(holder.this, nan_names)
    for node in reversed(list(holder.this.walk())):  # children before their parents
        kind = type(node)
        if kind in LOWER:
            lowered = LOWER[kind](node)
            if lowered is not node:
                node.replace(lowered)
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


_COMPUTED = (exp.Func, exp.Binary, exp.Bracket, exp.Query)
_HARMLESS = (
    exp.Concat, exp.DPipe, exp.Trim, exp.Upper, exp.Lower, exp.Replace, exp.Coalesce, exp.If,
    exp.And, exp.Or, exp.EQ, exp.NEQ, exp.Array, exp.Struct, exp.JSONExtractScalar, exp.Length,
    exp.Dot, exp.ByteLength, exp.StartsWith, exp.EndsWith, exp.Reverse, exp.PropertyEQ,
)  # fmt: skip
"""What computes and has no errors."""


def _check_safe(tree: exp.Expression) -> None:
    """Refuse `SAFE.f(x)` if x can fail: only an error of f makes it NULL, not one of x."""
    for safe in tree.find_all(exp.SafeFunc):
        for argument in safe.this.iter_expressions():
            if not all(isinstance(part, _HARMLESS) for part in argument.find_all(*_COMPUTED)):
                raise unimplemented("SAFE. with arguments that are computed")


def _what(node: exp.Expr) -> str:
    if isinstance(node, exp.Anonymous):
        return f"the function {node.name.upper()}"
    if isinstance(node, exp.Func):
        return f"the function {node.sql_name()}"
    return f"{type(node).__name__} ({node.sql(dialect='bigquery')[:80]})"
