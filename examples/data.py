"""Puts what the examples read into the services of `pydag up`: files, and tables.

In a terminal with `eval "$(pydag env)"`: `python examples/data.py`. All data are of the day
2026-01-31. Called again, it makes everything as it was.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from google.cloud import bigquery, storage

BUCKET = "project-pydag"
DAY = "2026-01-31"
BATCH_SCRIPT = Path(__file__).parent / "batch" / "totals.py"

FILES = {
    f"sales/{DAY}/north.csv": "shop,amount\nnorth,1\nsouth,2\n",
    f"sales/{DAY}/south.csv": "shop,amount\nnorth,10\n",
    "jobs/totals.py": BATCH_SCRIPT.read_text(encoding="utf-8"),
    "daily/prices.csv": "apple,0.5\npear,0.75\n",
    "daily/sales.csv": "apple,3\npear,4\napple,1\n",
    f"inbox/{DAY}/one.csv": "s1,1.5\ns2,2\n",
    f"inbox/{DAY}/two.csv": "s1,3\n",
    f"arrivals/{DAY}.csv": "ICE 591,7\n",
}

TABLES = f"""
CREATE OR REPLACE TABLE datasettest.inbox AS
    SELECT id, 5 AS amount, DATE '{DAY}' AS day FROM UNNEST([1, 2]) AS id;
CREATE OR REPLACE TABLE datasettest.known_orders (id INT64, amount INT64);
CREATE OR REPLACE TABLE datasettest.days (day DATE);
CREATE OR REPLACE TABLE datasettest.quiet_days (day DATE);
CREATE OR REPLACE TABLE datasettest.stations AS SELECT 7 AS station, 'Ulm' AS name;
"""


def main() -> None:
    if not {"STORAGE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST"} <= os.environ.keys():
        sys.exit('This is for the services of `pydag up`: type eval "$(pydag env)" first.')
    client = storage.Client()
    bucket = client.lookup_bucket(BUCKET) or client.create_bucket(BUCKET)
    for name, text in FILES.items():
        bucket.blob(name).upload_from_string(text, content_type="text/plain")
    bigquery.Client().query_and_wait(TABLES)
    print(f"{len(FILES)} files are in gs://{BUCKET}, and {TABLES.count(';')} tables in datasettest")


if __name__ == "__main__":
    main()
