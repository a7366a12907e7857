"""The types of query parameters: ``DATE``, ``ARRAY<STRING>``, ``STRUCT<id INT64, name STRING>``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

# https://cloud.google.com/bigquery/docs/reference/rest/v2/QueryParameter
SCALARS: Final = frozenset(
    {
        "BIGNUMERIC", "BOOL", "BOOLEAN", "BYTES", "DATE", "DATETIME", "FLOAT", "FLOAT64",
        "GEOGRAPHY", "INT64", "INTEGER", "INTERVAL", "JSON", "NUMERIC", "STRING", "TIME",
        "TIMESTAMP",
    }
)  # fmt: skip
_TOKEN: Final = re.compile(r"\s*([A-Za-z_]\w*|[<>,])")
_LONGEST: Final = 10_000  # characters
_DEEPEST: Final = 15


@dataclass(frozen=True)
class QueryType:
    """A scalar type by its name; ARRAY of `item`; STRUCT of `fields` in their order."""

    name: str
    item: QueryType | None = None
    fields: tuple[tuple[str, QueryType], ...] = ()

    @classmethod
    def of(cls, text: str) -> QueryType:
        """The type that a text names; ValueError with what is wrong."""
        if len(text) > _LONGEST:
            raise ValueError(f"a type has at most {_LONGEST:,} characters")
        tokens: list[str] = []
        place = 0
        while rest := text[place:].strip():
            if not (match := _TOKEN.match(text, place)):
                lengths = ": parameters have no lengths" if rest[0] == "(" else ""
                raise ValueError(
                    f"{text[place:].strip()[0]!r} does not belong into a type{lengths}"
                )
            tokens.append(match[1])
            place = match.end()
        tokens.reverse()
        made = _read(tokens, 0)
        if tokens:
            raise ValueError(f"{tokens[-1]!r} follows after the end of the type")
        return made

    def as_api(self) -> dict[str, Any]:
        """A ``QueryParameterType`` of BigQuery's REST API."""
        if self.item:
            return {"type": self.name, "arrayType": self.item.as_api()}
        if self.fields:
            types = [{"name": name, "type": inner.as_api()} for name, inner in self.fields]
            return {"type": self.name, "structTypes": types}
        return {"type": self.name}

    def value_as_api(self, value: Any) -> dict[str, Any]:
        """A ``QueryParameterValue`` of a JSON value; ValueError if it isn't one of this type."""
        if value is None:
            return {"value": None}
        if self.item:
            if not isinstance(value, list):
                raise ValueError(f"an {self.name} needs a list")
            return {"arrayValues": [self.item.value_as_api(item) for item in value]}
        if self.fields:
            names = {name for name, _ in self.fields}
            if not isinstance(value, Mapping) or set(value) != names:
                raise ValueError(f"a {self.name} needs an object of {', '.join(sorted(names))}")
            of_fields = {name: kind.value_as_api(value[name]) for name, kind in self.fields}
            return {"structValues": of_fields}
        if self.name == "JSON":
            return {"value": json.dumps(value)}
        if isinstance(value, dict | list):
            raise ValueError(f"{json.dumps(value)} is no {self.name}")  # noqa: TRY004
        return {"value": json.dumps(value) if isinstance(value, bool) else str(value)}


def _read(tokens: list[str], depth: int) -> QueryType:
    """The type at the end of `tokens`, which are in reverse."""
    name = tokens.pop().upper() if tokens else ""
    if depth > _DEEPEST:
        raise ValueError("a type has at most 15 levels")
    if name in SCALARS:
        return QueryType(name)
    if name == "ARRAY":
        _expect(tokens, "<", name)
        made = QueryType(name, item=_read(tokens, depth + 1))
        _expect(tokens, ">", name)
        if made.item and made.item.item:
            raise ValueError("an ARRAY can't have items that are of type ARRAY")
        return made
    if name == "STRUCT":
        _expect(tokens, "<", name)
        fields: dict[str, QueryType] = {}
        while True:
            field = tokens.pop() if tokens else ""
            has_type = bool(tokens) and tokens[-1] not in ",<>"
            if not field.isidentifier() or field in fields or not has_type:
                raise ValueError("each field of a STRUCT needs a name of its own, and a type")
            fields[field] = _read(tokens, depth + 1)
            if not tokens or tokens[-1] != ",":
                break
            tokens.pop()
        _expect(tokens, ">", name)
        return QueryType(name, fields=tuple(fields.items()))
    raise ValueError(f"{name or 'nothing'} is no type of a query parameter")


def _expect(tokens: list[str], token: str, name: str) -> None:
    if not tokens or tokens.pop() != token:
        raise ValueError(f"{name} needs a {token}")
