"""The shape of a query's result: names for columns that have none."""

from __future__ import annotations

from sqlglot import exp


def name_columns(tree: exp.Expression) -> None:
    """Give unnamed columns of every SELECT the names that BigQuery gives: f0_, f1_ and so on."""
    for select in list(tree.find_all(exp.Select)):
        unnamed = 0
        named = []
        for column in select.expressions:
            if _has_name(column):
                named.append(column)
                continue
            named.append(exp.alias_(column, f"f{unnamed}_", quoted=True))
            unnamed += 1
        select.set("expressions", named)


def _has_name(column: exp.Expression) -> bool:
    return isinstance(column, exp.Alias | exp.Column | exp.Star | exp.Dot | exp.Aliases)
