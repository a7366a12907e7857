"""Puts values in the places of names: of parameters of functions, and of WITH expressions."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from pydag_emulators.bigquery.errors import unimplemented

_MOST_NODES = 20_000


def with_values(body: exp.Expression, values: Mapping[str, exp.Expression]) -> exp.Expression:
    """A copy of the body, in parentheses, with values for the columns with these names.

    The names are in lower case; other columns stay.

    Raises:
        ApiError: `notImplemented` if it became too large.
    """
    holder = exp.Paren(this=body.copy())
    for column in list(holder.find_all(exp.Column)):
        given = values.get(column.parts[0].name.lower())
        if given is None:
            continue
        value: exp.Expression = given.copy()
        for part in column.parts[1:]:
            value = exp.Dot(this=exp.Paren(this=value), expression=part.copy())
        column.replace(value)
    if sum(1 for _ in holder.walk()) > _MOST_NODES:
        raise unimplemented("functions or WITH expressions that are this large, written out")
    return holder
