"""No process outlives what started it: those of a worker their parent, those of a try that try.

On Linux a process can adopt its orphaned descendants, so none of them is ever out of reach: neither
a shell's grandchildren nor what made a session of its own. Elsewhere those are found that are still
below the process, or in its group.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_IS_LINUX = sys.platform == "linux"
POLITE = 2.0  # seconds in which a process can end after SIGTERM
DEADLY = 3.0  # seconds in which it has to be gone after SIGKILL
_PAUSE = 0.01


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Ask the kernel for a signal when the parent ends, however it ends (Linux only)."""
    if _IS_LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def adopt_orphans() -> None:
    """From now on a descendant whose parent ends becomes a child of this process (Linux only)."""
    if _IS_LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def is_zombie(pid: int) -> bool:
    """Whether a process is gone, but for its exit status (Linux only)."""
    try:
        stat = Path("/proc", str(pid), "stat").read_bytes()
    except OSError:
        return _IS_LINUX
    return stat.rpartition(b") ")[2].startswith((b"Z", b"X"))


def has_children() -> bool:
    """Whether this process has any child, running or not; a microsecond if it has none."""
    try:
        if hasattr(os, "waitid"):
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        else:
            os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def descendants(root: int, spared: Collection[int] = ()) -> list[int]:
    """The processes below `root`, but for those `spared` and what is below them.

    Where none can be adopted, those in the group of `root`, too.
    """
    below: defaultdict[int, list[int]] = defaultdict(list)
    for pid, parent, group in _processes():
        below[parent].append(pid)
        if not _IS_LINUX and group == root != pid:
            below[root].append(pid)
    found = [root]
    for pid in found:  # grows while it is walked
        found += [child for child in below[pid] if child not in found and child not in spared]
    return found[1:]


def _processes() -> Iterator[tuple[int, int, int]]:
    """Each process of the host with its parent and its group."""
    if _IS_LINUX:
        for name in os.listdir("/proc"):  # noqa: PTH208  a Path for each takes longer than the rest
            if name.isdigit():
                with contextlib.suppress(OSError, ValueError):  # it ended just now
                    stat = Path("/proc", name, "stat").read_bytes()
                    # After the name of its program, which may hold anything: state, parent, …
                    fields = stat[stat.rindex(b")") + 2 :].split()
                    yield int(name), int(fields[1]), int(fields[2])
        return
    listed = subprocess.run(
        ["/bin/ps", "-A", "-o", "pid=,ppid=,pgid="], capture_output=True, text=True, check=True
    )
    for line in listed.stdout.splitlines():
        pid, parent, group = map(int, line.split())
        yield pid, parent, group


def end_descendants(spared: Collection[int] = ()) -> list[int]:
    """End all that this process started, but for `spared`; those that did not end.

    SIGTERM first, SIGKILL two seconds later. What they start meanwhile is ended, too.
    """
    began, terminated = time.monotonic(), set[int]()
    while left := descendants(os.getpid(), spared):
        late = time.monotonic() - began
        if late > POLITE + DEADLY:
            return left
        end(left, terminated, deadly=late > POLITE)
        time.sleep(_PAUSE)
    return []


def end(pids: Collection[int], terminated: set[int], *, deadly: bool) -> None:
    """Ask processes to end, each once, or kill them; reap those that have ended.

    `terminated` are those that were asked already.
    """
    for pid in pids:
        if deadly:
            send(pid, signal.SIGKILL)
        elif pid not in terminated:
            terminated.add(pid)
            send(pid, signal.SIGTERM)
            send(pid, signal.SIGCONT)  # a stopped one does not hear the other
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone, or may not be ours to end."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
