"""Commands of the embedded installation: demo, up, env."""

from __future__ import annotations

import json
import os
import shlex
import webbrowser
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from pydag_dist.cli.display.output import echo
from pydag_dist.cli.display.tables import print_fitted, rows_table
from pydag_dist.cli.group import INTERRUPTED
from pydag_dist.cli.options import DAGS, IMPORT, JSON
from pydag_dist.local import require_packages
from pydag_dist.settings import FURTHER_IMPORTS, load_settings


def _port_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for name in ("web", "flower", "dataproc", "bigquery", "gcs", "redis"):
        option = click.option(
            f"--{name}-port",
            name,
            type=click.IntRange(1, 65535),
            metavar="N",
            help="[the usual one, or a free one]",
        )
        command = option(command)
    return command


@click.command()
@_port_options
@IMPORT
@DAGS
@click.option("--open", "opens", is_flag=True, help="Open the web interface in a browser.")
def up(modules: tuple[str, ...], folder: Path | None, *, opens: bool, **ports: int | None) -> None:
    """Start everything on this machine and keep it running; Ctrl-C stops it.

    A Redis (Valkey), local stand-ins for Cloud Storage, BigQuery and Dataproc, a coordinator, two
    workers, the web interface and Flower. The first address that is printed lets one browser in;
    `pydag web --link` prints another. Data live in PYDAG_HOME (default ~/.pydag) and are there
    again next time.

    \b
    Examples:
        pydag up --open
        pydag up --web-port 8090
        pydag up --import etl.steps      # let python.call use your module
        pydag up --dags dags             # publish the DAG files of a folder, and edit them
    \b
    Then, in a second terminal:
        eval "$(pydag env)"
        pydag submit examples/pipeline/pipeline.json --wait
    """
    require_packages()
    if modules:
        os.environ[FURTHER_IMPORTS] = ",".join(modules)
    if folder:
        os.environ["PYDAG_DAGS"] = str(folder.absolute())  # for its coordinator and `pydag web`
    from pydag_dist.doctor import look_at_host, look_at_server
    from pydag_dist.engine import connect
    from pydag_dist.local.home import Home
    from pydag_dist.local.ports import Ports
    from pydag_dist.local.seed import example_dir
    from pydag_dist.local.up import Stopped, running, seed_once, stop_request, supervise

    home = Home(load_settings().home)
    with stop_request() as request:
        echo(f"Starting with the home {home.path} …")
        try:
            with running(home, Ports(**ports), request) as stack:
                seed_once(stack, request)
                if stack.java_problem:
                    echo(f"Warning: Dataproc is not there. {stack.java_problem}", err=True)
                server = look_at_server(connect(stack.redis_url))
                for finding in [*server, *look_at_host(load_settings())]:
                    if finding.level != "ok":
                        echo(f"Warning: {finding}", err=True)
                echo(f"\nOpen {stack.web_link}\n")
                if opens:
                    webbrowser.open(stack.web_link)
                rows = stack.addresses.items()
                print_fitted(partial(rows_table, ("part", "address"), rows))
                echo(
                    "\nIn another terminal:\n"
                    '    eval "$(pydag env)"\n'
                    f"    pydag submit {example_dir() / 'pipeline.json'} --wait\n"
                    "\nCtrl-C stops everything."
                )
                supervise(stack, request)
        except Stopped:
            echo("Stopped.")


@click.command()
@JSON
def env(*, as_json: bool) -> None:
    """Print shell exports that point pydag and Google's clients at a running `pydag up`.

    \b
    Example:
        eval "$(pydag env)"
        python -c 'from google.cloud import storage; print(*storage.Client().list_buckets())'
    """
    from pydag_dist.local.home import Home

    state = Home(load_settings().home).read_state()
    if as_json:
        echo(json.dumps(state["environment"], indent=2))
        return
    for name, value in state["environment"].items():
        echo(f"export {name}={shlex.quote(value)}")


@click.command()
@click.option(
    "--rows",
    type=click.IntRange(1),
    default=10_000,
    show_default=True,
    metavar="N",
    help="Rows of the CSV file that the pipeline ingests.",
)
def demo(rows: int) -> None:
    """Run the example pipeline on this machine, everything embedded; no account, no network.

    Eight tasks: a Dataproc cluster and three BigQuery tables, a Spark job that ingests a CSV file
    from Cloud Storage, two extracts, and their union in a partitioned table. Exit code 0 if the
    tables are right. Data live in PYDAG_HOME/demo.

    \b
    Examples:
        pydag demo
        pydag demo --rows 1000000
    """
    require_packages()
    from pydag_dist.cli.commands.run_demo import run_demo
    from pydag_dist.local.home import Home
    from pydag_dist.local.up import Stopped, stop_request

    with stop_request() as request:
        try:
            right = run_demo(Home(load_settings().home / "demo"), rows, request)
        except Stopped:
            raise SystemExit(INTERRUPTED) from None
    raise SystemExit(0 if right else 1)
