"""For ``celery worker -I``: a child process dies once, after it took a task and before it claims.

It does so while the file named by ``PYDAG_TEST_DIE_ONCE`` is there, and removes it.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from celery.signals import task_prerun

FLAG = Path(os.environ["PYDAG_TEST_DIE_ONCE"])


@task_prerun.connect(weak=False)
def _die_once(**_: object) -> None:
    try:
        FLAG.unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
