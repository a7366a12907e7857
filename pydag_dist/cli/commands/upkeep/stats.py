"""The command that says what runs took and cost."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Final, get_args

import click

from pydag_dist.cli import run_lookup
from pydag_dist.cli.display.output import echo
from pydag_dist.cli.display.tables import Cell, Lines, billed, print_fitted, span, table
from pydag_dist.cli.options import JSON, Moment
from pydag_dist.dag.ids import check_id
from pydag_dist.dag.planning.prices import usd
from pydag_dist.history.queries.stats import By, RunStats, TaskStats
from pydag_dist.settings import load_settings

SLOWER: Final = 1.5  # times as long as usual
LEAST_SECONDS: Final = 1.0
BY: Final = get_args(By)


@click.command()
@click.argument("dag_id", metavar="DAG", required=False, default="")
@click.option(
    "--since",
    type=Moment(time.time),
    default="30d",
    show_default=True,
    metavar="T",
    help="Submitted then or later.",
)
@click.option("--until", type=Moment(time.time), metavar="T", help="Submitted before then.")
@click.option(
    "--by",
    type=click.Choice(BY),
    help="What each line is about; default: a DAG, or of one DAG a task.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    metavar="N",
    help="Lines.",
)
@click.option(
    "--price",
    type=click.FloatRange(0),
    metavar="USD",
    help="What a TiB of BigQuery costs; default: PYDAG_BIGQUERY_PRICE.",
)
@JSON
def stats(
    dag_id: str,
    *,
    since: float,
    until: float | None,
    by: By | None,
    limit: int,
    price: float | None,
    as_json: bool,
) -> None:
    """Say how runs ended, what they took, and what BigQuery billed for them, by the history.

    A line for each DAG, owner, label (a tag), month or run: those that cost most first, and the
    newest months. Of one DAG a line for each task, with what its newest runs took: it is marked if
    that is much more. Median and 95 % are of what succeeded. T as of `pydag runs`.

    \b
    Examples:
        pydag stats
        pydag stats nightly --since 90d
        pydag stats --by month --since 2026-01-01 --json
    """
    if dag_id:
        check_id("DAG", dag_id)
    per_tib = load_settings().bigquery_price if price is None else price
    end = math.inf if until is None else until
    with run_lookup.readable_history() as history:
        if dag_id and by is None:
            _show_tasks(history.task_stats(dag_id, since, end)[:limit], per_tib, as_json=as_json)
            return
        found = history.run_stats(by or "dag", dag_id, since, end, limit=limit)[:limit]
    if as_json:
        each = [
            asdict(one) | {"success_rate": one.success_rate} | _price(one, per_tib) for one in found
        ]
        echo(json.dumps({"by": by or "dag", "stats": each}, indent=2))
    elif found:
        print_fitted(partial(_runs_screen, found, by or "dag", per_tib))
    else:
        echo("There are no runs in that time: --since looks further back", err=True)


def _show_tasks(found: Sequence[TaskStats], per_tib: float, *, as_json: bool) -> None:
    if as_json:
        each = [asdict(one) | _price(one, per_tib) for one in found]
        echo(json.dumps({"by": "task", "stats": each}, indent=2))
    elif found:
        print_fitted(partial(_tasks_screen, found, per_tib))
    else:
        echo("There are no runs of that DAG in that time: --since looks further back", err=True)


def _price(one: RunStats | TaskStats, per_tib: float) -> dict[str, float]:
    return {"price": usd(one.bytes_billed, per_tib)}


def _money(count: int, per_tib: float) -> str:
    """What so many bytes cost, in USD; empty for none."""
    if not count:
        return ""
    price = usd(count, per_tib)
    return f"{price:,.2f}" if not 0 < price < 0.005 else "<0.01"


def _runs_screen(found: Sequence[RunStats], by: By, per_tib: float, width: int) -> Lines:
    cells: Mapping[str, list[Cell]] = {
        by: [Cell(one.name or "(none)") for one in found],
        "runs": [Cell(f"{one.runs:,}") for one in found],
        "success": [Cell("" if (r := one.success_rate) is None else f"{r:.1%}") for one in found],
        "failed": [Cell(f"{one.failed:,}" if one.failed else "") for one in found],
        "cancelled": [Cell(f"{one.cancelled:,}" if one.cancelled else "") for one in found],
        "median": [Cell(span(one.median)) for one in found],
        "95 %": [Cell(span(one.most)) for one in found],
        "billed": [Cell(billed(one.bytes_billed)) for one in found],
        "USD": [Cell(_money(one.bytes_billed, per_tib)) for one in found],
    }
    return table(cells, width, ("cancelled", "95 %", "failed", "billed", "median"))


def _tasks_screen(found: Sequence[TaskStats], per_tib: float, width: int) -> Lines:
    cells: Mapping[str, list[Cell]] = {
        "task": [Cell(one.name) for one in found],
        "tries": [Cell(f"{one.tries:,}") for one in found],
        "failed": [Cell(f"{one.failed:,}" if one.failed else "") for one in found],
        "median": [Cell(span(one.median)) for one in found],
        "95 %": [Cell(span(one.most)) for one in found],
        "newest": [Cell(span(one.recent)) for one in found],
        "": [Cell("slower", "yellow") if _is_slower(one) else Cell("") for one in found],
        "billed": [Cell(billed(one.bytes_billed)) for one in found],
        "USD": [Cell(_money(one.bytes_billed, per_tib)) for one in found],
    }
    return table(cells, width, ("failed", "95 %", "billed", "tries"))


def _is_slower(one: TaskStats) -> bool:
    return (
        one.recent is not None
        and one.median is not None
        and one.recent > SLOWER * one.median
        and one.recent - one.median > LEAST_SECONDS
    )
