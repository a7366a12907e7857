"""CSV and JSON files that are compressed by gzip."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydag_emulators.bigquery.errors import invalid

_MAGIC = b"\x1f\x8b"


@contextmanager
def unzipped(files: list[tuple[Path, str]], directory: Path) -> Iterator[list[tuple[Path, str]]]:
    """The same files, those that were compressed as copies in a directory of `directory`.

    Raises:
        ApiError: `invalid` for one that is broken.
    """
    with tempfile.TemporaryDirectory(dir=directory) as made:
        yield [
            (_unzipped(path, uri, Path(made, str(number))), uri)
            for number, (path, uri) in enumerate(files)
        ]


def _unzipped(path: Path, uri: str, to: Path) -> Path:
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return path
    try:
        with gzip.open(path) as compressed, to.open("wb") as plain:
            shutil.copyfileobj(compressed, plain)
    except (OSError, EOFError, zlib.error) as error:
        raise invalid(
            f"Error while reading data, error message: Failed to decompress gzip: {error} "
            f"File: {uri}"
        ) from error
    return to
