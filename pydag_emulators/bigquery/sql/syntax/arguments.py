"""How many arguments functions have, where the generic parser takes others, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query

Build = Callable[..., exp.Expr]
_COUNTS = {
    "ARRAY_AGG": (1, 1),
    "ARRAY_LENGTH": (1, 1),
    "CHARACTER_LENGTH": (1, 1),
    "CHAR_LENGTH": (1, 1),
    "DATETIME_ADD": (2, 2),
    "DATETIME_SUB": (2, 2),
    "DATE_ADD": (2, 2),
    "DATE_SUB": (2, 2),
    "IFNULL": (2, 2),
    "LENGTH": (1, 1),
    "MAX": (1, 1),
    "MD5": (1, 1),
    "MIN": (1, 1),
    "REPLACE": (3, 3),
    "ROUND": (1, 3),
    "SPLIT": (1, 2),
    "STRPOS": (2, 2),
    "SUBSTR": (2, 3),
    "TIMESTAMP_ADD": (2, 2),
    "TIMESTAMP_SUB": (2, 2),
    "TIME_ADD": (2, 2),
    "TIME_SUB": (2, 2),
    "TO_HEX": (1, 1),
}
"""The fewest and the most arguments."""


def counted(functions: dict[str, Build]) -> dict[str, Build]:
    """The builders of functions, of which those above refuse other numbers of arguments."""
    return {name: _counted(name, build) for name, build in functions.items()}


def _counted(name: str, build: Build) -> Build:
    if name not in _COUNTS:
        return build
    fewest, most = _COUNTS[name]

    def checked(args: list[Any], **options: Any) -> exp.Expr:
        if not fewest <= len(args) <= most:
            raise invalid_query(f"Number of arguments does not match for function {name}")
        return build(args, **options)

    return checked
