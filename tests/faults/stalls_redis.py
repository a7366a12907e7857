"""For ``celery worker -I``: Redis stalls after a process took its second task, before it claims it.

Redis is the process of the id in ``PYDAG_TEST_STALLS``; somebody else has to let it go on. Its
first task has connected the process, so that the claim is sent.
"""

from __future__ import annotations

import itertools
import os
import signal

from celery.signals import task_prerun

_tasks = itertools.count(1)


@task_prerun.connect(weak=False)
def _stall(**_: object) -> None:
    if next(_tasks) == 2:
        os.kill(int(os.environ["PYDAG_TEST_STALLS"]), signal.SIGSTOP)
