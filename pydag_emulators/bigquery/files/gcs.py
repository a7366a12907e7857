"""gs:// URIs as files under the root directory of the local Cloud Storage."""

from __future__ import annotations

import re
from pathlib import Path

from pydag_emulators.bigquery.errors import invalid, not_found
from pydag_emulators.buckets import FOLDER, split_uri


def files_of(root: Path, uris: list[str]) -> list[tuple[Path, str]]:
    """The files that `uris` name, with their own gs:// URIs, sorted within each.

    One `*` in an object's name stands for any characters, `/` too, as in BigQuery.

    Raises:
        ApiError: `notFound` for a URI without a file, `invalid` for another form.
    """
    if not uris:
        raise invalid("Required parameter is missing: sourceUris")
    return [found for uri in uris for found in _files(root, uri)]


def _files(root: Path, uri: str) -> list[tuple[Path, str]]:
    try:
        name, path = split_uri(uri)
    except ValueError as error:
        raise invalid(f"Invalid source URI {error}") from error
    bucket = root / name
    if "*" not in path:
        if not (bucket / path).is_file():
            raise not_found("URI", uri)
        return [(bucket / path, uri)]
    before, after = path.split("*")
    pattern = re.compile(re.escape(before) + ".*" + re.escape(after), re.DOTALL)
    found = [
        (file, f"gs://{name}/{path}")
        for file in sorted(bucket.rglob("*"))
        if file.is_file()
        and file.name != FOLDER
        and pattern.fullmatch(path := file.relative_to(bucket).as_posix())
    ]
    if not found:
        raise not_found("URI", uri)
    return found
