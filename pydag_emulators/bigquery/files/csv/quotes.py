"""Rows of CSV files that BigQuery refuses, and the parser used here would take.

It reads a quote that isn't closed to the end of the file, and what stands behind a closing quote.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydag_emulators.bigquery.files.source import LONGEST_ROW

_CHECK_EVERY = 100_000  # lines
_UNCLOSED = 'Missing close quote character (").'
_BEHIND = 'Data between close quote character (") and field separator.'
_NUL = "Bad character (ASCII 0) encountered."


@dataclass(frozen=True)
class Quotes:
    """How values of a file are quoted."""

    delimiter: str
    mark: str
    """Empty if nothing is quoted."""
    newlines: bool
    """Whether quoted values may have some."""


def wrong_rows(
    path: Path, quotes: Quotes, skip: int, check: Callable[[], None]
) -> Iterator[tuple[int, str]]:
    """The number of each wrong row of a file, counted from 1, and what is wrong.

    The first `skip` lines are passed over. `check` raises when the job is to stop.
    """
    mark = quotes.mark.encode()
    row = _row(quotes.delimiter, quotes.mark) if mark else None
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if number % _CHECK_EVERY == 0:
                check()
            if number <= skip:
                continue
            if b"\0" in line:
                yield number, _NUL
            elif row is not None and mark in line:
                problem = _problem(line, row, mark, file if quotes.newlines else iter(()))
                if problem:
                    yield number, problem


def right_rows(quotes: Quotes) -> re.Pattern[bytes]:
    """The longest start of a file that has no wrong row, so that it ends at the end of a row."""
    row = _row(quotes.delimiter, quotes.mark, b"" if quotes.newlines else b"\\n").pattern
    mark = re.escape(quotes.mark.encode())
    return re.compile(b"(?:%b\r*\n|[^%b\\0\\n]*+\n)*+" % (row, mark))


def _row(delimiter: str, quote: str, never: bytes = b"") -> re.Pattern[bytes]:
    """The longest start of a row whose values are all well formed.

    `never` is what must not be in quotes.
    """
    by, mark = re.escape(delimiter.encode()), re.escape(quote.encode())
    inner = b"[^%b%b]*+" % (mark, never)
    quoted = b"%b%b(?:%b%b%b)*+%b" % (mark, inner, mark, mark, inner, mark)
    plain = b"[^%b%b\\r\\n][^%b\\r\\n]*+" % (mark, by, by)
    value = b"(?:%b|%b|)" % (quoted, plain)
    return re.compile(b"%b(?:%b%b)*+" % (value, by, value))


def _problem(line: bytes, row: re.Pattern[bytes], mark: bytes, more: Iterator[bytes]) -> str | None:
    """What is wrong with a row, which may go on in the next lines."""
    while True:
        match = row.match(line)
        rest = line[match.end() :] if match else line
        if not rest.strip(b"\r\n"):
            return None
        if not rest.startswith(mark) or rest.count(mark) % 2 == 0:
            return _BEHIND
        # The value ends in a line with an odd number of quotes, as two of them stand for one.
        added, size = [], 0
        for line_ in more:
            added.append(line_)
            size += len(line_)
            if size > LONGEST_ROW:
                return _UNCLOSED
            if line_.count(mark) % 2:
                break
        else:
            return _UNCLOSED
        line = line[match.end() if match else 0 :] + b"".join(added)
