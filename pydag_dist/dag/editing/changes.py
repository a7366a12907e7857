"""Changes of a text: what is replaced, and how it is undone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Change(NamedTuple):
    """The characters from `begin` to before `end` are replaced by `text`."""

    begin: int
    end: int
    text: str


def applied(text: str, changes: Sequence[Change]) -> str:
    """The text after all changes, which are in its order, and of which none overlap."""
    parts, at = [], 0
    for change in changes:
        parts += [text[at : change.begin], change.text]
        at = change.end
    return "".join([*parts, text[at:]])


def inverse(text: str, changes: Sequence[Change]) -> list[Change]:
    """What makes the text after all changes this text again, to the byte."""
    undone, moved = [], 0
    for begin, end, new in changes:
        undone.append(Change(begin + moved, begin + moved + len(new), text[begin:end]))
        moved += len(new) - (end - begin)
    return undone
