"""What the text of a query tells of its sources, where BigQuery's dry run doesn't tell.

A dry run lists tables. It doesn't say that a name is a view's, nor that a function answers
differently each time. So the tables that the text names after FROM and JOIN must be exactly those
of the dry run: of a view the two differ. Whatever isn't understood here counts as a difference.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from workers.result_cache.cached_operator import NotCached

# https://cloud.google.com/bigquery/docs/cached-results#cache-exceptions, and what reads the past
_VOLATILE = re.compile(
    r"(?i)\bCURRENT_(?:DATE|DATETIME|TIME|TIMESTAMP)\b|\b(?:RAND|GENERATE_UUID|SESSION_USER)\s*\("
    r"|\bTABLESAMPLE\b|\bSYSTEM_TIME\b|@@\w+"
)
_BLANK = re.compile(
    r"""(?s)--[^\n]*|\#[^\n]*|/\*.*?\*/"""
    r"""|'''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\"|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\""""
    r"""|(?P<name>`[^`]*`)"""
)
_NAME = r"(?:`[^`]+`|[A-Za-z_][\w-]*)"
_PATH = rf"{_NAME}(?:\s*\.\s*(?:`[^`]+`|\w+))*"
_TOKEN = re.compile(rf"(?P<path>{_PATH})|[(),]")
_CALL = re.compile(rf"({_NAME})(?:\s*\.\s*(?:`[^`]+`|\w+))+\s*\(|(`[^`]+`)\s*\(")
_CTE = re.compile(r"`?([A-Za-z_]\w*)`?\s+AS\s*\(", re.IGNORECASE)
# FROM that no table follows.
_OTHER_FROM = re.compile(
    r"\b(EXTRACT\s*\()\s*\w+(?:\s*\(\s*\w+\s*\))?\s+FROM\b|\b(DISTINCT)\s+FROM\b", re.IGNORECASE
)
_OWN_FUNCTIONS = frozenset({"SAFE", "NET", "HLL_COUNT"})
_AFTER_FROM = frozenset(
    {
        "SELECT", "WHERE", "GROUP", "HAVING", "QUALIFY", "WINDOW", "ORDER", "LIMIT", "UNION",
        "INTERSECT", "EXCEPT",
    }
)  # fmt: skip


def check_sources(sql: str, tables: Collection[str]) -> set[str]:
    """Raise `NotCached` unless the query reads nothing but `tables`, ``project.dataset.table``.

    The names of its WITH clauses that it reads: where they don't hold, they are a table's.
    """
    text = _BLANK.sub(lambda found: found["name"] or "''", sql)
    if found := _VOLATILE.search(text):
        raise NotCached(f"{found[0].rstrip(' (')} in its text answers differently each time")
    for call in _CALL.finditer(text):
        if (call[1] or "").upper() not in _OWN_FUNCTIONS:
            raise NotCached(f"what {call[0].rstrip('( ')} does can't be told")
    text = _OTHER_FROM.sub(r"\1\2 ", text)
    own = {name.upper() for name in _CTE.findall(text)}
    paths = set(_named(text))
    named = {path for path in paths if path.upper() not in own}
    unseen = set(tables)
    for path in sorted(named):
        fits = {table for table in tables if f".{table}".endswith(f".{path}")}
        if not fits:
            raise NotCached(f"{path} in its text is no table of the dry run: a view, perhaps")
        unseen -= fits
    if unseen:
        raise NotCached(f"its text doesn't name {min(unseen)}: a view does, perhaps")
    return paths - named


@dataclass
class _Level:
    """Within one pair of parentheses."""

    in_from: bool = False
    expects: bool = False  # a table, next


def _named(text: str) -> Iterator[str]:
    """The paths after FROM, JOIN, and commas between them; not UNNEST."""
    levels = [_Level()]
    for token in _TOKEN.finditer(text):
        level, word = levels[-1], token[0].upper()
        if word == "(":
            levels.append(_Level(level.expects, level.expects))
            level.expects = False
        elif word == ")":
            if len(levels) > 1:
                levels.pop()
        elif word == ",":
            level.expects = level.in_from
        elif word in {"FROM", "JOIN"}:
            level.in_from = level.expects = True
        elif word in _AFTER_FROM:
            level.in_from = level.expects = False
        elif level.expects:
            level.expects = False
            path = re.sub(r"[`\s]", "", token[0])
            if path.upper() != "UNNEST":
                yield path
