"""Commands that look after the history: prune, back up, restore, export."""

from __future__ import annotations

import csv
import json
import math
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import click

from pydag_dist.cli import run_lookup
from pydag_dist.cli.display.output import echo
from pydag_dist.cli.display.tables import clock
from pydag_dist.cli.options import Moment
from pydag_dist.dag.text.quote import counted
from pydag_dist.errors import HistoryError, PydagError
from pydag_dist.settings import load_settings

if TYPE_CHECKING:
    from pydag_dist.history import History

T = TypeVar("T")
DAY: Final = 86_400
PROGRESS: Final = 5.0  # seconds between two lines that tell how far a command is
FILE: Final = click.Path(dir_okay=False, path_type=Path)


@click.group()
def history() -> None:
    """Look after the database of all runs: prune it, back it up, restore or export it.

    It is the one of PYDAG_DATABASE_URL, or the SQLite file in PYDAG_HOME.

    \b
    Examples:
        pydag history prune --older-than 365d --dry-run
        pydag history backup /backup/pydag.sqlite
    """


class Age(click.ParamType[float]):
    """A number of days, such as 365d; in seconds."""

    name = "age"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it."""
        found = re.fullmatch(r"(\d{1,5})d", str(value), re.ASCII)
        if not found:
            self.fail(f"{value!r} is no number of days, such as 365d", param, ctx)
        return int(found[1]) * DAY


@history.command()
@click.option(
    "--older-than", "age", type=Age(), required=True, metavar="365d", help="Ended so long ago."
)
@click.option("--dry-run", is_flag=True, help="Only say how many runs that would be.")
def prune(age: float, *, dry_run: bool) -> None:
    """Delete runs that ended long ago: their tries, their logs, and DAGs that only they had.

    The newest scheduled run of each DAG stays. A later backfill takes due times whose runs were
    deleted for such that never had one. By itself a coordinator does this once an hour, if
    PYDAG_HISTORY_DAYS is set. It may be stopped (Ctrl+C) and begun again.

    \b
    Example:
        pydag history prune --older-than 365d --dry-run
    """
    from pydag_dist.log_store import open_log_store

    before = time.time() - age
    logs = open_log_store(run_lookup.with_history())
    with _own() as found:
        total = found.old_runs(before)
        if dry_run:
            echo(f"{counted(total, 'run')} ended before {clock(before)}")
            return
        told, done = time.monotonic(), 0

        def forget(run_ids: Sequence[str]) -> None:
            nonlocal told, done
            if time.monotonic() - told > PROGRESS:
                told = time.monotonic()
                echo(f"{done:,} of {counted(total, 'run')} deleted", err=True)
            if logs:
                logs.forget(run_ids)
            done += len(run_ids)

        pruned = found.prune(before, forget)
    tries = f"{pruned.tries:,} {'try' if pruned.tries == 1 else 'tries'}"
    echo(f"deleted {counted(pruned.runs, 'run')} and {tries}")


@history.command()
@click.argument("file", type=FILE)
def backup(file: Path) -> None:
    """Write all that the history has now into FILE, a new SQLite file.

    Coordinators may go on meanwhile. The file can be a history itself
    (PYDAG_DATABASE_URL=sqlite:////path/to/FILE), or fill another database: see
    `pydag history restore FILE`. Logs are not in it.

    \b
    Example:
        pydag history backup /backup/pydag-2026-01-31.sqlite
    """
    with run_lookup.readable_history() as found:
        count = _written(file, lambda: found.back_up(file))
    echo(f"{file} has {counted(count, 'run')}")


@history.command()
@click.argument("file", type=FILE)
def restore(file: Path) -> None:
    """Fill the database of PYDAG_DATABASE_URL, which must have no runs, from a backup.

    Stop the coordinators before. What had not ended goes on when they start.

    \b
    Example:
        pydag history restore /backup/pydag-2026-01-31.sqlite
    """
    with _own() as found:
        count = found.restore(file)
        where = found.where
    echo(f"{where} has {counted(count, 'run')}")


@history.command()
@click.argument("table", metavar="runs|tries", type=click.Choice(["runs", "tries"]))
@click.option(
    "--since", type=Moment(time.time), metavar="T", help="Of runs submitted then or later."
)
@click.option("--until", type=Moment(time.time), metavar="T", help="Of runs submitted before then.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    show_default=True,
    help="A JSON object a line, or CSV.",
)
@click.option("--output", type=FILE, metavar="FILE", help="Instead of the standard output.")
def export(
    table: Literal["runs", "tries"],
    *,
    since: float | None,
    until: float | None,
    form: Literal["jsonl", "csv"],
    output: Path | None,
) -> None:
    """Print runs, or all of their tries, for other programs: a line for each.

    The columns are those of docs/history.md. T as of `pydag runs`.

    \b
    Examples:
        pydag history export runs --since 30d
        pydag history export tries --format csv --output tries.csv
    """
    span = since if since is not None else -math.inf, until if until is not None else math.inf
    with run_lookup.readable_history() as found:
        rows = found.rows(table, *span)
        if output is None:
            _write_rows(rows, form, sys.stdout)
            return

        def write() -> None:
            with output.open("w", encoding="utf-8", newline="") as file:
                _write_rows(rows, form, file)

        _written(output, write)


def _write_rows(rows: Iterator[dict[str, Any]], form: str, file: Any) -> None:
    if form == "jsonl":
        for row in rows:
            file.write(f"{json.dumps(row)}\n")
        return
    writer: Any = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
        writer.writerow(row)


def _written(file: Path, write: Callable[[], T]) -> T:
    try:
        return write()
    except OSError as error:
        raise PydagError(f"{file} can't be written: {error.strerror or error}") from None


@contextmanager
def _own() -> Iterator[History]:
    """The history, to be changed."""
    from pydag_dist.history import LOST, History, reason_of

    with History(load_settings().history_url) as found:
        try:
            yield found
        except LOST as error:
            what = reason_of(error)
            raise HistoryError(f"the history at {found.where} can't do that: {what}") from None
