"""How long a child that was told to stop is waited for."""

from __future__ import annotations

import subprocess
import sys

# A process of its own: one with gRPC's threads must not fork.
SCRIPT = """
import os
from pydag_dist.engine import Held
from workers.pool.stopping import CANCEL_GRACE, GRACE, begin_cancelling, grace, stoppable

told, said = os.pipe()
go, gone = os.pipe()
if (child := os.fork()) == 0:
    begin_cancelling()
    os.write(said, b".")
    os.read(go, 1)
    with stoppable(Held("run", "next", 1, "token")):
        os.write(said, b".")
        os.read(go, 1)
    os._exit(0)
os.read(told, 1)
assert grace(child) == CANCEL_GRACE > GRACE == grace(os.getpid())
os.write(gone, b".")
os.read(told, 1)
assert grace(child) == GRACE
os.write(gone, b".")
print("patient")
"""


def test_a_parent_is_more_patient_with_a_child_that_cancels_a_remote_job_until_the_next_try():
    script = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert (script.stdout, script.stderr) == ("patient\n", "")
