"""Where the values of a JSON text stand in it: for editors, which show what is wrong there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Final, NamedTuple

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_DECODER: Final = json.JSONDecoder()

Span = tuple[int, int]  # offsets in characters: of the first one, and of the one after the last


class Member(NamedTuple):
    """A value of an object or a list, by its key or number, and where both stand."""

    key: str | int
    start: int  # of the key; of a list's item that of the value
    colon: int  # behind the key
    begin: int
    end: int


def place(text: str, path: Sequence[str | int]) -> Span | None:
    """Where the value of that path stands in a text that is JSON; None if there is none.

    Of a key that is there twice it is the last one, as whoever reads the text takes it.
    """
    try:
        begin, end = whole(text)
        for step in path:
            found = None
            for member in members(text, begin):
                found = member[3:] if member.key == step else found
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
    return [member[3:] for member in members(text, found[0])]


def whole(text: str) -> Span:
    """Where the value of a JSON text stands, which may begin with a byte order mark."""
    return _value(text, int(text.startswith("\ufeff")))


def _value(text: str, at: int) -> Span:
    begin = _SPACE.match(text, at).end()  # type: ignore[union-attr]
    return begin, _DECODER.raw_decode(text, begin)[1]


def members(text: str, begin: int) -> Iterator[Member]:
    """What is in the object or the list that begins there; nothing if neither does.

    The text must be JSON.
    """
    is_object, number = text[begin] == "{", 0
    if not is_object and text[begin] != "[":
        return
    at = _after(text, begin + 1)
    while text[at] not in "]}":
        key: str | int = number
        start = colon = at
        if is_object:
            key, colon = scanstring(text, at + 1)
            at = _after(text, colon) + 1
        span = _value(text, at)
        yield Member(key, start, colon, *span)
        at = _after(text, span[1])
        if text[at] == ",":
            at = _after(text, at + 1)
        number += 1


def _after(text: str, at: int) -> int:
    """The next character that is no space."""
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]
