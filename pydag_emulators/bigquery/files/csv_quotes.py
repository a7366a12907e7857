"""Rows of CSV files that BigQuery refuses, and the parser used here would take.

It reads a quote that isn't closed to the end of the file, and what stands behind a closing quote.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

_BLOCK = 1 << 20  # bytes
_CHECK_EVERY = 100_000  # lines
_LONGEST = 100 << 20  # bytes of a row, as in BigQuery
_UNCLOSED = 'Missing close quote character (").'
_BEHIND = 'Data between close quote character (") and field separator.'
_NUL = "Bad character (ASCII 0) encountered."


def wrong_rows(
    path: Path,
    *,
    skip: int,
    delimiter: str,
    quote: str,
    newlines: bool,
    check: Callable[[], None],
) -> Iterator[tuple[int, str]]:
    """The number of each wrong row of a file, counted from 1, and what is wrong.

    `quote` is empty if nothing is quoted; `newlines` says whether quoted values may have some.
    """
    mark, row = quote.encode(), _row(delimiter, quote) if quote else None
    if not _has_any(path, [b"\0", mark] if quote else [b"\0"]):
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if number % _CHECK_EVERY == 0:
                check()
            if number <= skip:
                continue
            if b"\0" in line:
                yield number, _NUL
            elif row is not None and mark in line:
                problem = _problem(line, row, mark, file if newlines else iter(()))
                if problem:
                    yield number, problem


def _has_any(path: Path, marks: list[bytes]) -> bool:
    """Whether a file has one of these bytes: most have none, and need no look at each line."""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            if any(mark in block for mark in marks):
                return True
    return False


def _row(delimiter: str, quote: str) -> re.Pattern[bytes]:
    """The longest start of a row whose values are all well formed."""
    by, mark = re.escape(delimiter.encode()), re.escape(quote.encode())
    quoted = b"%b[^%b]*+(?:%b%b[^%b]*+)*+%b" % (mark, mark, mark, mark, mark, mark)
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
            if size > _LONGEST:
                return _UNCLOSED
            if line_.count(mark) % 2:
                break
        else:
            return _UNCLOSED
        line = line[match.end() if match else 0 :] + b"".join(added)
