"""``python -P -m workers -A workers …`` is Celery whose current directory is last on the path.

Celery puts it first, and then a folder of the user's own that is named `workers`, or as any other
package, would be taken for that one.
"""

from __future__ import annotations

import sys
from pathlib import Path

from celery.__main__ import main as celery

from pydag_dist.errors import InvalidSettings
from workers.operators.python.modules import problems
from workers.process import worker_settings

MISUSE = 2  # exit code


def main() -> None:
    """Check what a worker could not work with, then become Celery."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    if sys.argv[3:4] == ["worker"]:
        try:
            allowed = worker_settings().imports
        except InvalidSettings as error:
            _refuse(str(error))
        if allowed and (found := problems(allowed)):
            _refuse(f"{found}. Looked in {', '.join(filter(None, sys.path))}")
    celery()


def _refuse(message: str) -> None:
    sys.stderr.write(f"Error: {message}\n")
    sys.exit(MISUSE)


if __name__ == "__main__":
    main()
