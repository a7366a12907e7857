"""Become a program that dies with its parent: `python leash.py PARENT PROGRAM ARGUMENT…`.

A script of its own, and not a function between fork and exec, since forking a process whose
libraries have threads (gRPC) can hang. `PARENT` is the process id of the parent, which may have
ended before this begins. The program needs its full path.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Ask the kernel for SIGKILL at the parent's end (Linux only), then become the program."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(sys.argv[1]):  # it went before we asked
            sys.exit("the parent has ended")
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
