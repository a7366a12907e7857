"""Which rows were streamed a moment ago: a client that lost an answer sends them again."""

from __future__ import annotations

import threading
import time
from typing import Any

_REMEMBERED = 60.0
"""Seconds in which a row with the same `insertId` is not inserted again."""

Row = tuple[str | None, dict[str, Any]]
"""A row's `insertId`, if it has one, and its values."""


class RecentRows:
    """The `insertId` of the rows that were inserted a moment ago, by table.

    As at Google this is best effort: a service that is started anew has forgotten them.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], float] = {}  # oldest first
        self._lock = threading.Lock()

    def new(self, table: str, rows: list[Row]) -> list[dict[str, Any]]:
        """The rows that are not known, each `insertId` once."""
        found: dict[object, dict[str, Any]] = {}
        with self._lock:
            for at, (insert_id, row) in enumerate(rows):
                if insert_id is None:
                    found[at] = row
                elif (table, insert_id) not in self._seen:
                    found[insert_id] = row
        return list(found.values())

    def add(self, table: str, rows: list[Row]) -> None:
        """Remember rows that are in the table now, and forget old ones."""
        now = time.monotonic()
        with self._lock:
            while self._seen and now - next(iter(self._seen.values())) > _REMEMBERED:
                del self._seen[next(iter(self._seen))]
            for insert_id, _ in rows:
                if insert_id is not None:
                    self._seen.setdefault((table, insert_id), now)
