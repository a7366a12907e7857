"""`python -m pydag_emulators.bigquery`: a local BigQuery."""

from __future__ import annotations

import sys
from pathlib import Path

from pydag_emulators import serving
from pydag_emulators.bigquery.app import create_app


def main() -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    parser = serving.options("bigquery", "BigQuery", data="tables and jobs")
    parser.add_argument(
        "--gcs-root", type=Path, required=True, help="gs://bucket/object is a file in it"
    )
    given = parser.parse_args()
    return serving.run(
        lambda: serving.serve_http(create_app(given.data, given.gcs_root), given.host, given.port)
    )


if __name__ == "__main__":
    sys.exit(main())
