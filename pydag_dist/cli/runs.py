"""Commands about runs: submit, status, runs, logs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from pydag_dist.cli import live, past
from pydag_dist.cli.members import warn_of_unserved
from pydag_dist.cli.screen import cell, echo
from pydag_dist.cli.waiting import wait_for
from pydag_dist.client import Client
from pydag_dist.dag import Dag
from pydag_dist.dag.references import to_render
from pydag_dist.dag.templates import parsed, templates
from pydag_dist.errors import PydagError


def parameters(
    context: click.Context, parameter: click.Parameter, values: Iterable[str]
) -> dict[str, Any]:
    """`k=v` options as a dict: values that are JSON are JSON, others are text."""
    params: dict[str, Any] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{value!r} is not NAME=VALUE", context, parameter)
        try:
            params[name] = json.loads(text)
        except ValueError:
            params[name] = text
    return params


def check_names(dag: Dag, params: Mapping[str, Any]) -> None:
    """`PydagError` if the DAG neither declares one of these params nor names it in a template."""
    used = [
        parsed(text).params for task in dag.tasks.values() for _, text in templates(to_render(task))
    ]
    if None in used:  # of such a template only rendering it tells
        return
    known = {*dag.params, *(name for names in used for name in names or ())}
    if unknown := [name for name in params if name not in known]:
        has = ", ".join(sorted(known)) or "none"
        raise PydagError(
            f"DAG {dag.dag_id} has no param {', '.join(unknown)} (it has: {has}): mend the name, "
            "or declare it in `params` of the DAG"
        )


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--wait", is_flag=True, help="Show the run's progress until it ends.")
@click.option(
    "--timeout", type=click.FloatRange(0), metavar="S", help="Stop waiting after S seconds."
)
@click.option(
    "--param",
    "params",
    multiple=True,
    callback=parameters,
    metavar="K=V",
    help="A param of the run, over the DAG's own; repeatable.",
)
@click.option(
    "--logical-date",
    metavar="DATE",
    help="The time that the run is for, ISO 8601; default: now.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --wait the final status.")
def submit(
    file: Path,
    *,
    wait: bool,
    timeout: float | None,
    params: dict[str, Any],
    logical_date: str | None,
    as_json: bool,
) -> None:
    """Start a run of a DAG file and print the run's id.

    Progress goes to stderr, so the output stays the id (or JSON). Exit code with --wait: 0 the
    run succeeded, 1 it did not, 3 it goes on after --timeout. Ctrl-C ends the waiting, not the run.

    \b
    Examples:
        pydag submit pipeline.json
        pydag submit pipeline.json --wait --timeout 600
        pydag submit pipeline.json --param country=pe --param limit=10
        pydag submit pipeline.json --logical-date 2026-01-31
    """
    client, dag = Client(), Dag.load(file)
    check_names(dag, params)
    run = client.submit(dag, params, logical_date=logical_date)
    warn_of_unserved(client, dag)
    if not wait:
        echo(json.dumps({"run_id": run.id}) if as_json else run.id)
        return
    if not as_json:
        echo(run.id)
    wait_for(run, timeout, as_json=as_json)


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
def status(run_id: str, as_json: bool) -> None:
    """Show a run and its tasks: states, tries, times, workers.

    A run that Redis has no longer is looked for in the history (PYDAG_DATABASE_URL).

    \b
    Examples:
        pydag status nightly-20240501t020000-0123456789abcdef
        pydag status RUN --json | jq '.tasks.ingest.state'
    """
    snapshot = past.snapshot_of(run_id)
    if as_json:
        echo(json.dumps(snapshot.to_dict(), indent=2))
    else:
        live.output().print(live.render(snapshot, rows=math.inf))


@click.command()
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="As JSON, one object.")
def runs(limit: int, as_json: bool) -> None:
    """List the newest runs first: those in Redis, then older ones of the history.

    \b
    Example:
        pydag runs --limit 5
    """
    found = past.newest_runs(limit)
    if as_json:
        echo(json.dumps({"runs": [asdict(run) for run in found]}, indent=2))
        return
    table = live.plain_table("run", "state", "submitted", "took", "tasks", "failed")
    for run in found:
        counts = run.counts
        table.add_row(
            cell(run.run_id),
            live.coloured(run.state),
            _clock(run.submitted_at),
            live.duration(run.started_at, run.ended_at),
            f"{counts['ended']}/{counts['total']}",
            str(counts["failed"] or ""),
        )
    live.output().print(table)


def _clock(at: float | None) -> str:
    if at is None:
        return ""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


@click.command()
@click.argument("run_id", metavar="RUN")
@click.argument("task", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run (or the task) ends.")
def logs(run_id: str, task: str | None, follow: bool) -> None:
    """Print what a run's tasks logged: all of them by time, or one task's.

    Each line has the time in UTC, the task and its try, and the level.

    \b
    Examples:
        pydag logs RUN ingest
        pydag logs RUN -f
    """
    run = Client().run(run_id)
    for line in run.follow_logs(task) if follow else run.logs(task):
        echo(str(line))
