"""Finding out the columns of JSON objects."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from pydag_emulators.bigquery.errors import invalid
from pydag_emulators.bigquery.files.values import (
    BadValue,
    record,
)
from pydag_emulators.bigquery.schema import Field, check_schema

_SAMPLE = 500
_TEXTS = ("DATE", "TIMESTAMP", "TIME")


def detect_fields(objects: Iterable[dict[str, Any]]) -> list[Field]:
    """The columns that the first objects have.

    Raises:
        ApiError: `invalid` when a field has values that no type holds.
    """
    fields = _fields(list(itertools.islice(objects, _SAMPLE)))
    if not fields:
        raise invalid("Error while reading data, error message: No fields were found.")
    return check_schema(fields)


def _fields(objects: list[dict[str, Any]]) -> list[Field]:
    values: dict[str, list[Any]] = {}
    for given in objects:
        for name, value in given.items():
            values.setdefault(name, []).append(value)
    return [field for name, found in values.items() if (field := _field(name, found)) is not None]


def _field(name: str, values: list[Any]) -> Field | None:
    values = [value for value in values if value is not None]
    lists = [value for value in values if isinstance(value, list)]
    if lists and len(lists) < len(values):
        raise invalid(f"Field {name} has both arrays and single values")
    items = [item for value in lists for item in value] if lists else values
    if not items:
        return None  # nothing but null, or empty arrays
    mode = "REPEATED" if lists else "NULLABLE"
    if all(isinstance(item, dict) for item in items):
        return {"name": name, "type": "RECORD", "mode": mode, "fields": _fields(items)}
    return {"name": name, "type": _scalar(items), "mode": mode}


def _scalar(items: list[Any]) -> str:
    if all(isinstance(item, bool) for item in items):
        return "BOOLEAN"
    if any(isinstance(item, bool) for item in items):
        return "STRING"
    if all(isinstance(item, int) for item in items):
        return "INTEGER"
    if all(isinstance(item, int | float) for item in items):
        return "FLOAT"
    for type_ in _TEXTS:
        if all(isinstance(item, str) and _is(item, type_) for item in items):
            return type_
    return "STRING"


def _is(item: str, type_: str) -> bool:
    try:
        record({"x": item}, [{"name": "x", "type": type_, "mode": "NULLABLE"}], ignore_unknown=True)
    except BadValue:
        return False
    return True
