"""How buckets lie in a directory, which all emulators share: `<root>/<bucket>/<object>`.

Names that begin with a dot are no buckets and no objects, but for the one below.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = ".pydag-folder"
"""The file of an object whose name ends in a slash, in that folder."""


def buckets(root: Path) -> list[Path]:
    """The directories of all buckets."""
    return [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
