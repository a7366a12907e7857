"""Globs as `matchGlob` of Cloud Storage's list call takes them.

`*` and `?` match within a folder, `**` across folders, `[ab]`, `[!a]` and `[a-z]` one character,
`{a,b}` one of some: https://cloud.google.com/storage/docs/json_api/v1/objects/list#list-objects-and-prefixes-using-glob
"""

from __future__ import annotations

import functools
import re

from pydag_emulators.gcs.errors import invalid

_PART = re.compile(
    r"\*\*/|\*\*|\*|\?|\[(?P<no>[!^]?)(?P<set>[^\]]+)\]|\{|\}|,|\\(?P<raw>.)|.", re.DOTALL
)
_MEANING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
_BEFORE_WILDCARD = re.compile(r"[^*?\[{\\]*")


@functools.lru_cache
def compiled(glob: str) -> re.Pattern[str]:
    """A pattern whose `fullmatch` answers for an object's name."""
    parts, depth = [], 0
    for match in _PART.finditer(glob):
        part = match[0]
        if part in _MEANING:
            parts.append(_MEANING[part])
        elif match["set"]:
            parts.append(f"[{'^' if match['no'] else ''}{_set(match['set'])}]")
        elif part == "{":
            depth += 1
            parts.append("(?:")
        elif part == "}" and depth:
            depth -= 1
            parts.append(")")
        elif part == "," and depth:
            parts.append("|")
        else:
            parts.append(re.escape(match["raw"] or part))
    if depth:
        raise invalid(f"Invalid glob: {glob}")
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:
        raise invalid(f"Invalid glob: {glob}") from None


def literal_start(glob: str) -> str:
    """What all names that match begin with."""
    match = _BEFORE_WILDCARD.match(glob)
    return match[0] if match else ""


def _set(characters: str) -> str:
    return re.sub(r"([\\\[\]^&|~])", r"\\\1", characters)
