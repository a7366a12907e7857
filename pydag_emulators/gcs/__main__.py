"""`python -m pydag_emulators.gcs`: a local Cloud Storage."""

from __future__ import annotations

import sys

from pydag_emulators import serving
from pydag_emulators.gcs.app import create_app


def main() -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    parser = serving.options("gcs", "Cloud Storage", data="the buckets")
    given = parser.parse_args()
    return serving.run(lambda: serving.serve_http(create_app(given.data), given.host, given.port))


if __name__ == "__main__":
    sys.exit(main())
