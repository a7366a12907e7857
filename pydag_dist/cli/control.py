"""Commands that stop a run, go on with it, and ask why a task waits: cancel, resume, why."""

from __future__ import annotations

import click

from pydag_dist.cli.screen import echo
from pydag_dist.cli.waiting import NOT_SUCCESSFUL, wait_for
from pydag_dist.client import Client

WAIT = click.option("--wait", is_flag=True, help="Show the run's progress until it ends.")
TIMEOUT = click.option(
    "--timeout", type=click.FloatRange(0), metavar="S", help="Stop waiting after S seconds."
)


@click.command()
@click.argument("run_id", metavar="RUN")
@WAIT
@TIMEOUT
def cancel(run_id: str, wait: bool, timeout: float | None) -> None:
    """Stop a run, and print what it is now: cancelling, or cancelled.

    What has not started never will; what runs is told to stop, remote jobs included. Exit code 0
    if the run is stopped (with --wait: its last task is gone), 1 if it had ended by itself before,
    3 if it is still cancelling after --timeout.

    \b
    Examples:
        pydag cancel nightly-20240501t020000-0123456789abcdef
        pydag cancel RUN --wait --timeout 60
    """
    run = Client().run(run_id)
    state = run.cancel()
    echo(state)
    if state in {"success", "failed"}:
        echo(f"Error: run {run_id} had ended before: {state}", err=True)
        raise SystemExit(NOT_SUCCESSFUL)
    if wait:
        wait_for(run, timeout, wanted="cancelled")


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option(
    "--from", "from_task", metavar="TASK", help="Run this task and all downstream of it again."
)
@WAIT
@TIMEOUT
def resume(run_id: str, from_task: str | None, wait: bool, timeout: float | None) -> None:
    """Go on with a run that failed or was cancelled, keeping what succeeded.

    Every task that did not succeed runs again, under the same run id, and everything downstream of
    it, also what ran because of the failure. Exit code with
    --wait: 0 the run succeeded, 1 it did not, 3 it goes on after --timeout.

    \b
    Examples:
        pydag resume nightly-20240501t020000-0123456789abcdef
        pydag resume RUN --from load --wait
    """
    run = Client().run(run_id)
    run.resume(from_task)
    if wait:
        wait_for(run, timeout)


@click.command()
@click.argument("run_id", metavar="RUN")
@click.argument("task")
def why(run_id: str, task: str) -> None:
    """Say in one sentence why a task is not running.

    It waits for upstream tasks, a slot, its run's processors, a worker, a retry or a coordinator;
    or where it runs and since when, or how it ended and because of what.

    \b
    Example:
        pydag why nightly-20240501t020000-0123456789abcdef load
    """
    echo(Client().run(run_id).why(task))
