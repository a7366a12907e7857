"""The changes of a JSON text that give it another value and leave everything else as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Any, Final

from pydag_dist.dag.editing.changes import Change, applied
from pydag_dist.dag.editing.style import WIDTH, Style, style_of
from pydag_dist.dag.text.places import Member, members, whole
from pydag_dist.dag.text.strict_json import Loaded
from pydag_dist.errors import PydagError

_COMPARED: Final = 4_000_000  # pairs of items of two lists
_CHARACTER: Final = re.compile(r"\\u[0-9a-fA-F]{4}|\\.|[^\\]", re.DOTALL)
_HALF: Final = re.compile(r"[\ud800-\udfff]|\\u[dD][89a-fA-F]")
_LINE_END: Final = re.compile(r"[\r\n]")


def rewritten(text: str, value: Any, old: Any = ..., *, no_quotes: bool = False) -> list[Change]:
    """The changes after which the JSON text has that value, in the text's own style.

    `old`: the value that it has, if known; what is the same object in both is not compared.
    `no_quotes`: no new string has quotes in it. Raises `NotJson`, and `PydagError` for a value that
    no JSON has.
    """
    begin, end = whole(text)
    work = _Rewriting(text, style_of(text, no_quotes=no_quotes))
    try:
        old = Loaded(text.removeprefix("\ufeff")).value if old is ... else old
        work.value(begin, end, old, value)
        changes = sorted(work.changes, key=lambda change: change[:2])
        made = json.loads(applied(text, changes).removeprefix("\ufeff"))
        if made != value and not same(made, value):  # NaN of a bad file is not itself
            raise AssertionError("an edit has made another value than it should have")
    except RecursionError:
        raise PydagError("the value is nested too deeply") from None
    except (TypeError, ValueError) as error:
        raise PydagError(f"the value can't be written as JSON: {error}") from None
    return changes


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same as JSON: 1, 1.0 and true are not."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) or (one != one and other != other)  # noqa: PLR0124  NaN of a bad file


class _Rewriting:
    def __init__(self, text: str, style: Style) -> None:
        self._text, self._style = text, style
        self.changes: list[Change] = []

    def value(self, begin: int, end: int, old: Any, new: Any) -> None:
        """Let what stands there become that value."""
        if same(old, new):
            return
        kinds = (type(old), type(new))
        if kinds == (dict, dict) and old:
            self._object(begin, end, old, new)
        elif kinds == (list, list) and old:
            self._list(begin, end, old, new)
        elif kinds == (str, str):
            self._string(begin, end, new)
        else:
            self._change(begin, end, self._written(new, self._indent(begin), None))

    def _change(self, begin: int, end: int, text: str) -> None:
        self.changes.append(Change(begin, end, text))

    def _object(self, begin: int, end: int, old: dict[str, Any], new: dict[str, Any]) -> None:
        found = list(members(self._text, begin))
        last = {str(member.key): number for number, member in enumerate(found)}
        for key, number in last.items():
            if key in new:
                self.value(found[number].begin, found[number].end, old[key], new[key])
        added: dict[int, list[tuple[str, Any]]] = {}
        anchor = -1
        for key, value in new.items():
            if key in last:
                anchor = last[key]
            else:
                added.setdefault(anchor, []).append((key, value))
        self._items(begin, end, found, [member.key in new for member in found], added)

    def _list(self, begin: int, end: int, old: list[Any], new: list[Any]) -> None:
        found = list(members(self._text, begin))
        taken: dict[int, int] = dict(_aligned([*map(_key, old)], [*map(_key, new)]))
        number_of = {there: here for here, there in taken.items()}
        added: dict[int, list[tuple[str, Any]]] = {}
        anchor = -1
        for number, value in enumerate(new):
            if number in number_of:
                anchor = number_of[number]
                self.value(found[anchor].begin, found[anchor].end, old[anchor], value)
            else:
                added.setdefault(anchor, []).append(("", value))
        self._items(begin, end, found, [number in taken for number in range(len(old))], added)

    def _items(
        self,
        begin: int,
        end: int,
        found: Sequence[Member],
        kept: Sequence[bool],
        added: Mapping[int, Sequence[tuple[str, Any]]],
    ) -> None:
        """Remove members that are not kept, and write others after those of these numbers."""
        if not any(kept):
            self._fill(begin, end, found, [item for items in added.values() for item in items])
            return
        number = 0
        while number < len(found):
            first = number
            while number < len(found) and not kept[number]:
                number += 1
            if first == number:
                number += 1
            elif first:
                self._change(found[first - 1].end, found[number - 1].end, "")
            else:
                self._change(found[0].start, found[number].start, "")
        for anchor, items in added.items():
            separator = self._separator(begin, found, anchor)
            bodies = [self._body(item, separator, begin, found, anchor) for item in items]
            if anchor >= 0:
                text = "".join(separator + body for body in bodies)
                self._change(found[anchor].end, found[anchor].end, text)
            else:
                text = "".join(body + separator for body in bodies)
                self._change(found[0].start, found[0].start, text)

    def _fill(
        self, begin: int, end: int, found: Sequence[Member], items: Sequence[tuple[str, Any]]
    ) -> None:
        inside = ""
        if items:
            separator = self._separator(begin, found, 0)
            bodies = [self._body(item, separator, begin, found, 0) for item in items]
            before, after = (
                self._text[begin + 1 : found[0].start],
                self._text[found[-1].end : end - 1],
            )
            inside = before + separator.join(bodies) + after
        self._change(begin + 1, end - 1, inside)

    def _separator(self, begin: int, found: Sequence[Member], anchor: int) -> str:
        """What stands between two members there, as far as the text shows it."""
        if len(found) > 1:
            first = max(anchor - 1, 0)
            between = self._text[found[first].end : found[first + 1].start]
            if not _LINE_END.search(between):
                return "," if between == "," else ", "
        else:
            between = "," + self._text[begin + 1 : found[0].start]
        return between if _LINE_END.search(between) else self._style.comma

    def _body(
        self,
        item: tuple[str, Any],
        separator: str,
        begin: int,
        found: Sequence[Member],
        anchor: int,
    ) -> str:
        key, value = item
        near = found[max(anchor, 0)]
        lines = _LINE_END.split(separator)
        indent = lines[-1] if len(lines) > 1 else self._indent(begin)
        like = None
        name = ""
        if self._text[begin] == "{":
            between = self._text[near.colon : near.begin]
            name = self._style.flat(key) + between
        else:
            like = near.begin
        return name + self._written(value, indent, like)

    def _written(self, value: Any, indent: str, like: int | None) -> str:
        """A value in the file's style; `like`: where one of its kind begins, if there is one."""
        style = self._style
        flat = style.flat(value)
        if style.one_line or not value or not isinstance(value, dict | list):
            return flat
        pattern = self._pattern(value, like)
        if pattern:
            found, gaps = pattern
            if not any(map(_LINE_END.search, gaps)):
                return flat
            before, between, after = gaps
            inner = _LINE_END.split(between if _LINE_END.search(between) else before)[-1]
        elif (
            not style.expands
            and not _has_list_of_objects(value)
            and not _is_task(value)
            and (len(indent) + len(flat) <= WIDTH)
        ):
            return flat
        else:
            found, inner = {}, indent + style.unit
            before = style.newline + inner
            between, after = "," + before, style.newline + indent
        pairs = value.items() if isinstance(value, dict) else (("0", item) for item in value)
        bodies = [
            (style.flat(key) + style.colon if isinstance(value, dict) else "")
            + self._written(inside, inner, found.get(key))
            for key, inside in pairs
        ]
        brackets = "{}" if isinstance(value, dict) else "[]"
        return brackets[0] + before + between.join(bodies) + after + brackets[1]

    def _pattern(
        self, value: Any, like: int | None
    ) -> tuple[dict[str, int], tuple[str, str, str]] | None:
        """Where the members of something alike begin, and what stands around and between them."""
        if like is None or self._text[like] != ("{" if isinstance(value, dict) else "["):
            return None
        found = list(members(self._text, like))
        if not found:
            return None
        before = self._text[like + 1 : found[0].start]
        seps = [self._text[one.end : other.start] for one, other in pairwise(found)]
        between = next(filter(_LINE_END.search, seps), seps[0] if seps else "," + before)
        end = found[-1].end
        after = self._text[end : self._close(end)]
        return {str(member.key): member.begin for member in found}, (before, between, after)

    def _close(self, at: int) -> int:
        while self._text[at] not in "]}":
            at += 1
        return at

    def _string(self, begin: int, end: int, new: str) -> None:
        """Replace what differs between two strings, and no character more."""
        raw = self._text[begin + 1 : end - 1]
        if _HALF.search(raw) or _HALF.search(
            new
        ):  # a character that is two escapes, or half of one
            self._change(begin, end, f'"{self._style.text(new)}"')
            return
        pieces = _CHARACTER.findall(raw) if "\\" in raw else raw
        old = "".join(map(_character, pieces)) if "\\" in raw else raw
        first = _common(old, new)
        most = min(len(old), len(new)) - first
        last = min(_common(old[::-1], new[::-1]), most)
        skipped = sum(map(len, pieces[:first]))
        left = sum(map(len, pieces[len(pieces) - last :]))
        text = self._style.text(new[first : len(new) - last])
        self._change(begin + 1 + skipped, end - 1 - left, text)

    def _indent(self, at: int) -> str:
        """The indent of the line of that place."""
        start = max(self._text.rfind("\n", 0, at), self._text.rfind("\r", 0, at)) + 1
        found = re.compile(r"[ \t]*").match(self._text, start)
        return found[0] if found else ""


def _common(one: str, other: str) -> int:
    """How many characters both have in common at their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def _character(piece: str) -> str:
    return piece if len(piece) == 1 else str(json.loads(f'"{piece}"'))


def _has_list_of_objects(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_list_of_objects, value.values()))
    return isinstance(value, list) and any(isinstance(item, dict) for item in value)


def _is_task(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("task_id"), str)


def _key(item: Any) -> Hashable:
    """By which an item of a list is known again: a task by its id, others by their value."""
    if _is_task(item):
        return "task", item["task_id"]
    if isinstance(item, dict | list):
        return "other", Style().flat(item)
    return type(item).__name__, item


def _aligned(old: Sequence[Hashable], new: Sequence[Hashable]) -> Iterator[tuple[int, int]]:
    """Which items of a list become which of another one, in order."""
    first, last = 0, 0
    most = min(len(old), len(new))
    while first < most and old[first] == new[first]:
        yield first, first
        first += 1
    while last < most - first and old[-1 - last] == new[-1 - last]:
        last += 1
    a, b = old[first : len(old) - last], new[first : len(new) - last]
    if len(a) * len(b) > _COMPARED:
        yield from ((first + n, first + n) for n in range(min(len(a), len(b))))
    else:
        for kind, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
            if kind in {"equal", "replace"}:
                for n in range(min(j - i, m - k)):
                    yield first + i + n, first + k + n
    for n in range(last, 0, -1):
        yield len(old) - n, len(new) - n
