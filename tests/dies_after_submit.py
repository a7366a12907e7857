"""For ``celery worker -I``: a child dies like one out of memory, right after BigQuery took its job.

It does so as many times as the file named by ``PYDAG_TEST_DEATHS`` has characters, and takes one
off each time.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from workers.operators.bigquery_job import Job

FILE = Path(os.environ["PYDAG_TEST_DEATHS"])
submit = Job.submit


def _submit_and_die(self: Job, *arguments: Any) -> Any:
    handle = submit(self, *arguments)
    if left := FILE.read_text():
        FILE.write_text(left[1:])
        os.kill(os.getpid(), signal.SIGKILL)
    return handle


Job.submit = _submit_and_die
