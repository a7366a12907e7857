"""`python -m pydag_emulators.dataproc`: the local Dataproc as a process."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from pydag_dist.errors import LocalServiceError
from pydag_emulators.dataproc.server import Service


def main() -> int:
    """Serve until SIGTERM or SIGINT; both end running jobs and return 0."""
    cores = os.cpu_count() or 1
    parser = argparse.ArgumentParser(
        prog="python -m pydag_emulators.dataproc", description=main.__doc__
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument("--data", type=Path, required=True, help="where clusters and jobs are kept")
    parser.add_argument("--gcs-root", type=Path, required=True, help="directory of the buckets")
    parser.add_argument("--gcs-url", required=True)
    parser.add_argument("--bigquery-url", required=True)
    parser.add_argument("--cores", type=int, default=cores, help="of each Spark job")
    parser.add_argument(
        "--max-jobs", type=int, default=max(1, cores // 2), help="that run at a time"
    )
    parser.add_argument(
        "--cluster-delay", type=float, default=0.5, help="seconds to create or delete a cluster"
    )
    options = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        Service(**vars(options)).serve()
    except LocalServiceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
