"""Refuses what Dataproc's client library would refuse, on hosts without that library.

`dataproc_config.json` has the fields of its messages, and the values of its enums: "any" is any
value, "[kind]" a list, "{kind}" an object of such values by any names.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydag_dist.dag.templates.texts import MARK
from pydag_dist.dag.text.messages import did_you_mean
from pydag_dist.dag.text.quote import quote
from pydag_dist.dag.text.strict_json import dotted

_Kinds = dict[str, tuple[tuple[type, ...], str]]
_SCALARS: _Kinds = {
    "bool": ((bool,), "true or false"),
    "text": ((str,), "a text"),
    "integer": ((int,), "an integer"),
    "number": ((int, float), "a number"),
}
_CONTAINERS: _Kinds = {"[": ((list,), "a list"), "{": ((dict,), "an object")}
_SHOWN = 5  # values of an enum


def check(config: dict[str, Any], message: str) -> dict[str, Any]:
    """The configuration, if it is one of that message; ValueError with all that is wrong."""
    if wrong := list(_problems(config, message, ())):
        raise ValueError("; ".join(wrong))
    return config


@functools.cache
def _known() -> dict[str, Any]:
    known: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text())
    return known


def _problems(value: Any, kind: str, path: tuple[str | int, ...]) -> Iterator[str]:
    if kind == "any" or value is None or (isinstance(value, str) and MARK in value):
        return
    at = f"{dotted(path)}: " if path else ""
    known = _known().get(kind)
    if known is None:
        types, words = _SCALARS.get(kind) or _CONTAINERS[kind[0]]
        if not isinstance(value, types) or (isinstance(value, bool) and kind != "bool"):
            yield f"{at}must be {words}, not {quote(value)}"
        elif kind not in _SCALARS:
            for key, item in _items(value):
                yield from _problems(item, kind[1:-1], (*path, key))
    elif isinstance(known, list):
        yield from _of_enum(value, known, at)
    elif not isinstance(value, dict):
        yield f"{at}must be an object, not {quote(value)}"
    else:
        for name, inner in value.items():
            # Names that Python reserves have a _ at their end.
            field = known.get(name) or known.get(f"{name}_")
            if field is None:
                hint = did_you_mean(name, known)
                yield f"{dotted((*path, name))}: unknown field of {kind}{hint}"
            else:
                yield from _problems(inner, field, (*path, name))


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    return value.items() if isinstance(value, dict) else enumerate(value)


def _of_enum(value: Any, names: list[str], at: str) -> Iterator[str]:
    if value in names or (isinstance(value, int) and not isinstance(value, bool)):
        return
    more = ", …" if len(names) > _SHOWN else ""
    hint = did_you_mean(value, names) if isinstance(value, str) else ""
    yield f"{at}must be one of {', '.join(names[:_SHOWN])}{more}, not {quote(value)}{hint}"
