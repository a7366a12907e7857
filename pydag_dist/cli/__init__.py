"""The command `pydag`."""

from __future__ import annotations

import io
import sys

from pydag_dist.cli.commands.backfills import backfill, backfills
from pydag_dist.cli.commands.control import cancel, mark, resume, why
from pydag_dist.cli.commands.dags import graph, schedule, schema, validate
from pydag_dist.cli.commands.embedded import demo, env, up
from pydag_dist.cli.commands.estimate import estimate
from pydag_dist.cli.commands.processes import coordinator, flower, worker
from pydag_dist.cli.commands.published import dags, pause, publish, run, unpause, unpublish
from pydag_dist.cli.commands.runs import logs, runs, status, submit
from pydag_dist.cli.commands.web import tokens, web
from pydag_dist.cli.commands.workers import workers
from pydag_dist.cli.group import pydag

__all__ = ["main", "pydag"]

for command in (
    demo,
    up,
    env,
    coordinator,
    worker,
    workers,
    web,
    tokens,
    flower,
    validate,
    schema,
    graph,
    schedule,
    estimate,
    submit,
    publish,
    dags,
    run,
    pause,
    unpause,
    unpublish,
    backfill,
    backfills,
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
