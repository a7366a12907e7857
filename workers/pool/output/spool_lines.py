"""Lines of what is in a spool: what was printed, and between it the records of `logging`."""

from __future__ import annotations

import contextlib
import json
import time
from codecs import utf_8_decode
from collections.abc import Iterator
from typing import NamedTuple

from pydag_dist.dag import limits
from workers.pool.output.logs import shortened
from workers.pool.output.spool import MARK, TIME
from workers.secrecy.masks import NONE


class SpoolLine(NamedTuple):
    """A line of the spool, and where it ends there."""

    at: float
    level: str
    text: str
    position: int


class SpoolParser:
    """Makes lines of what is in a spool, piece by piece."""

    def __init__(self, position: int = 0) -> None:
        self.position = position  # up to which the spool has been read
        self._at = 0.0
        self._rest = b""  # of the last piece: what may become a mark
        self._open = b""  # what was printed since the last line: its beginning,
        self._left_out = 0  # how many bytes follow that,
        self._since = 0.0  # and when it began
        self.masks = NONE  # the secrets that must not be shown, not even the beginning of one

    def feed(self, data: bytes) -> Iterator[SpoolLine]:
        """The lines that end in the next piece."""
        position = self.position - len(self._rest)
        self.position += len(data)
        *lines, rest = (self._rest + data).split(b"\n")
        for raw in lines:
            position += len(raw) + 1
            if MARK in raw:
                yield from self._marked(raw, position)
            else:
                if raw or not self._open:
                    self._extend(raw)
                yield self._said(position)
        end = _end_of_text(rest)
        self._extend(rest[:end])
        self._rest = rest[end:]

    def finish(self, older_than: float = 0) -> Iterator[SpoolLine]:
        """The last line, though nothing has ended it, if it began so many seconds ago.

        Of one that is too long to be shown whole nothing more would be seen before its end. And a
        secret could be printed in pieces.
        """
        if older_than and (self._left_out or self.masks):
            return
        if self._open and time.monotonic() - self._since >= older_than:
            yield self._said(self.position - len(self._rest))

    def skip(self, data: bytes) -> tuple[int, int]:
        """Leave the lines that end in the next piece out: how many, and of how many bytes, about.

        Nothing of a line is left out alone: the rest of a secret would not be known as one.
        """
        data = data[: data.rfind(b"\n") + 1]
        marks = data.count(MARK + TIME)
        lines = data.count(b"\n") - marks
        size = len(data) - marks * (len(MARK) + 16) + len(self._open) + self._left_out
        self.position += len(data)
        self._rest = self._open = b""
        self._left_out = 0
        return lines, max(0, size)

    def _marked(self, raw: bytes, position: int) -> Iterator[SpoolLine]:
        printed, _, record = raw.partition(MARK)
        self._extend(printed)
        with contextlib.suppress(ValueError):  # the file could not be written to its end
            if record.startswith(TIME):  # what was printed goes on behind it
                self._at = float(record[1:])
                return
            at, level, text = json.loads(record[1:])
            if self._open:
                yield self._said(position - 1 - len(raw) + len(printed))
            yield SpoolLine(at, level, text, position)

    def _extend(self, printed: bytes) -> None:
        """More of the line that has not ended; of a long one no more is kept than is shown."""
        if not self._open:
            self._since = time.monotonic()
        self._open += printed
        if len(self._open) > 2 * limits.LOG_LINE:
            if b"\r" in (whole := self._open.rstrip(b"\r")):
                self._open, self._left_out = _last_state(whole), 0
            self._left_out += max(0, len(self._open) - limits.LOG_LINE)
            self._open = self._open[: limits.LOG_LINE]

    def _said(self, position: int) -> SpoolLine:
        raw, self._open = self._open, b""
        raw = _last_state(raw.rstrip(b"\r"))
        self._left_out += max(0, len(raw) - limits.LOG_LINE)
        # Of a line that is cut, not the beginning of a character.
        text, _ = utf_8_decode(raw[: limits.LOG_LINE], "backslashreplace", not self._left_out)
        if self._left_out:
            text = self.masks.hide_cut(text)
            text, self._left_out = shortened(text, self._left_out), 0
        return SpoolLine(self._at or time.time(), "INFO", text, position)


def _last_state(raw: bytes) -> bytes:
    r"""What a line has become that `\r` has overwritten."""
    return raw[raw.rfind(b"\r") + 1 :]


def _end_of_text(raw: bytes) -> int:
    """Where a mark begins that may be complete with the next piece; else the end."""
    if (at := raw.find(MARK)) >= 0:
        return at
    for length in range(min(len(MARK), len(raw)), 0, -1):
        if raw.endswith(MARK[:length]):
            return len(raw) - length
    return len(raw)
