"""Publishing a DAG, pausing it, and firing it when it is due.

Whatever is computed holds only for the DAG as it was seen; if somebody changes it in between, it is
looked at again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from pydag_dist.engine import due
from pydag_dist.engine.published import Move, PublishedDag
from pydag_dist.engine.roles.publishing import Fired, Publishing
from pydag_dist.engine.roles.steering import dag_hash

if TYPE_CHECKING:
    from pydag_dist.dag import Dag

T = TypeVar("T")


@dataclass(frozen=True)
class Publication:
    """What became of a DAG that was published: its version, and whether that is a new one."""

    dag_id: str
    version: int
    is_new: bool
    due: datetime | None


def publish(
    publishing: Publishing, dag: Dag, *, retention: int, by: str, source: str = ""
) -> Publication:
    """Make a DAG the newest version of its id, unless it is that already.

    Its runs stay in Redis for `retention` seconds. `source` is its file in a folder.
    `InvalidDag` if its schedule could never start it, for want of a param.
    """
    check_scheduled(dag)
    text, fields = dag.to_json(), due.schedule_fields(dag)
    head: dict[str, str | float] = {
        "dag_id": dag.dag_id,
        "processors": dag.processors,
        "weight": dag.weight,
        "timeout": dag.timeout or 0,
        "retention": retention,
        "params": "{}",
        "logical_date": "",
        "hooks": int(bool(dag.on_success or dag.on_failure)),
        "expected_within": dag.expected_within or 0,
        "dag_hash": dag_hash(text),
    }
    if dag.tags:
        head["tags"] = json.dumps(list(dag.tags), ensure_ascii=False)

    def attempt() -> Publication | None:
        seen = publishing.dag(dag.dag_id)
        move = due.published(fields, seen, publishing.now())
        answer, version = publishing.publish(
            seen,
            text,
            head,
            move,
            schedule=fields,
            max_active=dag.max_active_runs,
            source=source,
            by=by,
        )
        if answer == "again":
            return None
        is_new = answer == "published"
        return Publication(dag.dag_id, version, is_new, move.due if is_new else seen.due)

    return _until(attempt)


def check_scheduled(dag: Dag) -> None:
    """`InvalidDag` if a task expands over a param that runs of the DAG's schedule don't have."""
    if dag.schedule is not None:
        from pydag_dist.dag.expansion import known_lengths

        known_lengths(dag.dag_id, list(dag.tasks.values()), dag.params)


def unpause(publishing: Publishing, dag_id: str, by: str) -> bool:
    """Let the DAG's schedule go on; False if it was not paused."""

    def attempt() -> bool | None:
        seen = publishing.dag(dag_id)
        answer = publishing.unpause(seen, by, due.unpaused(seen, publishing.now()))
        return _done(publishing, dag_id, answer)

    return _until(attempt)


def pause(publishing: Publishing, dag_id: str, by: str) -> bool:
    """Let the DAG's schedule start nothing until it is unpaused; False if it was paused."""
    return bool(_done(publishing, dag_id, publishing.pause(dag_id, by)))


def unpublish(publishing: Publishing, dag_id: str, by: str) -> None:
    """Take the DAG's name back; its runs go on."""

    def attempt() -> bool | None:
        seen = publishing.dag(dag_id)
        answer = publishing.unpublish(seen, by, due.unpublished(seen, publishing.now()))
        return _done(publishing, dag_id, answer)

    _until(attempt)


def fire(
    publishing: Publishing, seen: PublishedDag, now: datetime
) -> tuple[Fired, datetime, Move] | None:
    """Start the run that is due, as far as was `seen` of the DAG; None if none is.

    What the engine answered, the due time of the run, and what was missed.
    """
    schedule = due.schedule_of(seen.schedule)
    if schedule is None or seen.due is None or seen.due > now:
        return None
    at, move = due.fired(schedule, seen, now)
    return publishing.fire(seen, at, move), at, move


def _done(publishing: Publishing, dag_id: str, answer: str) -> bool | None:
    """Whether something has changed; None if it is to be tried again."""
    if answer == "unknown":
        raise publishing.not_published(dag_id)
    return None if answer == "again" else answer == "ok"


def _until(attempt: Callable[[], T | None]) -> T:
    while (done := attempt()) is None:
        pass
    return done
