"""Texts from outside, as a terminal may get them: what would control it is shown instead."""

from __future__ import annotations

import re

# C0 but tab and newline, DEL, C1, marks that turn the direction of text, separators of lines, and
# halves of characters, which no terminal's encoding has.
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""`text` with control characters as Python would write them (`\x1b`); lines stay lines."""
    if text.isascii() and text.isprintable():
        return text
    return _CONTROLS.sub(_escaped, text)


def one_line(text: str) -> str:
    r"""`text` as `visible` has it, with its newlines as ``\n``."""
    return visible(text).replace("\n", "\\n")


def _escaped(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]
