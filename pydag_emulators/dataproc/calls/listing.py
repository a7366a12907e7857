"""What list calls share: filters such as `status.state = ACTIVE AND labels.env = *`, and pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydag_emulators.dataproc.calls.refused import invalid

T = TypeVar("T")
PAGE = 100

_TERM = re.compile(r"(?P<field>[\w.-]+)\s*(?:=|:)\s*(?P<value>\S+)")


class Filter:
    """Terms `field = value` joined by AND, and such conjunctions by OR.

    A label's value `*` means that the label is there. There are no parentheses.
    """

    def __init__(self, text: str, fields: Sequence[str]) -> None:
        self._fields = fields
        self._either = [
            [self._term(part) for part in re.split(r"(?i)\s+AND\s+", conjunction)]
            for conjunction in re.split(r"(?i)\s+OR\s+", text.strip())
            if conjunction
        ]

    def _term(self, part: str) -> tuple[str, str]:
        term = _TERM.fullmatch(part.strip())
        if not term:
            raise invalid(f"Invalid filter: {part!r} is not of the form field = value")
        field = term["field"]
        if field not in self._fields and not field.startswith("labels."):
            known = ", ".join([*self._fields, "labels.KEY"])
            raise invalid(f"Invalid filter: no field {field}; there are {known}")
        return field, term["value"].strip('"')

    def accepts(self, values: Mapping[str, set[str]], labels: Mapping[str, str]) -> bool:
        """`values` has for each field the words that are true of the thing."""
        return not self._either or any(
            all(_holds(field, wanted, values, labels) for field, wanted in terms)
            for terms in self._either
        )


def _holds(
    field: str, wanted: str, values: Mapping[str, set[str]], labels: Mapping[str, str]
) -> bool:
    if not field.startswith("labels."):
        return wanted in values[field]
    label = labels.get(field.removeprefix("labels."))
    return label is not None and wanted in ("*", label)


def page(things: Sequence[T], size: int, token: str) -> tuple[Sequence[T], str]:
    """One page and the token of the next; the token of the last page is empty."""
    if token and not token.isdecimal():
        raise invalid(f"Invalid page token: {token!r}")
    start = int(token or 0)
    end = start + (size or PAGE)
    return things[start:end], str(end) if end < len(things) else ""
