"""CSV files in blocks of whole rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pydag_emulators.bigquery.files.csv.quotes import Quotes, right_rows
from pydag_emulators.bigquery.files.source import LONGEST_ROW, too_long

_BLOCK = 4 << 20  # bytes


def blocks(path: Path, quotes: Quotes, skip: int, verify: Callable[[], None]) -> Iterator[bytes]:
    """The file's rows behind the first `skip` lines, some megabytes at a time.

    Before rows that do not look well formed, `verify` is called, which is to refuse the file if
    they aren't; once at most.

    Raises:
        ApiError: `invalid` for a row that is too long.
    """
    mark = quotes.mark.encode()
    rows = right_rows(quotes) if mark else None
    is_verified = False
    rest = b""
    with path.open("rb") as file:
        for _ in range(skip):
            file.readline()
        while True:
            read = file.read(_BLOCK)
            block = rest + read
            is_last = len(read) < _BLOCK
            if is_last and block and not block.endswith(b"\n"):
                block += b"\n"
            if rows is not None and mark in block:
                match = rows.match(block)
                end = match.end() if match else 0
            else:
                end = block.rfind(b"\n") + 1
            has_doubts = b"\0" in read or (end < len(block) if is_last else end == 0)
            if has_doubts and not is_verified:
                verify()
                is_verified = True
            if is_last:
                if block:
                    yield block
                return
            if end:
                yield block[:end]
            rest = block[end:]
            if len(rest) > LONGEST_ROW:
                raise too_long()
