"""Where the logs of tries are kept once they have ended: a directory, or a bucket of Cloud Storage.

Each try has one object, ``RUN/TASK/TRY.jsonl.gz``: the parts of its log, a line of JSON for each.
"""

from __future__ import annotations

from pydag_dist.errors import InvalidSettings
from pydag_dist.log_store.store import LogStore, LogStoreAway, Part
from pydag_dist.settings import Settings

__all__ = ["LogStore", "LogStoreAway", "Part", "open_log_store"]


def open_log_store(settings: Settings) -> LogStore | None:
    """The log store of the settings, if they name one; `InvalidSettings` if it can't be used."""
    place = settings.log_place
    if not place:
        return None
    if place.startswith("gs://"):
        try:
            from pydag_dist.log_store.bucket import Bucket
        except ModuleNotFoundError:
            raise InvalidSettings(
                f"PYDAG_LOG_STORE is {place}, and this host lacks the package for it: "
                "pip install 'pydag-dist[gcs]'"
            ) from None
        return LogStore(Bucket(place))
    from pydag_dist.log_store.directory import Directory

    return LogStore(Directory(place))
