"""Strict JSON: keys that are there twice, and what only some readers accept, are errors."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from pydag_dist.dag.limits import DEPTH
from pydag_dist.dag.text.quote import quote

Path = tuple[str | int, ...]

Repeated = Mapping[int, tuple[Any, list[str]]]
# Faults of texts that hold half of a surrogate pair: Python's JSON escapes them.
HALVES = ("has half a character", "has a key with half a character")

_Trail = tuple["_Trail", Any, int] | None  # container before, key in it, depth


class NotJson(ValueError):
    """A text isn't JSON at all; the message says where."""


class Loaded:
    """The value of a JSON text, and the places in it that are wrong although it could be read."""

    def __init__(self, text: str) -> None:
        self._repeated: dict[int, tuple[dict[str, Any], list[str]]] = {}
        try:
            self.value = json.loads(text, object_pairs_hook=self._object)
        except json.JSONDecodeError as error:
            where = f"(line {error.lineno}, column {error.colno})"
            raise NotJson(f"not JSON: {error.msg} {where}{_advice(text, error)}") from None
        except RecursionError:
            raise NotJson(f"nested deeper than {DEPTH} levels") from None
        except ValueError as error:  # an integer of thousands of digits
            raise NotJson(f"not JSON: {error}") from None

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            counts = Counter(key for key, _ in pairs)
            twice = [key for key, count in counts.items() if count > 1]
            self._repeated[id(value)] = (value, twice)
        return value

    def faults(self) -> Iterator[tuple[Path, str]]:
        """Every place that is wrong, as a path and a message."""
        return faults(self.value, self._repeated)


def _advice(text: str, error: json.JSONDecodeError) -> str:
    """What to do about the mistakes that people make most often; empty for others."""
    found = text[error.pos : error.pos + 1]
    if not text.strip():
        return "; the text is empty"
    if error.msg.startswith("Invalid control character"):
        return r"; inside of quotes a line break is written as \n, and a tab as \t"
    if (
        error.msg.startswith("Illegal trailing comma")
        or (  # which Python 3.13 says
            found in ("}", "]") and text[: error.pos].rstrip().endswith(",")
        )
    ):
        return "; nothing follows the last comma: remove it"
    if found in ("#", "/"):
        return "; JSON has no comments"
    is_quoted = found == "'" and error.msg.startswith("Expecting value")
    return "; texts are in double quotes" if is_quoted else ""


def faults(value: Any, repeated: Repeated = MappingProxyType({})) -> Iterator[tuple[Path, str]]:
    """The places of a Python value that JSON can't say: types, keys, NaN, depth, surrogates.

    `repeated` has for the `id` of an object that object and its keys that were there twice.
    """
    if message := _fault(value):
        yield (), message
    todo: list[tuple[Any, _Trail]] = [(value, None)]
    while todo:
        container, trail = todo.pop()
        if isinstance(container, dict):
            for key, message in _key_faults(container, repeated):
                yield (*_path(trail), *key), message
        depth = trail[2] + 1 if trail else 1
        for key, item in _items(container):
            # Most values are short texts and numbers: they must cost next to nothing.
            kind = type(item)
            if kind is int or (kind is str and item.isascii()):
                continue
            if message := _fault(item):
                yield (*_path(trail), key), message
            elif depth == DEPTH and isinstance(item, dict | list | tuple):
                yield (*_path(trail), key), f"nested deeper than {DEPTH} levels"
            else:
                todo.append((item, (trail, key, depth)))


def _items(container: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(container, dict):
        return container.items()
    return enumerate(container) if isinstance(container, list | tuple) else ()


def _path(trail: _Trail) -> Path:
    keys = []
    while trail:
        trail, key, _ = trail
        keys.append(key)
    return tuple(reversed(keys))


def _fault(value: Any) -> str | None:
    match value:
        case str():
            # Half of a surrogate pair can't be sent anywhere.
            return None if value.isascii() or _encodable(value) else HALVES[0]
        case float():
            return None if math.isfinite(value) else f"must be a number, not {value}"
        case None | int() | dict() | list() | tuple():
            return None
        case _:
            return f"must be JSON, not a Python {type(value).__name__}"


def _key_faults(value: dict[Any, Any], repeated: Repeated) -> Iterator[tuple[Path, str]]:
    if id(value) in repeated:
        for key in repeated[id(value)][1]:
            yield (key,), "is there more than once"
    for key in value:
        if not isinstance(key, str):
            yield (), f"has a key that is not text: {quote(key)}"
        elif not key.isascii() and not _encodable(key):
            yield (), HALVES[1]


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def dotted(path: Path) -> str:
    """A path as a problem's field shows it: ``params.args[0]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
