"""Commands about runs: submit, status, runs, logs."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from pydag_dist.cli import redis_time, run_lookup
from pydag_dist.cli.display.output import echo
from pydag_dist.cli.display.runs_table import runs_screen
from pydag_dist.cli.display.tables import clock, print_fitted
from pydag_dist.cli.options import (
    DAG_FILE,
    JSON,
    LOGICAL_DATE,
    PARAM,
    TIMEOUT,
    WAIT,
    Moment,
    params_option,
)
from pydag_dist.cli.waiting import NOT_SUCCESSFUL, wait_for
from pydag_dist.client import Client
from pydag_dist.dag.ids import check_id
from pydag_dist.engine import MAX_SCANNED, RunFilter
from pydag_dist.engine.protocol import LOG_LEVELS, LogLevel, RunState, RunType
from pydag_dist.errors import EngineError, PydagError

if TYPE_CHECKING:
    from pydag_dist.client import Run

RUN_STATES, RUN_TYPES = get_args(RunState), get_args(RunType)


@click.command()
@click.argument("file", type=DAG_FILE)
@WAIT
@TIMEOUT
@PARAM
@LOGICAL_DATE
@click.option(
    "--from",
    "from_task",
    metavar="TASK",
    default="",
    help="Run that task and all downstream of it; all others count as succeeded, with the results "
    "of their newest runs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --wait the final status.")
def submit(
    file: Path,
    *,
    wait: bool,
    timeout: float | None,
    params: dict[str, Any],
    logical_date: str | None,
    from_task: str,
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
        pydag submit pipeline.json --from report
    """
    from pydag_dist.cli.commands.workers import warn_of_unserved
    from pydag_dist.dag import Dag
    from pydag_dist.dag.run_params import check_names

    client, dag = Client(), Dag.load(file)
    check_names(dag, params)
    run = client.submit(dag, params, logical_date=logical_date, from_task=from_task)
    warn_of_unserved(client, dag)
    tell_of(run, timeout, wait=wait, as_json=as_json)


def tell_of(run: Run, timeout: float | None, *, wait: bool, as_json: bool) -> None:
    """Print the id of a run that was started, and wait for its end if that is wanted."""
    if not wait:
        echo(json.dumps({"run_id": run.id}) if as_json else run.id)
        return
    # In a terminal the id is the title of what is shown.
    if not as_json and not (sys.stdout.isatty() and sys.stderr.isatty()):
        echo(run.id)
    wait_for(run, timeout, as_json=as_json)


@click.command()
@click.argument("name", metavar="RUN")
@WAIT
@TIMEOUT
@JSON
def status(name: str, *, wait: bool, timeout: float | None, as_json: bool) -> None:
    """Show a run and its tasks: states, tries, times, workers, errors.

    RUN is a run's id or how only one id begins, DAG@last, or DAG@2026-01-31: the DAG's last run
    that was submitted on that day, by the clock of this host. A run that Redis has no longer is
    looked for in the history (PYDAG_DATABASE_URL). Exit code with --wait as of `pydag submit`.

    \b
    Examples:
        pydag status nightly@last
        pydag status nightly-20240501t02 --wait
        pydag status RUN --json | jq '.tasks.ingest.state'
    """
    snapshot = run_lookup.snapshot_of(name)
    if wait and not snapshot.ended:
        wait_for(Client().by_id(snapshot.run_id), timeout, as_json=as_json)
        return
    if as_json:
        echo(json.dumps(redis_time.told(snapshot), indent=2))
    else:
        from pydag_dist.cli.display.run_status import status_screen

        print_fitted(partial(status_screen, snapshot, redis_time.end_of(snapshot)))
    if wait and snapshot.state != "success":
        raise SystemExit(NOT_SUCCESSFUL)


def dates_of(text: str, dag_id: str) -> tuple[str, str] | None:
    """The first and the last logical date, in UTC, that a day or a time of a DAG means."""
    if not text:
        return None
    from zoneinfo import ZoneInfo

    from pydag_dist.dag.schedules import dates

    zone = ZoneInfo("UTC")
    if dag_id:
        with suppress(EngineError):  # it is not published
            zone = Client().published.newest(dag_id).zone
    try:
        first, last = dates.begin_of(text, zone), dates.end_of(text, zone)
    except ValueError as error:
        raise PydagError(f"--logical-date {error}") from None
    length = len("2026-01-31T06:00") + 3 * (len(text) == len("2026-01-31") or text[16:17] == ":")
    return first.isoformat()[:length], last.isoformat()[:length]


@click.command()
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=20,
    show_default=True,
    metavar="N",
    help="So many at most.",
)
@click.option("--dag", "dag_id", default="", metavar="DAG", help="Of this DAG.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(RUN_STATES),
    help="In this state; repeatable: in any of them.",
)
@click.option(
    "--since",
    type=Moment(),
    metavar="T",
    help="Submitted then or later: 2026-01-31, 2h, yesterday.",
)
@click.option("--until", type=Moment(), metavar="T", help="Submitted before then.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="With this tag; repeatable.")
@click.option(
    "--logical-date",
    default="",
    metavar="DATE",
    help="Whose logical date is on that day, or then; without an offset in the time zone of the "
    "published DAG that --dag names, else in UTC.",
)
@click.option("--backfill", default="", metavar="ID", help="Of this backfill.")
@click.option(
    "--type",
    "run_types",
    multiple=True,
    type=click.Choice(RUN_TYPES),
    help="Of a published DAG, started so; repeatable: in any of these ways.",
)
@click.option("--version", type=click.IntRange(1), metavar="N", help="Of this version of its DAG.")
@params_option("Submitted with this param")
@JSON
@click.pass_context
def runs(
    context: click.Context,
    *,
    limit: int,
    dag_id: str,
    states: tuple[str, ...],
    since: float | None,
    until: float | None,
    tags: tuple[str, ...],
    params: dict[str, Any],
    logical_date: str,
    backfill: str,
    run_types: tuple[str, ...],
    version: int | None,
    as_json: bool,
) -> None:
    """List the newest runs first: those in Redis, then older ones of the history.

    Only those that fit all options. T is a day or a time, ISO 8601, by the clock of this host;
    today or yesterday, which begin at midnight; or how long ago: 90s, 30m, 2h, 7d. Where the screen
    is narrow an id is shortened, as far as it still names the run, and ends with an ellipsis.

    \b
    Examples:
        pydag runs --limit 5
        pydag runs --dag nightly --state failed --since yesterday
        pydag runs --dag nightly --type scheduled --logical-date 2026-01-31
        pydag runs --tag finance --param country=pe --json
    """
    if dag_id:
        check_id("DAG", dag_id)
    if backfill:
        backfill = Client().all_backfills.named(backfill)
    wanted = RunFilter(
        dag_id,
        states,
        since,
        until,
        tags,
        params,
        dates_of(logical_date, dag_id),
        backfill,
        run_types=run_types,
        version=str(version or ""),
    )
    found = run_lookup.listing(limit, wanted)
    now = redis_time.now() if any(run.ended_at is None for run in found.runs) else 0.0
    if as_json:
        listed = [asdict(run) | {"took": run.took(now)} for run in found.runs]
        answer = {"runs": listed, "looked_back_to": found.looked_back_to}
        echo(json.dumps(answer, indent=2))
    elif found.runs:
        names = run_lookup.shortest_names(found.runs)
        print_fitted(partial(runs_screen, found.runs, names, now))
    else:
        echo(_none_found(context), err=True)
    if found.looked_back_to is not None:
        echo(
            f"Warning: only runs submitted since {clock(found.looked_back_to)} were looked at, "
            f"{MAX_SCANNED:,} or more: --dag makes it fewer, --until looks further back",
            err=True,
        )


def _none_found(context: click.Context) -> str:
    asked = []
    for option in context.command.params:
        given = context.params[option.name or ""]
        if option.name in ("limit", "as_json") or not given:
            continue
        if isinstance(given, dict):
            text = ", ".join(f"{name}={value}" for name, value in given.items())
        elif isinstance(given, tuple):
            text = " or ".join(given)
        else:
            text = clock(given) if isinstance(given, float) else str(given)
        asked.append(f"{option.opts[-1]} {text}")
    if not asked:
        return "There are no runs: `pydag submit FILE` starts one"
    return f"There is no run of {', '.join(asked)}"


@click.command()
@click.argument("name", metavar="RUN")
@click.argument("task", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run (or the task) ends.")
@click.option(
    "--since", type=Moment(), metavar="T", help="Written then or later: 2026-01-31, 2h, yesterday."
)
@click.option(
    "--level",
    default="DEBUG",
    type=click.Choice(LOG_LEVELS, case_sensitive=False),
    help="Of this level and those above it.",
)
@click.option("--grep", "text", default="", metavar="TEXT", help="With TEXT in it, in any case.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one object a line.")
def logs(
    name: str,
    task: str | None,
    *,
    follow: bool,
    since: float | None,
    level: LogLevel,
    text: str,
    as_json: bool,
) -> None:
    """Print what a run's tasks logged: all of them by time, or one task's.

    Each line has the time in UTC, the task and its try, and the level; as JSON `at` in epoch
    seconds, `task`, `try_number`, `level` and `line`. RUN as of `pydag status`. What Redis has no
    longer is read from the log store (PYDAG_LOG_STORE).

    \b
    Examples:
        pydag logs RUN ingest
        pydag logs nightly@last -f
        pydag logs nightly@last --level WARNING --since 2h --grep timeout
    """
    from pydag_dist.client.logs import LogFilter

    run, wanted = run_lookup.run_named(name), LogFilter(since, level, text)
    lines = run.follow_logs(task, wanted) if follow else run_lookup.logs_of(run, task, wanted)
    for line in lines:
        echo(json.dumps(asdict(line)) if as_json else str(line))
