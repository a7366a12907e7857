"""Commands that stop a run, go on with it, end a task by hand or explain: the last is `why`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from pydag_dist.cli import run_lookup
from pydag_dist.cli.display.output import echo
from pydag_dist.cli.display.tables import rows_table
from pydag_dist.cli.options import DAG_FILE, JSON, TIMEOUT, WAIT
from pydag_dist.cli.waiting import NOT_SUCCESSFUL, wait_for
from pydag_dist.client import Resumption, Run
from pydag_dist.client.marking import STATES
from pydag_dist.client.run import MarkedState
from pydag_dist.dag import Dag
from pydag_dist.errors import PydagError

SHOWN: Final = 20  # tasks of a table
NAMED: Final = 5  # tasks of a line


def named(name: str) -> Run:
    """The run of that name. Its id is printed on stderr if the name is another one."""
    run = run_lookup.run_named(name)
    if run.id != name:
        echo(f"run {run.id}", err=True)
    return run


@click.command()
@click.argument("name", metavar="RUN")
@WAIT
@TIMEOUT
@JSON
def cancel(name: str, *, wait: bool, timeout: float | None, as_json: bool) -> None:
    """Stop a run, and print what it is now: cancelling, or cancelled.

    What has not started never will; what runs is told to stop, remote jobs included. Exit code 0
    if the run is stopped (with --wait: its last task is gone), 1 if it had ended by itself before,
    3 if it is still cancelling after --timeout. RUN as of `pydag status`; which run it is that was
    named otherwise than by its id is told on stderr.

    \b
    Examples:
        pydag cancel nightly-20240501t020000-0123456789abcdef
        pydag cancel RUN --wait --timeout 60
    """
    run = named(name)
    state = run.cancel()
    if as_json and not wait:
        echo(json.dumps({"run_id": run.id, "state": state}))
    elif not as_json:
        echo(state)
    if state in {"success", "failed"}:
        echo(f"Error: run {run.id} had ended before: {state}", err=True)
        raise SystemExit(NOT_SUCCESSFUL)
    if wait:
        wait_for(run, timeout, as_json=as_json, wanted="cancelled")


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option(
    "--from", "from_task", metavar="TASK", help="Run this task and all downstream of it again."
)
@click.option(
    "--with",
    "file",
    type=DAG_FILE,
    metavar="FILE",
    help="Go on with this corrected file of the same DAG.",
)
@click.option("--dry-run", is_flag=True, help="Say what would run and why, and change nothing.")
@WAIT
@TIMEOUT
def resume(
    run_id: str,
    *,
    from_task: str | None,
    file: Path | None,
    dry_run: bool,
    wait: bool,
    timeout: float | None,
) -> None:
    """Go on with a run that failed or was cancelled, keeping what succeeded.

    Every task that did not succeed runs again, under the same run id, and everything downstream of
    it, also what ran because of the failure. With --with FILE the run goes on with a corrected
    DAG: what succeeded is kept if its definition (operator, params, dependencies, …) and everything
    upstream of it is unchanged. What will run, and why, is said before, on stderr. Exit code with
    --wait: 0 the run succeeded, 1 it did not, 3 it goes on after --timeout.

    \b
    Examples:
        pydag resume nightly-20240501t020000-0123456789abcdef
        pydag resume RUN --from load --wait
        pydag resume RUN --with pipeline.json --dry-run
    """
    run = named(run_id)
    dag = Dag.load(file) if file else None
    found = run.resumption(from_task, dag) if file or dry_run else None
    if found:
        _show(found)
    if not dry_run:
        run.resume(from_task, dag)
    if file is None:
        echo("with the DAG as it is stored; --with FILE goes on with a corrected one", err=True)
    if wait and not dry_run:
        wait_for(run, timeout)


def _show(found: Resumption) -> None:
    """What will run and why, at most `SHOWN` tasks."""
    rows = list(found.again.items())
    if rows:
        last = [(f"and {len(rows) - SHOWN:,} more", "")] * (len(rows) > SHOWN)
        table = rows_table(("runs again", "why"), rows[:SHOWN] + last)
        echo("\n".join(table.plain()), err=True)
    sentences = [f"{len(rows):,} of {len(rows) + found.kept:,} tasks run, {found.kept:,} are kept"]
    if found.removed:
        more = f" and {len(found.removed) - NAMED:,} more" if len(found.removed) > NAMED else ""
        sentences.append(f"gone: {', '.join(found.removed[:NAMED])}{more}")
    if found.unseen:
        sentences.append(
            f"the texts of scripts are not compared: name what has a new one by --from "
            f"(kept: {', '.join(found.unseen[:NAMED])})"
        )
    echo("; ".join(sentences), err=True)


@click.command()
@click.argument("run_id", metavar="RUN")
@click.argument("task")
@click.argument("state", type=click.Choice(STATES))
@click.option("--result", metavar="JSON", help="The task's result, with success; else null.")
def mark(run_id: str, task: str, state: MarkedState, result: str | None) -> None:
    """Say how a task ended whose work somebody did by hand.

    A task that waits, also for its next try, ends at once. One that runs is stopped first, its
    remote job is cancelled, and how its try ends does not count. What is downstream is decided as
    by an end of its own. In a run that has ended, `pydag resume` goes on from the mark: the task is
    kept unless it is marked failed, and everything downstream of it runs again. Of a run that goes
    on, a task that has ended can't be marked: others were decided by its end.

    \b
    Examples:
        pydag mark RUN load success --result '{"rows": 10}'
        pydag mark RUN load success && pydag resume RUN
        pydag mark RUN wait_for_partner skipped
    """
    value = None
    if result is not None:
        try:
            value = json.loads(result)
        except ValueError as error:
            raise PydagError(f"--result: is not JSON: {error}") from None
    named(run_id).mark(task, state, value)


@click.command()
@click.argument("name", metavar="RUN")
@click.argument("task", required=False)
@JSON
def why(name: str, task: str | None, *, as_json: bool) -> None:
    """Say why a run is not further, or in one sentence why a task is not running.

    A task waits for upstream tasks, a slot, its run's processors, a worker, a retry or a
    coordinator; or where it runs and since when, or how it ended and because of what. Of a run, a
    sentence on each line: the run, what failed, what nobody can run, what waits, what runs. RUN as
    of `pydag status`.

    \b
    Examples:
        pydag why nightly@last
        pydag why nightly-20240501t020000-0123456789abcdef load
    """
    run_id, reasons = run_lookup.reasons_of(name, task)
    if as_json:
        answer = {"run_id": run_id, "reasons": [asdict(reason) for reason in reasons]}
        echo(json.dumps(answer, indent=2))
        return
    for reason in reasons:
        echo(reason.why)
