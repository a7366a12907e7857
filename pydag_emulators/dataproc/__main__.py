"""`python -m pydag_emulators.dataproc`: a local Dataproc."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pydag_emulators import serving
from pydag_emulators.dataproc.server import Service


def main() -> int:
    """Serve until SIGTERM or SIGINT, which end running jobs, too; the exit status."""
    cores = os.cpu_count() or 1
    parser = serving.options("dataproc", "Dataproc", data="clusters and jobs")
    parser.add_argument("--gcs-root", type=Path, required=True, help="directory of the buckets")
    parser.add_argument("--gcs-url", required=True, help="of the local Cloud Storage")
    parser.add_argument("--bigquery-url", required=True, help="of the local BigQuery")
    parser.add_argument("--cores", type=int, default=cores, help="of each Spark job")
    parser.add_argument(
        "--max-jobs", type=int, default=max(1, cores // 2), help="that run at a time"
    )
    parser.add_argument(
        "--cluster-delay", type=float, default=0.5, help="seconds to create or delete a cluster"
    )
    given = parser.parse_args()
    return serving.run(lambda: Service(**vars(given)).serve())


if __name__ == "__main__":
    sys.exit(main())
