"""Commands about backfills: backfill, and backfills with pause, unpause and cancel."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any

import click

from pydag_dist.cli import redis_time, run_lookup
from pydag_dist.cli.commands.published import change_each, epoch_seconds
from pydag_dist.cli.display.backfills_table import backfills_screen
from pydag_dist.cli.display.output import echo
from pydag_dist.cli.display.tables import print_fitted
from pydag_dist.cli.options import JSON
from pydag_dist.client import Client
from pydag_dist.dag import limits
from pydag_dist.engine.backfills.backfill import Backfill
from pydag_dist.engine.backfills.changes import Span, is_wanted
from pydag_dist.engine.protocol import Again

_IDS = click.argument("names", nargs=-1, required=True, metavar="ID...")
_DATE = "a day or a time, without an offset in the DAG's time zone"


@click.command()
@click.argument("name", metavar="DAG")
@click.option("--from", "first", required=True, metavar="D", help=f"The oldest: {_DATE}.")
@click.option("--to", "last", required=True, metavar="D", help="The newest, likewise; included.")
@click.option(
    "--max-active",
    type=click.IntRange(1, limits.ACTIVE_RUNS),
    default=1,
    show_default=True,
    metavar="N",
    help="Runs that go on at once.",
)
@click.option("--newest-first", is_flag=True, help="Begin with the newest due time.")
@click.option(
    "--again",
    type=click.Choice(["failed", "all"]),
    help="Also what has run: only what did not succeed, or everything.",
)
@click.option(
    "--weight",
    type=click.FloatRange(*limits.WEIGHT),
    default=0.5,
    show_default=True,
    metavar="W",
    help="Part of the DAG's weight that each run has.",
)
@click.option("--dry-run", is_flag=True, help="Only list the due times.")
@JSON
def backfill(
    name: str,
    *,
    first: str,
    last: str,
    max_active: int,
    newest_first: bool,
    again: Again | None,
    weight: float,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run a published DAG for each due time in the past, so many at a time.

    Prints the backfill's id; the coordinators do the rest. A due time that has a run already is
    left out, unless --again says otherwise. So a backfill that was cancelled goes on where it was
    if you begin it again. `pydag backfills` shows how far it is.

    \b
    Examples:
        pydag backfill nightly --from 2025-01-01 --to 2025-12-31 --dry-run
        pydag backfill nightly --from 2025-01-01 --to 2025-12-31 --max-active 4
        pydag backfill nightly --from 2026-01-01 --to 2026-01-31 --again failed
    """
    client = Client()
    if dry_run:
        found = client.all_backfills.span(name, first, last)
        known = client.all_backfills.runs_of(found, first, last)
        if known is None and not client.knows_history:
            known = run_lookup.states_at(name, [at.isoformat() for at in found.due])
        _list(found, known, again or "none", newest_first, as_json)
        return
    backfill_id, found = client.all_backfills.begin(
        name,
        first,
        last,
        max_active=max_active,
        newest_first=newest_first,
        again=again or "none",
        weight=weight,
    )
    echo(json.dumps({"backfill": backfill_id, **_counted(found)}) if as_json else backfill_id)
    _tell(found)


def _list(
    found: Span,
    known: Mapping[str, Mapping[str, str]] | None,
    again: Again,
    newest_first: bool,
    as_json: bool,
) -> None:
    states = known or {}
    due = sorted(found.due, reverse=newest_first)
    left = {
        at: runs for at in due if not is_wanted(again, "", runs := states.get(at.isoformat(), {}))
    }
    if as_json:
        told = [{"logical_date": found.schedule.text(at), "is_left_out": at in left} for at in due]
        echo(json.dumps({"dag_id": found.seen.dag_id, "due": told, **_counted(found)}, indent=2))
    else:
        for at in due:
            why = f"  left out: {', '.join(sorted(set(left[at].values())))}" if at in left else ""
            echo(f"{found.schedule.text(at)}{why}")
    if known is None:
        echo("Which of them have runs, and are left out, only the history knows", err=True)
    _tell(found)


def _counted(found: Span) -> dict[str, Any]:
    later = found.left_to_schedule
    return {"total": len(found.due), "left_to_schedule": later and found.schedule.text(later)}


def _tell(found: Span) -> None:
    first, last = (found.schedule.text(at) for at in (found.due[0], found.due[-1]))
    echo(f"{len(found.due)} due times, from {first} to {last}", err=True)
    if found.left_to_schedule:
        echo(
            f"Those from {found.schedule.text(found.left_to_schedule)} on are still to come, or "
            f"the schedule of {found.seen.dag_id} runs them itself",
            err=True,
        )


@click.group(invoke_without_command=True)
@click.option("--dag", "dag_id", default="", metavar="DAG", help="Of this DAG.")
@JSON
@click.pass_context
def backfills(context: click.Context, *, dag_id: str, as_json: bool) -> None:
    """List backfills, the newest first: how far each is, and when it may end.

    Of the due times those are counted that have their run or were left out. Those that have ended
    are listed while Redis has them, and then the newest 100 of the history.
    `pydag runs --backfill ID` lists the runs of one.

    \b
    Examples:
        pydag backfills
        pydag backfills --dag nightly --json
        pydag backfills pause ID
    """
    if context.invoked_subcommand is not None:
        return
    listed = [each for each in run_lookup.backfills() if not dag_id or each.dag_id == dag_id]
    now = datetime.fromtimestamp(redis_time.now() if listed else 0, UTC)
    if as_json:
        echo(json.dumps({"backfills": [_as_json(each, now) for each in listed]}, indent=2))
        return
    if listed:
        print_fitted(partial(backfills_screen, listed, now))
    else:
        of = f" of {dag_id}" if dag_id else ""
        echo(f"There is no backfill{of}: `pydag backfill DAG --from D --to D` begins one", err=True)
    for each in listed:
        if each.why:
            echo(f"Warning: backfill {each.backfill_id} is paused: {each.why}", err=True)


@backfills.command()
@_IDS
def pause(names: Sequence[str]) -> None:
    """Let backfills make no more runs, until they are unpaused. Runs that go on do so.

    ID is a backfill's id, or how only one begins.

    \b
    Example:
        pydag backfills pause ID
    """
    _change(names, Client().pause_backfill, "paused", "was paused already")


@backfills.command()
@_IDS
def unpause(names: Sequence[str]) -> None:
    """Let paused backfills go on, by the schedule that their DAG has now.

    \b
    Example:
        pydag backfills unpause ID
    """
    _change(names, Client().unpause_backfill, "goes on", "was not paused")


@backfills.command()
@_IDS
def cancel(names: Sequence[str]) -> None:
    """End backfills: no more runs are made, and those that go on are cancelled.

    \b
    Example:
        pydag backfills cancel ID
    """
    client = Client()

    change_each(
        names,
        lambda name: echo(f"{client.all_backfills.named(name)}: {client.cancel_backfill(name)}"),
    )


def _change(names: Sequence[str], change: Callable[[str], bool], done: str, was: str) -> None:
    client = Client()

    change_each(
        names,
        lambda name: echo(f"{client.all_backfills.named(name)}: {done if change(name) else was}"),
    )


def _as_json(each: Backfill, now: datetime) -> dict[str, Any]:
    told = asdict(each) | {"expected_end": each.expected_end(now)}
    return {n: epoch_seconds(v) if isinstance(v, datetime) else v for n, v in told.items()}
