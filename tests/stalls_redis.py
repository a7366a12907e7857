"""For ``celery worker -I``: Redis stalls once, after a child process took a task, before it claims.

Redis is the process of the id in ``PYDAG_TEST_STALLS``; somebody else has to let it go on.
"""

from __future__ import annotations

import os
import signal
from multiprocessing import Value

from celery.signals import task_prerun

_LEFT = Value("i", 1)  # of all children


@task_prerun.connect(weak=False)
def _stall_once(**_: object) -> None:
    with _LEFT.get_lock():
        if _LEFT.value == 0:
            return
        _LEFT.value = 0
    os.kill(int(os.environ["PYDAG_TEST_STALLS"]), signal.SIGSTOP)
