"""The command that asks BigQuery what a DAG's queries will read, and says what that costs."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from pydag_dist.cli.display.output import echo
from pydag_dist.cli.options import DAG_FILE, JSON, PARAM
from pydag_dist.client.arguments import utc
from pydag_dist.client.rest.client import RestClient
from pydag_dist.dag import Dag
from pydag_dist.dag.planning.prices import estimate_text
from pydag_dist.errors import PydagError
from pydag_dist.settings import load_settings


@click.command()
@click.argument("file", type=DAG_FILE)
@click.option(
    "--price",
    type=click.FloatRange(0),
    metavar="USD",
    help="What a TiB costs where the queries run; default: PYDAG_BIGQUERY_PRICE.",
)
@PARAM
@click.option("--logical-date", metavar="DATE", help="As of `pydag submit`; default: now.")
@JSON
def estimate(
    file: Path,
    *,
    price: float | None,
    params: dict[str, Any],
    logical_date: str | None,
    as_json: bool,
) -> None:
    """Say what the BigQuery tasks of a DAG file will read, and what that costs on demand.

    Every query is dry-run, which costs nothing, with the worker settings and the credentials of
    this host; with PYDAG_URL by a worker. What reads a table that only an upstream task makes, or
    what that task returns, can't be known before; the answer says so. Exit code 1 if a query is
    wrong.

    \b
    Example:
        pydag estimate pipeline.json
    """
    if load_settings().url:
        _by_rest(Dag.load(file), params, logical_date, price, as_json=as_json)
        return
    if find_spec("google") is None or find_spec("google.cloud.bigquery") is None:
        raise PydagError("This needs Google's clients: pip install 'pydag-dist[worker]'")
    dag = Dag.load(file)  # so that its problems are reported as by `pydag validate`
    price = load_settings().bigquery_price if price is None else price
    command = [sys.executable, "-m", "workers.estimate", str(file), f"--price={price}"]
    command += [f"--params={json.dumps(params)}"]
    command += [f"--logical-date={utc(logical_date or datetime.now(UTC), dag.zone)}"]
    if as_json:
        command.append("--json")
    os.execv(sys.executable, command)  # noqa: S606 - no shell is wanted


def _by_rest(
    dag: Dag,
    params: dict[str, Any],
    logical_date: str | None,
    price: float | None,
    *,
    as_json: bool,
) -> None:
    document = RestClient().estimate(dag, params, logical_date=logical_date, price=price)
    echo(json.dumps(document, indent=2) if as_json else estimate_text(document, len(dag.tasks)))
    if any(each["wrong"] for each in document["tasks"].values()):
        raise SystemExit(1)
