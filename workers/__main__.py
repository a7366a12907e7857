"""``python -P -m workers -A workers …`` is Celery whose current directory is last on the path.

Celery puts it first, and then a folder of the user's own that is named `workers`, or as any other
package, would be taken for that one.
"""

# ruff: noqa: PLC0415  the keeper is a copy of what is loaded by then
from __future__ import annotations

import os
import sys

from workers.pool import keeper

MISUSE = 2  # exit code
WORKER = ["-A", "workers", "worker"]


def main() -> None:
    """Check what a worker could not work with, then become Celery."""
    here = os.getcwd()  # noqa: PTH109  see above
    if here not in sys.path:
        sys.path.append(here)
    if sys.argv[1:4] != WORKER:
        from celery.__main__ import main as celery

        celery()
        return
    keeper.start()
    from pydag_dist.sparing import spare_unused

    spare_unused()
    _check_imports()
    _work(sys.argv[4:])


def _check_imports() -> None:
    from pydag_dist.errors import InvalidSettings
    from workers.operators.python.modules import problems
    from workers.process import worker_settings

    try:
        allowed = worker_settings().imports
    except InvalidSettings as error:
        _refuse(str(error))
    if allowed and (found := problems(allowed)):
        _refuse(f"{found}. Looked in {', '.join(filter(None, sys.path))}")


def _work(arguments: list[str]) -> None:
    """Do as `celery worker`, whose other commands bring Flower and a shell: 15 MB of modules."""
    from celery import maybe_patch_concurrency

    from pydag_dist.sparing import without

    maybe_patch_concurrency()
    with without("pygments"):  # which colours what other commands print
        from celery.bin.base import CLIContext
    from celery.bin.worker import worker

    from workers.app import app

    context = CLIContext(app=app, no_color="NO_COLOR" in os.environ, workdir=None)
    worker.main(arguments, "celery worker", obj=context, auto_envvar_prefix="CELERY_WORKER")


def _refuse(message: str) -> None:
    sys.stderr.write(f"Error: {message}\n")
    sys.exit(MISUSE)


if __name__ == "__main__":
    main()
