"""What list calls share: filters such as `status.state = ACTIVE AND labels.env = *`, and pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydag_dist.local.dataproc.refused import invalid

T = TypeVar("T")
PAGE = 100

_TERM = re.compile(r"(?P<field>[\w.-]+)\s*(?:=|:)\s*(?P<value>\S+)")


class Filter:
    """Terms `field = value` joined by AND; a label's value `*` means that the label is there."""

    def __init__(self, text: str, fields: Sequence[str]) -> None:
        self._terms: list[tuple[str, str]] = []
        for part in re.split(r"\s+AND\s+", text.strip()) if text.strip() else []:
            term = _TERM.fullmatch(part.strip())
            if not term:
                raise invalid(f"Invalid filter: {part!r} is not of the form field = value")
            field = term["field"]
            if field not in fields and not field.startswith("labels."):
                known = ", ".join([*fields, "labels.KEY"])
                raise invalid(f"Invalid filter: no field {field}; there are {known}")
            self._terms.append((field, term["value"].strip('"')))

    def accepts(self, values: Mapping[str, set[str]], labels: Mapping[str, str]) -> bool:
        """`values` has for each field the words that are true of the thing."""
        for field, wanted in self._terms:
            if field.startswith("labels."):
                label = labels.get(field.removeprefix("labels."))
                if label is None or wanted not in ("*", label):
                    return False
            elif wanted not in values[field]:
                return False
        return True


def page(things: Sequence[T], size: int, token: str) -> tuple[Sequence[T], str]:
    """One page and the token of the next; the token of the last page is empty."""
    if token and not token.isdecimal():
        raise invalid(f"Invalid page token: {token!r}")
    start = int(token or 0)
    end = start + (size or PAGE)
    return things[start:end], str(end) if end < len(things) else ""
