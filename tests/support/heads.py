"""The heads of the engine's operations, as they stand in the Lua files."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydag_dist.engine.script import source
from tests.support.states import TABLE

_HEAD = re.compile(
    r"^--   given    (.*(?:\n--            .*)*)\n"
    r"--   answers  (.*(?:\n--            .*)*)\n"
    r"--   writes   (.*(?:\n--            .*)*)\n"
    r"function OPERATIONS\.(\w+)\(",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Head:
    """What an operation is given, what it answers, and which keys it writes."""

    given: list[str]
    each: list[str]  # of items, as many as there are
    with_fields: bool  # names and values of a run's hash follow
    answers: str
    keys: set[str]

    def writes(self, key: str) -> bool:
        """Whether it says that it writes a key of the table."""
        return key in self.keys or ("run:ID:*" in self.keys and key.startswith("run:ID"))


def heads() -> dict[str, Head]:
    """Of each operation."""
    found = {}
    for given, answers, writes, operation in _HEAD.findall(source()):
        told, _, fields = _line(given).partition("fields of the run")
        fixed, _, each = told.partition("of each:")
        found[operation] = Head(
            given=re.findall(r"\w+", fixed),
            each=re.findall(r"\w+", each),
            with_fields="fields of the run" in given or bool(fields),
            answers=_line(answers),
            keys=_keys(_line(writes)),
        )
    return found


def _keys(words: str) -> set[str]:
    """The keys, also of the functions that stand for what they write: see table.lua."""
    found: set[str] = set()
    for word in words.split(", "):
        if not word.endswith("()"):
            found.add(word)
            continue
        told = re.search(
            rf"^--   {re.escape(word)} +(.*(?:\n--                .*)*)",
            TABLE.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
        assert told, f"{TABLE.name} does not say what {word} writes"
        found |= _keys(_line(told[1]))
    return found


def _line(text: str) -> str:
    return re.sub(r"\s*\n--\s+", " ", text)
