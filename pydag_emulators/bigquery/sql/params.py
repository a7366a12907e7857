"""Query parameters as typed literals in the tree.

Forms: https://cloud.google.com/bigquery/docs/reference/rest/v2/QueryParameter
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, Self

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid, invalid_query, unimplemented

_CAST = {
    "INT64": "INT64",
    "INTEGER": "INT64",
    "FLOAT64": "FLOAT64",
    "FLOAT": "FLOAT64",
    "NUMERIC": "NUMERIC",
    "BOOL": "BOOL",
    "BOOLEAN": "BOOL",
    "DATE": "DATE",
    "DATETIME": "DATETIME",
    "TIME": "TIME",
    "TIMESTAMP": "TIMESTAMP",
    "JSON": "JSON",
}


class Parameters:
    """The parameters of one query job, handed out to its statements in order."""

    def __init__(
        self, named: dict[str, exp.Expression], positional: Iterable[exp.Expression]
    ) -> None:
        self._named, self._positional = named, iter(positional)

    @classmethod
    def of(cls, given: list[dict[str, Any]], mode: str | None) -> Self:
        """The parameters that the REST API has given."""
        named = {str(p["name"]).lower(): _value(p) for p in given if p.get("name")}
        if named and (mode or "").upper() == "POSITIONAL":
            raise invalid("Named parameters were given with parameterMode POSITIONAL")
        return cls(named, [] if named else [_value(p) for p in given])

    def bind(self, tree: exp.Expression) -> exp.Expression:
        """Replace `@name` and `?` by values; `tree` is changed.

        Raises:
            ApiError: `invalidQuery` for a parameter without a value.
        """
        holder = exp.Paren(this=tree)
        for node in list(tree.find_all(exp.Parameter)):
            given = self._named.get(node.name.lower())
            if given is None:
                raise invalid_query(f"Query parameter '{node.name}' not found")
            node.replace(given.copy())
        marks = sorted(tree.find_all(exp.Placeholder), key=lambda mark: mark.meta["start"])
        for mark in marks:
            given = next(self._positional, None)
            if given is None:
                raise invalid_query("Query has more positional parameters than were given")
            mark.replace(given.copy())
        bound: exp.Expression = holder.this
        bound.pop()
        return bound


def _value(parameter: dict[str, Any]) -> exp.Expression:
    type_ = parameter.get("parameterType") or {}
    return _typed(type_, parameter.get("parameterValue") or {})


def _typed(type_: dict[str, Any], value: dict[str, Any]) -> exp.Expression:
    kind = str(type_.get("type", "")).upper()
    if kind == "ARRAY":
        items = [_typed(type_["arrayType"], item) for item in value.get("arrayValues") or []]
        return exp.Cast(this=exp.Array(expressions=items), to=_data_type(type_))
    if kind in ("STRUCT", "RECORD"):
        return _struct(type_, value)
    text = value.get("value")
    if text is None:
        return exp.Cast(this=exp.Null(), to=_data_type(type_))
    if kind in ("STRING", "JSON"):
        literal = exp.Literal.string(str(text))
        return literal if kind == "STRING" else exp.ParseJSON(this=literal)
    if kind == "BYTES":
        data = base64.b64decode(str(text))
        return exp.ByteString(this=data.decode("latin-1"), is_bytes=True)
    return exp.Cast(this=exp.Literal.string(str(text)), to=_data_type(type_))


def _struct(type_: dict[str, Any], value: dict[str, Any]) -> exp.Expression:
    given = value.get("structValues")
    if given is None:
        return exp.Cast(this=exp.Null(), to=_data_type(type_))
    members = [
        exp.PropertyEQ(
            this=exp.to_identifier(member["name"], quoted=True),
            expression=_typed(member["type"], given.get(member["name"]) or {}),
        )
        for member in type_["structTypes"]
    ]
    return exp.Struct(expressions=members)


def _data_type(type_: dict[str, Any]) -> exp.DataType:
    return exp.DataType.build(_type_sql(type_), dialect="bigquery")


def _type_sql(type_: dict[str, Any]) -> str:
    kind = str(type_.get("type", "")).upper()
    if kind == "ARRAY":
        return f"ARRAY<{_type_sql(type_['arrayType'])}>"
    if kind in ("STRUCT", "RECORD"):
        members = (f"`{m['name']}` {_type_sql(m['type'])}" for m in type_["structTypes"])
        return f"STRUCT<{', '.join(members)}>"
    if kind in ("STRING", "BYTES"):
        return kind
    if kind not in _CAST:
        raise unimplemented(f"query parameters of the type {kind or '(none)'}")
    return _CAST[kind]
