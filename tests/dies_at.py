"""For ``celery worker -I``: children die like one out of memory, at a moment of a BigQuery job.

At the moment ``PYDAG_TEST_DIE_AT``, as many times as the file of the task's name in the directory
``PYDAG_TEST_DEATHS`` has characters; each death takes one off.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from workers.operators import Pending, TaskContext
from workers.operators.bigquery_job import Job

MOMENTS = ("before the submit", "after the submit", "while it waits", "after the end")
MOMENT = os.environ.get("PYDAG_TEST_DIE_AT")
DIRECTORY = Path(os.environ.get("PYDAG_TEST_DEATHS", "."))

submit, poll = Job.submit, Job.poll


def _die_at(moment: str, context: TaskContext) -> None:
    file = DIRECTORY / context.task_id
    if moment == MOMENT and file.exists() and (left := file.read_text()):
        file.write_text(left[1:])
        os.kill(os.getpid(), signal.SIGKILL)


def _submit(self: Job, context: TaskContext) -> Any:
    _die_at("before the submit", context)
    handle = submit(self, context)
    _die_at("after the submit", context)
    return handle


def _poll(self: Job, context: TaskContext, handle: Any) -> Any:
    answer = poll(self, context, handle)
    _die_at("while it waits" if isinstance(answer, Pending) else "after the end", context)
    return answer


if MOMENT:
    Job.submit, Job.poll = _submit, _poll  # type: ignore[method-assign]
