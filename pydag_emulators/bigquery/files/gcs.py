"""gs:// URIs as files under the root directory of the local Cloud Storage."""

from __future__ import annotations

import re
from pathlib import Path

from pydag_emulators.bigquery.errors import invalid, not_found
from pydag_emulators.buckets import FOLDER

_URI = re.compile(r"gs://(?P<bucket>[^/*]+)/(?P<object>.+)")


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
    match = _URI.fullmatch(uri)
    if match is None or match["object"].count("*") > 1:
        raise invalid(f"Invalid source URI {uri}: gs://bucket/object, with one * at most")
    bucket = root / match["bucket"]
    if "*" not in match["object"]:
        path = bucket / match["object"]
        if ".." in path.parts or not path.is_file():
            raise not_found("URI", uri)
        return [(path, uri)]
    before, after = match["object"].split("*")
    pattern = re.compile(re.escape(before) + ".*" + re.escape(after), re.DOTALL)
    found = [
        (path, f"gs://{match['bucket']}/{name}")
        for path in sorted(bucket.rglob("*"))
        if path.is_file()
        and path.name != FOLDER
        and pattern.fullmatch(name := path.relative_to(bucket).as_posix())
    ]
    if not found:
        raise not_found("URI", uri)
    return found
