"""`pydag demo`: the example pipeline on embedded services, and a look at what it made."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import partial

from rich.console import Console

from pydag_dist.cli.display import progress
from pydag_dist.cli.display.output import echo
from pydag_dist.cli.display.tables import print_fitted, rows_table
from pydag_dist.cli.display.timeline import timeline
from pydag_dist.client import Client
from pydag_dist.client.run import failure_text
from pydag_dist.dag import Dag
from pydag_dist.engine import RunSnapshot
from pydag_dist.local.home import Home
from pydag_dist.local.ports import Ports
from pydag_dist.local.seed import Report, example_dir, report, seed
from pydag_dist.local.stack import Stack
from pydag_dist.local.up import StopRequest, running


def run_demo(home: Home, rows: int, request: StopRequest) -> bool:
    """Start everything in a fresh `home`, run the pipeline, stop everything; whether all is right.

    Raises `Stopped` when asked to stop, `LocalServiceError` when a part does not start or dies.
    """
    echo("Starting Redis, Cloud Storage, BigQuery, Dataproc, a coordinator, two workers …")
    with running(home, Ports(), request, fresh=True) as stack:
        echo(f"See it run while it does: {stack.web_link}")
        echo(f"Flower shows workers and tasks at {stack.flower_url}.")
        echo(f"Uploading the example's scripts and a CSV file of {rows:,} rows …")
        seed(stack.gcs_url, stack.bigquery_url, example_dir(), rows)
        dag = Dag.load(example_dir() / "pipeline.json")
        run = Client(stack.redis_url).submit(dag)
        echo(f"Submitted {dag.dag_id} as run {run.id}")
        snapshot = progress.watch(_watched(run.follow(), stack, request), Console())
        echo("\n".join(["", *timeline(snapshot, time.time()), ""]))
        if snapshot.state == "success":
            right = show(report(stack.bigquery_url, stack.gcs_url))
        else:
            right = False
            echo(f"Error: {failure_text(snapshot)}", err=True)
        echo(f"Logs are in {home.path / 'logs'}; stopping everything …")
    return right


def _watched(
    snapshots: Iterable[RunSnapshot], stack: Stack, request: StopRequest
) -> Iterator[RunSnapshot]:
    """The snapshots, for as long as nobody wants to stop and every part is alive."""
    for snapshot in snapshots:
        request.check()
        stack.check()
        yield snapshot


def show(found: Report) -> bool:
    """Print what the tables have; whether that is what they should have."""
    counts = [
        (name, f"{there.rows:,}" if there else "missing", f"{facts.rows:,}")
        for name, facts in found.expected.items()
        for there in [found.tables.get(name)]
    ]
    print_fitted(partial(rows_table, ("table", "rows", "expected"), counts))
    if found.sample:
        echo("\nThe first rows of mytable3:")
        rows = [[*map(str, row.values())] for row in found.sample]
        print_fitted(partial(rows_table, [*found.sample[0]], rows))
    for problem in found.problems:
        echo(f"Error: {problem}", err=True)
    if not found.problems:
        echo("\nEvery table has exactly the rows that it should have.")
    return not found.problems
