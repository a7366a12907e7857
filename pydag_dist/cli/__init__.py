"""The command `pydag`."""

from __future__ import annotations

import io
import sys

from pydag_dist.cli.control import cancel, mark, resume, why
from pydag_dist.cli.dags import graph, schema, validate
from pydag_dist.cli.embedded import demo, env, up
from pydag_dist.cli.estimates import estimate
from pydag_dist.cli.group import pydag
from pydag_dist.cli.members import workers
from pydag_dist.cli.processes import coordinator, flower, worker
from pydag_dist.cli.runs import logs, runs, status, submit

__all__ = ["main", "pydag"]

for command in (
    demo,
    up,
    env,
    coordinator,
    worker,
    workers,
    flower,
    validate,
    schema,
    graph,
    estimate,
    submit,
    status,
    runs,
    logs,
    cancel,
    resume,
    mark,
    why,
):
    pydag.add_command(command)


def main() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # of a terminal that does not have each character
    pydag(prog_name="pydag")
