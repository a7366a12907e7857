"""The example pipeline's scripts and data on local services, and a check of what it made."""

from __future__ import annotations

import csv
import io
import runpy
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydag_dist.local.stack import BUCKET, PROJECT

if TYPE_CHECKING:  # what only asks where the example is needs none of these
    from google.cloud import bigquery
    from google.cloud.storage import Client as StorageClient

FOLDER = "module_name"
DATA = "events.csv"
DATASET = "datasettest"
SAMPLE_ROWS = 5

# Which events each extract of the pipeline takes: year and category.
EXTRACTS = {"mytable1": ("2022", "cars"), "mytable2": ("2021", "food")}


@dataclass(frozen=True)
class TableFacts:
    """Enough of a table to tell it from another one: how many rows, and the sum of their ids."""

    rows: int
    id_sum: int

    @property
    def words(self) -> str:
        """For a message."""
        return f"{self.rows} rows with ids adding up to {self.id_sum}"


@dataclass(frozen=True)
class Report:
    """What the pipeline's tables have, and what they should have by the CSV file alone."""

    tables: Mapping[str, TableFacts]
    expected: Mapping[str, TableFacts]
    sample: Sequence[Mapping[str, Any]]  # rows of mytable3: id, category, lastdate

    @property
    def problems(self) -> list[str]:
        """One sentence per table that is wrong; empty if all is right."""
        return [
            f"{table} {_words(self.tables.get(table))}, but should have {facts.words}"
            for table, facts in self.expected.items()
            if self.tables.get(table) != facts
        ]


def example_dir() -> Path:
    """The example pipeline's directory: within a wheel, or in the repository."""
    packaged = Path(__file__).with_name("example")
    if packaged.is_dir():
        return packaged
    return Path(__file__).parents[2] / "examples" / "pipeline"


def seed(gcs_url: str, bigquery_url: str, examples_dir: Path, rows: int) -> None:
    """Upload scripts and `rows` events, and create the dataset; again and again if you like."""
    client = _storage(gcs_url)
    bucket = client.lookup_bucket(BUCKET) or client.create_bucket(BUCKET)
    for script in sorted(examples_dir.glob("*/*")):
        if script.suffix in (".sql", ".py", ".iac"):
            bucket.blob(f"{FOLDER}/{script.name}").upload_from_filename(str(script))
    generate = runpy.run_path(str(examples_dir / "generate.py"))["generate"]
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, DATA)
        generate(rows, file)
        bucket.blob(f"{FOLDER}/{DATA}").upload_from_filename(str(file))
    with _bigquery(bigquery_url) as warehouse:
        warehouse.create_dataset(DATASET, exists_ok=True)


def report(bigquery_url: str, gcs_url: str) -> Report:
    """Read the pipeline's tables, and work out from the CSV file what they should have."""
    expected = _expected(_storage(gcs_url))
    with _bigquery(bigquery_url) as warehouse:
        there = {table.table_id for table in warehouse.list_tables(DATASET)}
        tables = {name: _facts(warehouse, name) for name in expected if name in there}
        sample: list[Mapping[str, Any]] = []
        if "mytable3" in there:
            query = f"SELECT * FROM {DATASET}.mytable3 ORDER BY id LIMIT {SAMPLE_ROWS}"  # noqa: S608
            sample = [dict(row) for row in warehouse.query_and_wait(query)]
    return Report(tables, expected, sample)


def _expected(storage: StorageClient) -> dict[str, TableFacts]:
    text = storage.bucket(BUCKET).blob(f"{FOLDER}/{DATA}").download_as_text()
    events = [
        (int(row["id"]), (row["lastdate"][:4], row["category"]))
        for row in csv.DictReader(io.StringIO(text))
    ]
    ids = {"table_stg": [number for number, _ in events]}
    for table, wanted in EXTRACTS.items():
        ids[table] = [number for number, kind in events if kind == wanted]
    ids["mytable3"] = [number for table in EXTRACTS for number in ids[table]]
    return {table: TableFacts(len(some), sum(some)) for table, some in ids.items()}


def _facts(warehouse: bigquery.Client, table: str) -> TableFacts:
    query = f"SELECT COUNT(*) AS count, SUM(id) AS total FROM {DATASET}.{table}"  # noqa: S608
    (row,) = warehouse.query_and_wait(query)
    return TableFacts(row["count"], row["total"] or 0)


def _words(facts: TableFacts | None) -> str:
    return f"has {facts.words}" if facts else "is not there"


def _storage(url: str) -> StorageClient:
    from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415  see above
    from google.cloud.storage import Client as StorageClient  # noqa: PLC0415

    return StorageClient(
        project=PROJECT,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": url},
    )


def _bigquery(url: str) -> bigquery.Client:
    from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415  see above
    from google.cloud import bigquery  # noqa: PLC0415

    return bigquery.Client(
        project=PROJECT,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": url},
    )


def main() -> None:
    """Seed as the command line says: URLs of Cloud Storage and BigQuery, a folder, rows."""
    gcs_url, bigquery_url, folder, rows = sys.argv[1:]
    seed(gcs_url, bigquery_url, Path(folder), int(rows))


if __name__ == "__main__":
    main()
