"""Commands that become one part of an installation: coordinator, worker, Flower."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

import click

from pydag_dist.cli.display.output import echo
from pydag_dist.cli.options import DAGS, IMPORT
from pydag_dist.dag.ids import check_id
from pydag_dist.dag.operators import FAMILIES
from pydag_dist.errors import PydagError
from pydag_dist.local.celery_commands import flower_arguments, worker_arguments
from pydag_dist.settings import FURTHER_IMPORTS, load_settings


def check_queues(queues: Iterable[str]) -> None:
    """Refuse what can't be a queue's name; warn of what is nearly that of an operator family."""
    for queue in queues:
        check_id("queue", queue)
        if queue not in FAMILIES and (near := get_close_matches(queue, FAMILIES, 1, 0.7)):
            echo(
                f"Warning: queue {queue}: is {near[0]} meant? No operator's tasks go to {queue} "
                "unless their DAG names it",
                err=True,
            )


@click.command()
@DAGS
@click.option(
    "--metrics",
    metavar="PORT",
    help="Serve metrics for Prometheus there, on this host only; ADDRESS:PORT for others.",
)
def coordinator(folder: Path | None, metrics: str | None) -> None:
    """Run a coordinator: it plans submitted DAGs and looks after their runs.

    One is enough; a second one, on another host, takes over at once when the first ends.
    SIGTERM or Ctrl-C ends it, and no run that has started depends on it.

    With --dags it publishes the DAG files of a folder, and what changes there within ten seconds;
    what is gone is unpublished. A file with problems leaves the version that was there.

    \b
    Examples:
        PYDAG_REDIS_URL=redis://broker:6379/0 pydag coordinator
        pydag coordinator --dags /srv/dags
        pydag coordinator --metrics 9464
    """
    from pydag_dist.coordinator import main

    settings = load_settings()
    settings.require_redis()
    settings.dags = folder or settings.dags
    settings.metrics = metrics or settings.metrics
    if settings.dags and not settings.dags.is_dir():
        raise PydagError(
            f"{settings.dags} is no folder: --dags or PYDAG_DAGS names one with DAG files"
        )
    raise SystemExit(main(settings))


@click.command()
@click.option(
    "-c", "--concurrency", type=click.IntRange(1, 1000), help="Tasks at a time. [one per CPU]"
)
@click.option("-Q", "--queues", metavar="A,B", help="Queues to serve. [all operator families]")
@click.option("-n", "--hostname", metavar="NAME", help="This worker's name. [worker-…, a new one]")
@IMPORT
@click.option(
    "--log-level", default="INFO", show_default=True, metavar="LEVEL", help="Of this and above it."
)
def worker(
    concurrency: int | None,
    queues: str | None,
    hostname: str | None,
    modules: tuple[str, ...],
    log_level: str,
) -> None:
    """Run a worker on this host: a Celery worker with processes that execute tasks.

    Start as many as you want, on as many hosts as you want. SIGTERM or Ctrl-C lets running tasks
    end first. This becomes the process `celery -A workers worker`.

    \b
    Examples:
        pydag worker -c 8
        pydag worker -n etl-1 -Q python --import etl.steps
        pydag worker -c 2 -Q bigquery,gcs
    """
    # Not PYDAG_WORKER_IMPORTS: that would replace what the settings allow.
    if modules:
        os.environ[FURTHER_IMPORTS] = ",".join(modules)
    arguments = worker_arguments(
        hostname or f"worker-{secrets.token_hex(2)}", concurrency, log_level=log_level
    )
    if queues is not None:
        check_queues(queues.split(","))
        os.environ["PYDAG_WORKER_QUEUES"] = queues  # the app declares those beyond the families
        arguments.append(f"--queues={queues}")
    _become_celery(arguments)


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--address", default="127.0.0.1", show_default=True, help="Where Flower listens.")
@click.option("--port", type=int, default=5555, show_default=True, help="Its port.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[FLOWER OPTIONS]...")
def flower(address: str, port: int, arguments: tuple[str, ...]) -> None:
    """Run Flower: workers and tasks in the browser.

    Whoever reaches Flower sees all tasks: it listens on this host only unless told otherwise. Its
    buttons that stop workers work with a password only, from FLOWER_BASIC_AUTH: on the command line
    others of this host would read it. Options that are not listed here are handed on to Flower.

    \b
    Examples:
        pydag flower
        FLOWER_BASIC_AUTH=me:SECRET pydag flower --address 0.0.0.0
    """
    if find_spec("flower") is None:
        raise PydagError("Flower is not installed: pip install 'pydag-dist[flower]'")
    _become_celery([*flower_arguments(address, port), *arguments], module="pydag_dist.flower")


def _become_celery(arguments: list[str], module: str = "workers") -> None:
    """Replace this process by `celery -A workers …`: signals and exit codes are Celery's own."""
    # A wrong setting is reported in one sentence here, not by a traceback there.
    load_settings().require_redis()
    # -P: a folder of the current directory must not be taken for one of these packages.
    command = [sys.executable, "-P", "-m", module, *arguments]
    os.execv(sys.executable, command)  # noqa: S606 - no shell is wanted
