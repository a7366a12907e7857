"""The command that lists workers and coordinators, and the warnings about what nobody can run."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from pydag_dist.cli.display.output import cell, echo
from pydag_dist.cli.display.tables import plain_table, wide_output
from pydag_dist.client import Client

if TYPE_CHECKING:
    from pydag_dist.dag import Dag

NAMED = 10  # warnings
SHOWN = 3  # tasks in one of them


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
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
    table = plain_table("worker", "host", "slots", "queues", "imports", "version", "running")
    for m in members:
        tasks = running.get(m.name, [])
        more = f" and {len(tasks) - 2} more" if len(tasks) > 2 else ""
        table.add_row(
            cell(m.name),
            cell(str(m.info.get("host", ""))),
            f"{m.busy}/{m.info.get('slots', '?')}",
            cell(" ".join(m.names("queues"))),
            cell(" ".join(m.names("imports"))),
            cell(str(m.info.get("version", ""))),
            cell(", ".join(tasks[:2]) + more),
        )
    wide_output().print(table)
    if not members:
        echo("No worker is alive: start one with `pydag worker`.")
    table = plain_table("coordinator", "host", "since", "version", "history")
    for m in coordinators:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(m.info.get("started_at", 0)))
        writes = "writes it" if m.info.get("writes_history") else ""
        version = str(m.info.get("version"))
        table.add_row(*map(cell, (m.name, str(m.info.get("host")), since, version, writes)))
    echo()
    wide_output().print(table)
    if not coordinators:
        echo("No coordinator is alive: start one with `pydag coordinator`.")


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
