"""Where the values of a JSON text stand in it: for editors, which show what is wrong there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Final

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_DECODER: Final = json.JSONDecoder()

Span = tuple[int, int]  # offsets in characters: of the first one, and of the one after the last


def place(text: str, path: Sequence[str | int]) -> Span | None:
    """Where the value of that path stands in a text that is JSON; None if there is none.

    Of a key that is there twice it is the last one, as whoever reads the text takes it.
    """
    try:
        begin, end = _value(text, 0)
        for step in path:
            found = None
            for key, span in _items(text, begin):
                found = span if key == step else found
            if found is None:
                return None
            begin, end = found
    except (ValueError, IndexError, RecursionError):
        return None
    return begin, end


def items(text: str, path: Sequence[str | int]) -> list[Span]:
    """Where the items of the list of that path stand; none if it is no list."""
    found = place(text, path)
    if found is None or text[found[0]] != "[":
        return []
    return [span for _, span in _items(text, found[0])]


def _value(text: str, at: int) -> Span:
    begin = _SPACE.match(text, at).end()  # type: ignore[union-attr]
    return begin, _DECODER.raw_decode(text, begin)[1]


def _items(text: str, begin: int) -> Iterator[tuple[str | int, Span]]:
    """The values of an object or a list that begins there, by their keys or numbers."""
    is_object, number = text[begin] == "{", 0
    if not is_object and text[begin] != "[":
        return
    at = _after(text, begin + 1)
    while text[at] not in "]}":
        key: str | int = number
        if is_object:
            key, at = scanstring(text, at + 1)
            at = _after(text, at) + 1  # the colon
        span = _value(text, at)
        yield key, span
        at = _after(text, span[1])
        if text[at] == ",":
            at = _after(text, at + 1)
        number += 1


def _after(text: str, at: int) -> int:
    """The next character that is no space."""
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]
