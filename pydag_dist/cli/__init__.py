"""The command `pydag`."""

from __future__ import annotations

import gc
import io
import os
import sys

from pydag_dist.cli.group import pydag
from pydag_dist.sparing import spare_unused

__all__ = ["main", "pydag"]

# Name, file in `commands`, and what `pydag --help` says of it: the first sentence of its own help.
for command in (
    (
        "demo",
        "embedded",
        "Run the example pipeline on this machine, everything embedded; no account, no network.",
    ),
    ("up", "embedded", "Start everything on this machine and keep it running; Ctrl-C stops it."),
    (
        "env",
        "embedded",
        "Print shell exports that point pydag and Google's clients at a running `pydag up`.",
    ),
    (
        "coordinator",
        "processes",
        "Run a coordinator: it plans submitted DAGs and looks after their runs.",
    ),
    (
        "worker",
        "processes",
        "Run a worker on this host: a Celery worker with processes that execute tasks.",
    ),
    (
        "workers",
        "workers",
        "List the live workers: host, slots, what they run, queues, imports; and the coordinators.",
    ),
    (
        "web",
        "web",
        "Serve the interface and its REST routes: runs live, in the browser and for programs.",
    ),
    ("tokens", "web", "List the tokens that `pydag web` lets in; make one, or take one back."),
    (
        "files",
        "web",
        "List the DAG files that `pydag web` at PYDAG_URL shows; print one, or save one.",
    ),
    ("flower", "processes", "Run Flower: workers and tasks in the browser."),
    ("validate", "dags", "Check DAG files without running anything."),
    ("convert", "dags", "Print a DAG file in another form."),
    (
        "render",
        "dags",
        "Print the params that a task of a DAG file would be given, with their templates rendered.",
    ),
    ("schema", "dags", "Print the JSON Schema of DAG files, for editors and other programs."),
    ("graph", "pictures", "Draw a DAG as text: what waits for what."),
    ("schedule", "dags", "Print the next times at which a DAG is due, by its schedule_interval."),
    (
        "estimate",
        "estimate",
        "Say what the BigQuery tasks of a DAG file will read, and what that costs on demand.",
    ),
    ("submit", "runs", "Start a run of a DAG file and print the run's id."),
    (
        "publish",
        "published",
        "Make DAG files known by their ids: all of them, or none if one has a problem.",
    ),
    ("dags", "published", "List the published DAGs: schedule, when each is due, and its last run."),
    ("run", "published", "Start a run of a published DAG by hand, and print the run's id."),
    ("pause", "published", "Let the schedules of DAGs start nothing, until they are unpaused."),
    ("unpause", "published", "Let the schedules of paused DAGs go on."),
    ("unpublish", "published", "Take the names of DAGs back: they are never due again."),
    (
        "backfill",
        "backfills",
        "Run a published DAG for each due time in the past, so many at a time.",
    ),
    (
        "backfills",
        "backfills",
        "List backfills, the newest first: how far each is, and when it may end.",
    ),
    ("status", "runs", "Show a run and its tasks: states, tries, times, workers, errors."),
    (
        "watch",
        "pictures",
        "Show a run live until it ends: what failed, what runs since when, when it may end.",
    ),
    (
        "timeline",
        "pictures",
        "Draw when each task of a run waited and ran, on one scale.",
    ),
    ("runs", "runs", "List the newest runs first: those in Redis, then older ones of the history."),
    (
        "doctor",
        "upkeep.doctor",
        "Look at the installation from this host, and say what is wrong with it and what to do.",
    ),
    (
        "stats",
        "upkeep.stats",
        "Say how runs ended, what they took, and what BigQuery billed for them, by the history.",
    ),
    (
        "history",
        "upkeep.history",
        "Look after the database of all runs: prune it, back it up, restore or export it.",
    ),
    ("logs", "runs", "Print what a run's tasks logged: all of them by time, or one task's."),
    ("cancel", "control", "Stop a run, and print what it is now: cancelling, or cancelled."),
    ("resume", "control", "Go on with a run that failed or was cancelled, keeping what succeeded."),
    ("mark", "control", "Say how a task ended whose work somebody did by hand."),
    (
        "why",
        "control",
        "Say why a run is not further, or in one sentence why a task is not running.",
    ),
):
    pydag.commands.add(*command)


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
