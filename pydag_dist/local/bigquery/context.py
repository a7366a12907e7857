"""What a statement runs in: its transaction, its job's configuration, the tables it names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydag_dist.local.bigquery.information_schema import relation
from pydag_dist.local.bigquery.jobs import JobKey
from pydag_dist.local.bigquery.names import DatasetRef
from pydag_dist.local.bigquery.sql.tables import Tables
from pydag_dist.local.bigquery.storage import Sizes
from pydag_dist.local.bigquery.store import Cursor


@dataclass
class Context:
    """One statement in one transaction; `check` raises when the job is to stop."""

    cursor: Cursor
    sizes: Sizes
    key: JobKey
    config: dict[str, Any]
    default: DatasetRef | None
    check: Callable[[], None]

    @cached_property
    def tables(self) -> Tables:
        """The resolver of the statement's table names."""
        return Tables(
            self.cursor,
            self.key.project,
            self.default,
            self.key.location,
            lambda view, dataset: relation(self.cursor, view, dataset),
        )

    def bytes_of_tables(self) -> list[int]:
        """The logical bytes of each table that the statement reads."""
        return [
            self.sizes.of(self.cursor, ref, resource)[1]
            for ref, resource in self.tables.referenced.items()
        ]
