"""The process of one job: it outlives the service, and the next service finds it again.

A shell leads a session of its own, runs the command and writes its exit status into a file. As long
as it lives, it holds a lock on another file. So a later service knows whether it lives, even if its
process id has been given to another process.

| `lock` is held | `exit` is there | `pid` is there | meaning |
|---|---|---|---|
| yes | any | any | runs |
| no | yes | yes | ended by itself, with that status |
| no | no | yes | was killed |
| no | no | no | never began |
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

# Files are renamed into place, so that nobody reads half of one.
LEADER = """
echo $$ >pid.new && mv pid.new pid
(cd work && exec "$@") >driveroutput 2>&1
status=$?
trap "" TERM
kill -TERM 0  # what the command left running in our process group
echo $status >exit.new && mv exit.new exit
"""
KILL_GRACE = 10.0


class JobProcess:
    """The process whose files are in `directory`, alive or not."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.output = directory / "driveroutput"
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the process; it goes on without us."""
        lock = os.open(self.directory / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._child = subprocess.Popen(
                ["/bin/sh", "-c", LEADER, "dataproc-job", *command],
                cwd=self.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=[lock],
            )
        finally:
            os.close(lock)  # the child's copy keeps the lock

    def began(self) -> bool:
        """Whether there is or was such a process."""
        return self.alive() or (self.directory / "pid").exists()

    def alive(self) -> bool:
        """Whether it runs."""
        try:
            lock = os.open(self.directory / "lock", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(lock)
            if self._child is not None:
                self._child.poll()  # so that no zombie stays

    def exit_status(self) -> int | None:
        """None for a process that was killed, by us or by somebody else."""
        try:
            return int((self.directory / "exit").read_text())
        except FileNotFoundError:
            return None

    def kill(self) -> None:
        """Kill the process and all that it started, and wait until they are gone."""
        deadline = time.monotonic() + KILL_GRACE
        while self.alive():
            # The leader may not have written its id yet.
            with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
                leader = int((self.directory / "pid").read_text())
                # PySpark's worker daemon makes a process group of its own within the session.
                for group in _groups_of_session(leader) | {leader}:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(group, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise TimeoutError(f"the job in {self.directory} can't be killed")
            time.sleep(0.02)


def _groups_of_session(session: int) -> set[int]:
    """Process groups of a session, where /proc shows them (elsewhere the daemon ends by itself)."""
    groups = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # pid (command) state parent group session …: the command may contain anything.
            _, _, group, its_session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session:
                groups.add(int(group))
    return groups
