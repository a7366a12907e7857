"""Params of a file: an object, or an object that pyDag wrote as a text in single quotes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from pydag_dist.dag.text.strict_json import Loaded, NotJson, dotted

# What stands in quotes, and the words that Python and JSON spell differently.
_TOKEN = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\b(?:True|False|None)\b""", re.DOTALL)
_WORDS: Final = {"True": "true", "False": "false", "None": "null"}
_HEX: Final = "[0-9a-fA-F]"
_ESCAPE = re.compile(
    rf'\\(?:x(?P<x>{_HEX}{{2}})|U(?P<U>00(?:0{_HEX}|10){_HEX}{{4}})|.)|"', re.DOTALL
)
_ESCAPES: Final = {"\\'": "'", '"': '\\"'}


def single_quoted(text: str) -> Iterator[str]:
    """The JSON texts that pyDag's params could mean, the likeliest first.

    pyDag reads its params after replacing each ``'`` by ``"``. A text that is JSON already is
    taken as such, and one with both kinds of quotes as Python writes a dict.
    """
    yield text
    yield text.replace("'", '"')
    yield _TOKEN.sub(_to_json, text)


def _to_json(match: re.Match[str]) -> str:
    token = match[0]
    return _WORDS.get(token) or f'"{_ESCAPE.sub(_escape_as_json, token[1:-1])}"'


def _escape_as_json(match: re.Match[str]) -> str:
    if code := match["x"] or match["U"]:
        return json.dumps(chr(int(code, 16)))[1:-1]
    return _ESCAPES.get(match[0], match[0])


def read_params(value: Any) -> Any:
    """The object that a params text means; anything but a text is left to the type's check.

    An empty text is an empty object, as in pyDag. Raises ValueError with all that is wrong.
    """
    if not isinstance(value, str):
        return value
    if not value.strip():
        return {}
    reason = ""
    for text in single_quoted(value):
        try:
            loaded = Loaded(text)
        except NotJson as error:
            reason = str(error)
            continue
        if not isinstance(loaded.value, dict):
            raise ValueError("must be an object")  # noqa: TRY004  pydantic collects ValueError
        if faults := [f"{dotted(path)} {message}" for path, message in loaded.faults()]:
            raise ValueError("; ".join(faults))
        return loaded.value
    raise ValueError(f"must be an object, or the text of one in single quotes; {reason}")
