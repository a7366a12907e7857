"""Commands that draw: a DAG or a run as a graph, a run's timeline; and a run while it goes on."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Final

import click

from pydag_dist.cli import run_lookup
from pydag_dist.cli.display.output import echo
from pydag_dist.cli.display.tables import print_fitted
from pydag_dist.cli.options import TIMEOUT, names_file
from pydag_dist.cli.redis_time import end_of
from pydag_dist.cli.waiting import NOT_SUCCESSFUL, wait_for
from pydag_dist.client import Client
from pydag_dist.errors import PydagError

SVG: Final = click.option(
    "--svg",
    "out",
    metavar="OUT",
    help="Draw it into this file, for any browser or document; - is the standard output.",
)


@click.command()
@click.argument("name", metavar="FILE|RUN")
@SVG
@click.option("--json", "as_json", is_flag=True, help="As one JSON object: task -> its upstream.")
def graph(name: str, *, out: str | None, as_json: bool) -> None:
    """Draw a DAG as text: what waits for what.

    With --svg as a picture, as the web interface draws it: of more than 150 tasks those of one name
    are one box. That of a RUN (as of `pydag status`) has the states of its tasks. A file that is
    there is overwritten only if it is a picture.

    \b
    Examples:
        pydag graph pipeline.json
        pydag graph pipeline.json --svg pipeline.svg
        pydag graph nightly@last --svg - > run.svg
    """
    from pydag_dist.dag import Dag, draw

    run = None if names_file(name) else run_lookup.snapshot_of(name)
    dag = run_lookup.dag_of(run.run_id) if run else Dag.load(Path(name))
    if out is not None:
        from pydag_dist.cli.pictures.graph_picture import graph_picture

        _write(out, graph_picture(dag, run))
    elif as_json:
        upstream = {task: dag.tasks[task].dependencies for task in dag.walk()}
        echo(json.dumps({"dag_id": dag.dag_id, "upstream": upstream}, indent=2))
    else:
        echo(draw.text(dag))


@click.command()
@click.argument("name", metavar="RUN")
@SVG
def timeline(name: str, *, out: str | None) -> None:
    """Draw when each task of a run waited and ran, on one scale.

    As text a line for each task that has started: dots while it waited for a slot, and its worker.
    With --svg as a picture, which has the critical path, too; and if this host can read the history
    the usual time of each task, and its earlier tries. RUN as of `pydag status`.

    \b
    Examples:
        pydag timeline nightly@last
        pydag timeline RUN --svg timeline.svg
    """
    run = run_lookup.snapshot_of(name)
    if out is None:
        from pydag_dist.cli.display.timeline import timeline as lines

        echo("\n".join(lines(run, end_of(run))) or "no task has started")
        return
    from pydag_dist.cli.pictures.plan import upstream_of
    from pydag_dist.cli.pictures.timeline_picture import Plan, timeline_picture

    upstream = upstream_of(run_lookup.dag_of(run.run_id))
    plan = Plan(upstream, run_lookup.usual_seconds(run.dag_id), run_lookup.earlier_tries(run))
    _write(out, timeline_picture(run, plan, end_of(run)))


@click.command()
@click.argument("name", metavar="RUN")
@TIMEOUT
def watch(name: str, *, timeout: float | None) -> None:
    """Show a run live until it ends: what failed, what runs since when, when it may end.

    In a terminal it is one screen, elsewhere a line for each change. While Redis is away it says so
    and waits. Ctrl-C ends the watching, not the run. Exit code: 0 the run succeeded, 1 it did not,
    3 it goes on after --timeout. RUN as of `pydag status`.

    \b
    Examples:
        pydag watch nightly@last
        pydag watch RUN --timeout 3600 && pydag run reports
    """
    run = run_lookup.snapshot_of(name)
    if not run.ended:
        wait_for(Client().by_id(run.run_id), timeout)
        return
    from pydag_dist.cli.display.run_status import status_screen

    print_fitted(partial(status_screen, run, end_of(run)))
    if run.state != "success":
        raise SystemExit(NOT_SUCCESSFUL)


def _write(out: str, picture: str) -> None:
    """Write the whole picture, or leave what was there."""
    if out == "-":
        echo(picture.rstrip("\n"))
        return
    file = Path(out)
    try:
        if file.exists() and not file.is_file():  # such as /dev/stdout
            file.write_text(picture, "utf-8")
            return
        if file.exists() and not _is_picture(file):
            raise PydagError(f"{file} is there, and it is no SVG picture: give another name")
        _replace(file, picture)
    except OSError as error:
        raise PydagError(f"{file} can't be written: {error.strerror}") from None


def _is_picture(file: Path) -> bool:
    with file.open("rb") as opened:
        begin = opened.read(4)
    return begin in {b"<svg", b""}


def _replace(file: Path, picture: str) -> None:
    target = file.resolve()  # a link stays one
    number, new = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as opened:
            opened.write(picture)
        umask = os.umask(0)
        os.umask(umask)
        Path(new).chmod(target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~umask)
        Path(new).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(new).unlink()
        raise
