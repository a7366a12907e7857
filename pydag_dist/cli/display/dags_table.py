"""Published DAGs for people: a table of all, everything of one, and its versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from pydag_dist.cli.display.states import coloured
from pydag_dist.cli.display.tables import Cell, Lines, Page, clock, table
from pydag_dist.client.difference import difference
from pydag_dist.client.published import schedule_text
from pydag_dist.dag import Dag
from pydag_dist.engine.due import schedule_of
from pydag_dist.engine.published import PublishedDag, Version

if TYPE_CHECKING:
    from pydag_dist.history.published import DagChange


def dags_screen(dags: Sequence[PublishedDag], owners: Mapping[str, str], width: int) -> Lines:
    """The DAGs, one a line that fits the width if it can; times are by the clock of this host."""
    cells = {
        "dag": [Cell(dag.dag_id) for dag in dags],
        "version": [Cell(str(dag.version)) for dag in dags],
        "owner": [Cell(owners[dag.dag_id]) for dag in dags],
        "schedule": [Cell(schedule_text(dag) or "none") for dag in dags],
        "next": [_next(dag) for dag in dags],
        "last run": [_last(dag) for dag in dags],
        "ended": [Cell(clock(dag.last_ended)) for dag in dags],
        "missed": [Cell(str(dag.missed or "")) for dag in dags],
    }
    return table(cells, width, ("version", "owner", "ended", "schedule", "last run"))


def dag_screen(dag: PublishedDag, newest: Dag, changes: Sequence[DagChange], _width: int) -> Page:
    """All that is known of one published DAG, a line for each thing; then who changed what."""
    lines = {
        "dag": dag.dag_id,
        "description": newest.description,
        "owner": newest.owner,
        "version": f"{dag.version}, published {clock(dag.published_at)} by {dag.published_by}",
        "file": dag.source,
        "schedule": schedule_text(dag) or "none",
        "next": _next(dag).text,
        "paused": f"{clock(dag.paused_at)} by {dag.paused_by}" if dag.paused_at else "",
        "missed": f"{dag.missed}, the last one {_in_zone(dag, dag.missed_last)}"
        if dag.missed
        else "",
        "last run": dag.last_run or "",
        "ended": f"{dag.last_state} {clock(dag.last_ended)}" if dag.last_state else "",
    }
    told = [f"{name + ':':<13}{text}" for name, text in lines.items() if text]
    told += ["", "changes:"] * bool(changes)
    told += [f"  {clock(change.at)}  {_change(change)}" for change in changes]
    return Page(*map(Cell, told))


def _change(change: DagChange) -> str:
    what = {
        "published": f"version {change.version} published",
        "moved": "the same version published" if change.source else "published by hand",
        "missed": f"{change.missed} due times missed",
    }.get(change.kind, change.kind)
    by = f" by {change.by}" if change.by else ""
    return what + by + (f" from {change.source}" if change.source else "")


def version_lines(versions: Sequence[Version]) -> Iterator[str]:
    """Each version by whom and when, and below it what it has changed."""
    for number, version in enumerate(versions):
        yield f"version {version.number}  {clock(version.at)}  {version.by}"
        if number + 1 < len(versions):
            yield from (f"  {line}" for line in difference(versions[number + 1].text, version.text))


def _next(dag: PublishedDag) -> Cell:
    if dag.paused_at:
        return Cell("paused", "yellow")
    if dag.held:
        return Cell("waits for its runs", "yellow")
    return Cell(_in_zone(dag, dag.due))


def _last(dag: PublishedDag) -> Cell:
    if dag.last_run is None:
        return Cell("")
    return coloured(dag.last_state or "running")


def _in_zone(dag: PublishedDag, at: datetime | None) -> str:
    """A due time in the DAG's own zone."""
    schedule = schedule_of(dag.schedule)
    if at is None:
        return ""
    return schedule.text(at) if schedule else at.isoformat()
