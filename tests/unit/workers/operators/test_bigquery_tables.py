"""How BigQuery's jobs are told what to load and write, and which rows a partition has."""

from __future__ import annotations

import pytest
from google.cloud import bigquery

from tests.unit.workers.support import context
from workers.errors import TaskFailed
from workers.google import clients
from workers.operators import find
from workers.operators.bigquery.check_sql import rows_of_partition

KEY = "projects/p/locations/US/keyRings/r/cryptoKeys/k"


class Client:
    """Keeps the configuration of the one job that is inserted."""

    def keep(self, *_args, job_config, **_options):
        self.told = job_config.to_api_repr()

    query = load_table_from_uri = copy_table = keep


@pytest.fixture
def told(monkeypatch):
    client = Client()
    monkeypatch.setattr(clients, "bigquery_client", lambda _access: client)

    def of(operator, **params):
        task = context(params, operator=operator, settings={"project": "p"})
        options = {"job_id": "j", "project": "p", "location": "US", "retry": None}
        find(operator).insert(task, client, options)
        kind = operator.partition(".")[2]
        return client.told[kind]

    return of


def test_a_load_says_what_its_files_mean(told):
    config = told(
        "bigquery.load",
        source_uris=["gs://in/sales/*"],
        destination="p.d.t",
        date_format="DD.MM.YYYY",
        datetime_format="DD.MM.YYYY HH24:MI",
        time_format="HH24:MI",
        timestamp_format="YYYY",
        time_zone="Europe/Madrid",
        decimal_target_types=["NUMERIC", "STRING"],
        hive_partitioning={"source_uri_prefix": "gs://in/sales/"},
        kms_key=KEY,
        partition_by={"type": "DAY", "require_filter": True},
        configuration={"preserveAsciiControlCharacters": True},
    )
    wanted = {
        "dateFormat": "DD.MM.YYYY",
        "datetimeFormat": "DD.MM.YYYY HH24:MI",
        "timeFormat": "HH24:MI",
        "timestampFormat": "YYYY",
        "timeZone": "Europe/Madrid",
        "decimalTargetTypes": ["NUMERIC", "STRING"],
        "hivePartitioningOptions": {"mode": "AUTO", "sourceUriPrefix": "gs://in/sales/"},
        "destinationEncryptionConfiguration": {"kmsKeyName": KEY},
        "timePartitioning": {"type": "DAY", "requirePartitionFilter": True},
        "preserveAsciiControlCharacters": True,
    }
    assert {name: config.get(name) for name in wanted} == wanted
    json = {"source_format": "NEWLINE_DELIMITED_JSON", "json_extension": "GEOJSON"}
    config = told("bigquery.load", source_uris=["gs://in/a"], destination="p.d.t", **json)
    assert config["jsonExtension"] == "GEOJSON"
    assert "timeZone" not in config


def test_a_key_of_ones_own_encrypts_what_is_written(told):
    key = {"kmsKeyName": KEY}
    query = told("bigquery.query", sql="SELECT 1", destination="p.d.t", kms_key=KEY)
    assert query["destinationEncryptionConfiguration"] == key
    copy = told("bigquery.copy", sources=["p.d.s"], destination="p.d.t", kms_key=KEY)
    assert copy["destinationEncryptionConfiguration"] == key


def table(**partitioning):
    made = bigquery.Table("p.d.t")
    for name, value in partitioning.items():
        setattr(made, name, value)
    return made


def by(unit, field="at"):
    return table(time_partitioning=bigquery.TimePartitioning(unit, field))


RANGES = table(
    range_partitioning=bigquery.RangePartitioning(bigquery.PartitionRange(0, 100, 10), "id")
)


@pytest.mark.parametrize(
    ("of", "partition", "rows"),
    [
        (by("DAY"), "20260131", "`at` >= '2026-01-31' AND `at` < '2026-02-01'"),
        (by("MONTH"), "202612", "`at` >= '2026-12-01' AND `at` < '2027-01-01'"),
        (by("YEAR"), "2026", "`at` >= '2026-01-01' AND `at` < '2027-01-01'"),
        (by("HOUR"), "2026013123", "`at` >= '2026-01-31 23:00:00' AND `at` < '2026-02-01'"),
        (by("DAY"), "99991231", "`at` >= '9999-12-31'"),
        (by("DAY"), "__NULL__", "`at` IS NULL"),
        (by("YEAR", None), "9999", "`_PARTITIONTIME` >= '9999-01-01'"),
        (by("DAY", None), "__UNPARTITIONED__", "`_PARTITIONTIME` IS NULL"),
        (RANGES, "20", "`id` >= 20 AND `id` < 30"),
        (RANGES, "__UNPARTITIONED__", "`id` < 0 OR `id` >= 100"),
        (RANGES, "__NULL__", "`id` IS NULL"),
    ],
)  # fmt: skip
def test_the_rows_of_a_partition_are_told_by_its_column(of, partition, rows):
    assert rows_of_partition(of, partition) == rows


@pytest.mark.parametrize(
    ("of", "partition", "why"),
    [
        (table(), "20260131", "p.d.t is not partitioned, so it has no 20260131"),
        (by("DAY"), "202601", "is partitioned by DAY, so 202601 is none of its partitions"),
        (by("DAY"), "20260231", "so 20260231 is none of its partitions"),
        (by("MONTH"), "20261", "so 20261 is none of its partitions"),
        (by("DAY"), "__UNPARTITIONED__", "is none of its partitions"),
    ],
)
def test_a_partition_that_a_table_cannot_have_is_refused(of, partition, why):
    with pytest.raises(TaskFailed, match=why) as caught:
        rows_of_partition(of, partition)
    assert caught.value.final
