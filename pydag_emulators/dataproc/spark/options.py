"""Options of `format("bigquery")`, named as in Google's connector."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from pyspark.sql import SparkSession

# These options would change the result, and are not implemented here.
REFUSED = (
    "datePartition",
    "partitionExpirationMs",
    "partitionRangeStart",
    "partitionRangeEnd",
    "partitionRangeInterval",
    "partitionRequireFilter",
    "timestampZone",
)


class Options:
    """Options of one read or write, in any case; the session's settings are their defaults."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self._given: dict[str, str] = {}

    def set(self, options: Mapping[str, Any]) -> None:
        """Add what a script gives."""
        self._given.update({key.lower(): _text(value) for key, value in options.items()})

    def get(self, key: str) -> str | None:
        """An option, else the session's setting of that name."""
        if key.lower() in self._given:
            return self._given[key.lower()]
        for name in (f"spark.datasource.bigquery.{key}", key):
            value = self._spark.conf.get(name, None)
            if value is not None:
                return str(value)
        return None

    def with_prefix(self, prefix: str) -> dict[str, str]:
        """The given options whose keys begin like this, by the rest of the key."""
        start = prefix.lower()
        return {k[len(start) :]: v for k, v in self._given.items() if k.startswith(start)}

    def check(self) -> None:
        """Refuse the options that would have no effect here."""
        for key in REFUSED:
            if self.get(key) is not None:
                raise ValueError(f"option {key} of the BigQuery connector is not carried out here")

    def table(self, path: str | None) -> str:
        """`project.dataset.table`; what is left out comes from other options."""
        name = path or self.get("table")
        if not name:
            raise ValueError("no table was given: .option('table', 'dataset.table')")
        parts = name.replace(":", ".").split(".")
        if len(parts) == 1:
            dataset = self.get("dataset")
            if not dataset:
                raise ValueError(f"'{name}' has no dataset: write dataset.table")
            parts.insert(0, dataset)
        if len(parts) == 2:
            parts.insert(0, self.get("project") or os.environ["GOOGLE_CLOUD_PROJECT"])
        return ".".join(parts)

    def client(self) -> bigquery.Client:
        """Whose jobs are billed to the parent project."""
        return bigquery.Client(
            project=self.get("parentProject") or os.environ["GOOGLE_CLOUD_PROJECT"],
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": os.environ["BIGQUERY_EMULATOR_HOST"]},
        )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
