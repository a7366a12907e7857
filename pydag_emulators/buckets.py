"""The directory of all buckets, which the emulators share: `<root>/<bucket>/<object>`.

Files and directories whose names begin with a dot are no objects and no buckets, except `FOLDER`.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = ".pydag-folder"
"""An object whose name ends in a slash is the file of this name in that folder."""


def buckets(root: Path) -> list[Path]:
    """The directories of all buckets."""
    return [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
