"""Hides the values of secrets in texts: as they are, and as programs commonly write them."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote, quote_plus

from pydag_dist.dag.planning.rendering import HIDDEN

LEAST: Final = 4  # characters: anything shorter is part of too much else
MOST: Final = 16_384  # bytes of a secret
_LINES: Final = 50  # of a secret that are looked for in more than one form
_CUT: Final = 3  # characters of a secret that are enough at the end of a line that was cut


class Masks:
    """The secrets of a try."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self.values = tuple(values)
        found = {form for value in self.values for form in _forms(value) if len(form) >= LEAST}
        self._forms = sorted(found, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, self._forms))) if found else None

    def __bool__(self) -> bool:
        return self._pattern is not None

    def hide(self, text: str) -> str:
        """The text without secrets."""
        return self._pattern.sub(HIDDEN, text) if self._pattern else text

    def hide_cut(self, text: str) -> str:
        """The beginning of a text, without secrets and without the beginning of one at its end."""
        text = self.hide(text)
        first = self._begin_at_end(text, _CUT)
        return text[:first] + HIDDEN if first < len(text) else text

    def hide_piece(self, text: str) -> tuple[str, str]:
        """The text without secrets, and its end, which the next piece may complete to a secret."""
        first = self._begin_at_end(text, 1)
        for found in self._pattern.finditer(text) if self._pattern else ():
            if found.start() < first < found.end():
                first = found.start()
        return self.hide(text[:first]), text[first:]

    def _begin_at_end(self, text: str, least: int) -> int:
        begins = (_begin_at_end(text, form, least) for form in self._forms)
        return min(begins, default=len(text))

    def hide_in(self, value: Any) -> Any:
        """A value of JSON without secrets; a number that has one in it becomes a text."""
        if not self._pattern:
            return value
        match value:
            case str():
                return self.hide(value)
            case list() | tuple():
                return [self.hide_in(item) for item in value]
            case dict():
                return {
                    self.hide(key) if isinstance(key, str) else key: self.hide_in(item)
                    for key, item in value.items()
                }
            case int() | float() if self._pattern.search(json.dumps(value)):
                return HIDDEN
            case _:
                return value


def _begin_at_end(text: str, form: str, least: int) -> int:
    """Where the text's end begins that is the beginning of a form; its length if there is none."""
    at = text.find(form[:least], max(0, len(text) - len(form) + 1))
    while at >= 0:
        if form.startswith(text[at:]):
            return at
        at = text.find(form[:least], at + 1)
    return len(text)


def _forms(value: str) -> Iterator[str]:
    yield from _of_text(value)
    lines = value.splitlines()
    if len(lines) > 1:
        for line in map(str.strip, lines):
            yield line
            if len(lines) <= _LINES:
                yield json.dumps(line)[1:-1]
                yield quote(line, safe="")


def _of_text(text: str) -> Iterator[str]:
    raw = text.encode(errors="surrogatepass")
    escaped = json.dumps(text)[1:-1]
    yield from (text, text.strip(), text.replace("\n", "\r\n"))
    letters = json.dumps(text, ensure_ascii=False)[1:-1]
    yield from (escaped, json.dumps(escaped)[1:-1], letters)
    yield from (escaped.replace("/", "\\/"), letters.translate(_AS_GO))
    # Alone, and within a text that has quotation marks of its own.
    yield from (repr(text)[1:-1], repr(f'"{text}')[2:-1], repr(raw)[2:-1], repr(b'"' + raw)[3:-1])
    yield from (html.escape(text), html.escape(text, quote=False))
    yield from (
        text.replace("'", "'\"'\"'"),
        text.replace("'", "'\\''"),
        _PLAIN.sub(r"\\\g<0>", text),
    )
    for safe in _SAFE:
        percent = quote(raw, safe=safe)
        yield from (percent, re.sub("%..", lambda found: found[0].lower(), percent))
    plus = quote_plus(raw)
    yield from (plus, re.sub("%..", lambda found: found[0].lower(), plus))
    yield from (raw.hex(), raw.hex().upper())
    for before in range(3):
        # Of a text in which this many bytes, and any others, stand beside it.
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        encoded = base64.b64encode(b"\0" * before + raw).decode()[first:last]
        yield from (encoded, encoded.translate(_URL_SAFE))
    # As `base64` and OpenSSL write what is long.
    for width in _WIDTHS:
        if len(whole := base64.b64encode(raw).decode()) > width:
            yield from (whole[at : at + width] for at in range(0, len(whole), width))


_WIDTHS: Final = (64, 76)
# What is left as it is in a URL by: `quote`, "everything is escaped", encodeURIComponent, requests.
_SAFE: Final = ("/", "", "!'()*", "!#$%&'()*+,/:;=?@[]~")
_PLAIN: Final = re.compile(r"[^\w@%+=:,./-]")  # what a shell's `printf %q` writes a \ before
_AS_GO: Final = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"}
_URL_SAFE: Final = str.maketrans("+/", "-_")

_of_this_process = Masks()


def of_this_process() -> Masks:
    """The secrets of the try that runs in this process, or ran last."""
    return _of_this_process


def hide_from_now(masks: Masks) -> None:
    """From now on they are this process's."""
    global _of_this_process  # noqa: PLW0603  one try runs in a process
    _of_this_process = masks


NONE: Final = Masks()
