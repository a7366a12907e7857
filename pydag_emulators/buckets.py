"""The directory of all buckets, which the emulators share: `<root>/<bucket>/<object>`.

Files and directories whose names begin with a dot are no objects and no buckets, except `FOLDER`.
"""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = ".pydag-folder"
"""An object whose name ends in a slash is the file of this name in that folder."""

_URI = re.compile(r"gs://(?P<bucket>[^./*][^/*]*)/(?P<object>.+)")


def split_uri(uri: str) -> tuple[str, str]:
    """The bucket and the object of `gs://bucket/object`, which has one `*` at most.

    Raises:
        ValueError: it has another form, or its path leads out of the bucket's directory.

    """
    match = _URI.fullmatch(uri)
    if match is None or match["object"].count("*") > 1 or ".." in match["object"].split("/"):
        raise ValueError(f"{uri}: gs://bucket/object, with one * at most")
    return match["bucket"], match["object"]


def buckets(root: Path) -> list[Path]:
    """The directories of all buckets."""
    return [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
