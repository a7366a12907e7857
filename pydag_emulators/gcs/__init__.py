"""Cloud Storage on this machine: Google's JSON API over a directory.

The directory is the shared ground of the local services: an object is the file
`<root>/<bucket>/<object>`, so that Spark and the local BigQuery read and write objects as files.
What else there is to know of an object (type, generation, times) is in an extended attribute of
its file. What the service can't do it refuses with a 501.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from pathlib import Path

from pydag_emulators.gcs.attributes import check as check_root

__all__ = ["buckets", "check_root", "gcs_command", "healthy"]


def gcs_command(root: Path, port: int, *, host: str = "127.0.0.1") -> list[str]:
    """The server's command line."""
    options = ("--host", host, "--port", str(port), "--root", str(root.resolve()))
    return [sys.executable, "-m", "pydag_emulators.gcs", *options]


def healthy(url: str) -> bool:
    """Whether the server at `url` answers."""
    try:
        with urllib.request.urlopen(f"{url}/_internal/healthcheck", timeout=5) as answer:  # noqa: S310 - our own http URL
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def buckets(root: Path) -> list[Path]:
    """The directories of all buckets."""
    return [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
