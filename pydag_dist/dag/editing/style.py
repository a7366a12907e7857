"""How a JSON text is written: indents, line ends, spaces, escapes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

WIDTH: Final = 100  # characters of a line; what fits stays on one line
_LOOKED_AT: Final = 200_000  # characters of a text
_INDENT: Final = re.compile(r"[\r\n]([ \t]+)[^ \t\r\n]")
# Strings are matched so that nothing within them is. A colon, or a bracket with more on its line.
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"(\s*:\s*)?|([\[{])[ \t]*(?=[^\s\]}])')
# A list or an object on lines of its own. People write DAGs and tasks so in any style.
_ON_LINES: Final = re.compile(r'[\[{][ \t]*[\r\n]\s*(?!"(?:dag|dag_id|tasks|task_id)"|[\[{\]}])\S')
_ESCAPE: Final = re.compile(r"\\.|'", re.DOTALL)
_QUOTES: Final = {'\\"': "\\u0022", "'": "\\u0027"}


@dataclass(frozen=True)
class Style:
    """The style of a text. With `no_quotes` texts are written without any quotes in them."""

    newline: str = "\n"
    unit: str = "  "
    colon: str = ": "
    one_line: bool = False  # the whole text
    expands: bool = False  # every list and object that is not empty is on lines of its own
    ascii_only: bool = False
    no_quotes: bool = False

    @property
    def comma(self) -> str:
        """What separates values on one line."""
        return ", " if self.colon.endswith(" ") else ","

    def text(self, value: str) -> str:
        """The inside of a string."""
        try:
            value.encode()
            ascii_only = self.ascii_only
        except UnicodeEncodeError:  # half a character
            ascii_only = True
        inside = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        if self.no_quotes:
            inside = _ESCAPE.sub(lambda found: _QUOTES.get(found[0], found[0]), inside)
        return inside

    def flat(self, value: Any) -> str:
        """A value on one line."""
        match value:
            case str():
                return f'"{self.text(value)}"'
            case dict():
                pairs = (f"{self.flat(k)}{self.colon}{self.flat(v)}" for k, v in value.items())
                return f"{{{self.comma.join(pairs)}}}"
            case list() | tuple():
                return f"[{self.comma.join(map(self.flat, value))}]"
            case _:
                return json.dumps(value, allow_nan=False)


def style_of(text: str, *, no_quotes: bool = False) -> Style:
    """The style of a JSON text."""
    head = text[:_LOOKED_AT]
    newline = next((end for end in ("\r\n", "\n", "\r") if end in head.strip()), "")
    indent = _INDENT.search(head)
    colon, expands = "", bool(_ON_LINES.search(head))
    for found in _TOKEN.finditer(head):
        if found[2]:
            expands = False
        elif found[1] and not colon and not {"\r", "\n"}.intersection(found[1]):
            colon = found[1]
        if colon and not expands:
            break
    return Style(
        newline=newline or "\n",
        unit=indent[1] if indent else "  ",
        colon=colon or ": ",
        one_line=not newline,
        expands=expands,
        ascii_only=text.isascii() and bool(re.search(r"\\u[0-9a-fA-F]{4}", head)),
        no_quotes=no_quotes,
    )
