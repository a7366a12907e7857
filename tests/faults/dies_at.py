"""For ``celery worker -I``: children die like one out of memory, at a moment of a remote job.

At the moment ``PYDAG_TEST_DIE_AT``, as many times as the file of the task's name in the directory
``PYDAG_TEST_DEATHS`` has characters; each death takes one off. If ``PYDAG_TEST_VICTIMS`` names a
file, the processes that it lists are killed instead, and the file is gone with them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from workers.operators import Pending, TaskContext
from workers.operators.bigquery.job import Job

MOMENTS = ("before the submit", "after the submit", "while it waits", "after the end")
MOMENT = os.environ.get("PYDAG_TEST_DIE_AT")
DIRECTORY = Path(os.environ.get("PYDAG_TEST_DEATHS", "."))
VICTIMS = os.environ.get("PYDAG_TEST_VICTIMS")


def mortal(operator: Any) -> None:
    """Let the children that execute a class of remote operators die."""
    submit, poll = operator.submit, operator.poll

    def mortal_submit(self: Any, context: TaskContext) -> Any:
        die_at("before the submit", context.task_id)
        handle = submit(self, context)
        die_at("after the submit", context.task_id)
        return handle

    def mortal_poll(self: Any, context: TaskContext, handle: Any) -> Any:
        answer = poll(self, context, handle)
        moment = "while it waits" if isinstance(answer, Pending) else "after the end"
        die_at(moment, context.task_id)
        return answer

    operator.submit, operator.poll = mortal_submit, mortal_poll


def die_at(moment: str, task_id: str) -> None:
    """Die, or kill the others, if it is the moment for that task."""
    file = DIRECTORY / task_id
    if moment == MOMENT and file.exists() and (left := file.read_text()):
        file.write_text(left[1:])
        for victim in _others(Path(VICTIMS)) if VICTIMS else [os.getpid()]:
            os.kill(victim, signal.SIGKILL)


def _others(file: Path) -> list[int]:
    """The processes to kill, for one caller of all: another one's are those started after them."""
    taken = file.with_name(f"{file.name}.{os.getpid()}")
    while True:
        with contextlib.suppress(FileNotFoundError):
            file.rename(taken)
            return [int(process) for process in taken.read_text().split()]
        time.sleep(0.05)  # they were killed for another task, and are being started again


if MOMENT:
    mortal(Job)
