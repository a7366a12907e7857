"""The command that lists workers and coordinators, and the warnings about what nobody can run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import click

from pydag_dist.cli.display.output import echo
from pydag_dist.cli.display.tables import clock, print_fitted, rows_table
from pydag_dist.cli.options import JSON
from pydag_dist.client import Client

if TYPE_CHECKING:
    from pydag_dist.dag import Dag
    from pydag_dist.engine import Member

_WORKER = ("worker", "host", "slots", "queues", "imports", "version", "running")
_COORDINATOR = ("coordinator", "host", "since", "version", "history")
RUNNING = 2  # tasks of a worker that are named
NAMED = 10  # warnings
SHOWN = 3  # tasks in one of them


@click.command()
@JSON
def workers(as_json: bool) -> None:
    """List the live workers: host, slots, what they run, queues, imports; and the coordinators.

    A part that was not heard of for 15 seconds is gone.

    \b
    Example:
        pydag workers
    """
    client = Client()
    members, running = client.workers(), client.running()
    coordinators = client.coordinators()
    if as_json:
        answer = {
            "workers": [asdict(m) | {"running": running.get(m.name, [])} for m in members],
            "coordinators": [asdict(member) for member in coordinators],
        }
        echo(json.dumps(answer, indent=2))
        return
    print_fitted(partial(rows_table, _WORKER, [_row(m, running.get(m.name, [])) for m in members]))
    if not members:
        echo("No worker is alive: start one with `pydag worker`.")
    rows = [
        (
            m.name,
            str(m.info.get("host")),
            clock(m.info.get("started_at", 0)),
            str(m.info.get("version")),
            "writes it" if m.info.get("writes_history") else "",
        )
        for m in coordinators
    ]
    echo()
    print_fitted(partial(rows_table, _COORDINATOR, rows))
    if not coordinators:
        echo("No coordinator is alive: start one with `pydag coordinator`.")


def _row(member: Member, tasks: Sequence[str]) -> Sequence[str]:
    more = f" and {len(tasks) - RUNNING} more" if len(tasks) > RUNNING else ""
    return (
        member.name,
        str(member.info.get("host", "")),
        f"{member.busy}/{member.info.get('slots', '?')}",
        " ".join(member.names("queues")),
        " ".join(member.names("imports")),
        str(member.info.get("version", "")),
        ", ".join(tasks[:RUNNING]) + more,
    )


def warn_of_unserved(client: Client, dag: Dag) -> bool:
    """Say on stderr which tasks no live worker can run; whether there are any."""
    found = client.unserved(dag)
    tasks: dict[str, list[str]] = {}
    for each in found:
        tasks.setdefault(each.reason, []).append(each.task)
    for reason, names in list(tasks.items())[:NAMED]:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        which, it = ("task", "it") if len(names) == 1 else ("tasks", "them")
        echo(
            f"Warning: {which} {', '.join(names[:SHOWN])}{more}: no live worker can run {it}: "
            f"{reason}",
            err=True,
        )
    if len(tasks) > NAMED:
        rest = sum(len(names) for names in list(tasks.values())[NAMED:])
        echo(f"Warning: no live worker can run {rest} more tasks, for other reasons", err=True)
    return bool(found)
