"""Strict JSON: what a file says twice, or only some readers understand, is an error."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any, Final

from pydag_dist.dag.script import quote

DEPTH: Final = 100  # levels of objects and lists

Path = tuple[str | int, ...]


class NotJson(ValueError):
    """A text isn't JSON at all; the message says where."""


class Loaded:
    """A JSON text's value, and the places in it that are wrong though it could be read."""

    def __init__(self, text: str) -> None:
        self._repeated: dict[int, tuple[dict[str, Any], list[str]]] = {}
        try:
            self.value = json.loads(text, object_pairs_hook=self._object)
        except json.JSONDecodeError as error:
            raise NotJson(
                f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
            ) from None
        except RecursionError:
            raise NotJson(f"nested deeper than {DEPTH} levels") from None
        except ValueError as error:  # an integer of thousands of digits
            raise NotJson(f"not JSON: {error}") from None

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = [key for key in value if keys.count(key) > 1]
            self._repeated[id(value)] = (value, twice)
        return value

    def faults(self) -> Iterator[tuple[Path, str]]:
        """Every place that is wrong, as a path and a message."""
        return faults(self.value, self._repeated_keys)

    def _repeated_keys(self, value: dict[str, Any]) -> list[str]:
        return self._repeated.get(id(value), (value, []))[1]


def faults(
    value: Any, repeated_keys: Callable[[dict[str, Any]], list[str]] = lambda _: []
) -> Iterator[tuple[Path, str]]:
    """The places of a Python value that JSON can't say: types, keys, NaN, depth, surrogates."""
    todo: list[tuple[Path, Any]] = [((), value)]
    while todo:
        path, value = todo.pop()
        if message := _fault(value):
            yield path, message
        if isinstance(value, dict | list | tuple) and len(path) >= DEPTH:
            yield path, f"nested deeper than {DEPTH} levels"
        elif isinstance(value, dict):
            for key in repeated_keys(value):
                yield (*path, key), "is there more than once"
            for key in value:
                if not isinstance(key, str):
                    yield path, f"has a key that is not text: {quote(key)}"
                elif message := _fault(key):
                    yield path, f"has a key that {message}"
            todo.extend(((*path, k), v) for k, v in value.items() if isinstance(k, str))
        elif isinstance(value, list | tuple):
            todo.extend(((*path, i), v) for i, v in enumerate(value))


def _fault(value: Any) -> str | None:
    match value:
        case str():
            # Half of a surrogate pair can't be sent anywhere.
            return None if value.isascii() or _encodable(value) else "has half a character"
        case float():
            return None if math.isfinite(value) else f"must be a number, not {value}"
        case None | int() | dict() | list() | tuple():
            return None
        case _:
            return f"must be JSON, not a Python {type(value).__name__}"


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
