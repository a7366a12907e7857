"""The command `pydag`."""

from __future__ import annotations

import gc
import io
import os
import sys

from pydag_dist.cli.group import pydag
from pydag_dist.sparing import spare_unused

__all__ = ["main", "pydag"]

# The commands in the order of `pydag --help`, and the file in `commands` that has them.
for file, names in (
    ("embedded", "demo up env"),
    ("processes", "coordinator worker"),
    ("workers", "workers"),
    ("web", "web tokens files"),
    ("processes", "flower"),
    ("dags", "validate convert render schema"),
    ("pictures", "graph"),
    ("dags", "schedule"),
    ("estimate", "estimate"),
    ("runs", "submit"),
    ("published", "publish dags run pause unpause unpublish"),
    ("backfills", "backfill backfills"),
    ("runs", "status"),
    ("pictures", "watch timeline"),
    ("runs", "runs"),
    ("upkeep.doctor", "doctor"),
    ("upkeep.stats", "stats"),
    ("upkeep.history", "history"),
    ("runs", "logs"),
    ("control", "cancel resume mark why"),
):
    for name in names.split():
        pydag.commands.add(name, file)


def _open_what_is_closed() -> None:
    """Open the null device in place of a standard stream that the caller closed (`>&-`, a service).

    Else the next connection or file would get its number, and what is printed would go there.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w"))


def main() -> None:
    """Run the command line of this process."""
    gc.disable()  # until the command is imported
    _open_what_is_closed()
    spare_unused()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # of a terminal that does not have each character
    try:
        pydag(prog_name="pydag")
    finally:
        gc.freeze()  # else the end of the process looks for circles in all that goes anyway
