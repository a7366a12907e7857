"""Beginning a backfill, bringing it on, pausing it and cancelling it.

Whatever is computed holds only for the backfill and the DAG as they were seen; if somebody changes
them in between, they are looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final, Protocol

from pydag_dist.dag import limits
from pydag_dist.dag.schedules import dates
from pydag_dist.dag.schedules.schedule import Schedule
from pydag_dist.engine.backfills.backfill import Backfill
from pydag_dist.engine.backfills.backfilling import Advanced, Backfilling, Changed
from pydag_dist.engine.due import have_same_times, schedule_of
from pydag_dist.engine.protocol import ENDED_RUN_STATES, Again
from pydag_dist.engine.published import PublishedDag
from pydag_dist.engine.roles.publishing import Publishing
from pydag_dist.engine.roles.steering import Steering
from pydag_dist.errors import EngineError, UnknownRun

LOOK: Final = 50  # due times that are decided on at once

Wanted = Callable[[Backfill, Sequence[datetime]], Sequence[bool]]


@dataclass(frozen=True)
class Span:
    """The due times of a DAG that a backfill is to have, oldest first, and the DAG as it was seen.

    `left_to_schedule`: the first of those wanted that the DAG's schedule runs itself, or that has
    not come; None if there is none.
    """

    seen: PublishedDag
    schedule: Schedule
    due: Sequence[datetime]
    left_to_schedule: datetime | None


class Known(Protocol):
    """What knows the published DAGs, and what time it is where they are due."""

    def dag(self, dag_id: str) -> PublishedDag:
        """The DAG, published or not."""
        ...

    def not_published(self, dag_id: str) -> EngineError:
        """The error that says so."""
        ...

    def now(self) -> datetime:
        """The time by which DAGs are due."""
        ...


def span(publishing: Known, dag_id: str, first: str, last: str) -> Span:
    """The due times from a day or time to another one, both included.

    `EngineError` if there is none, if they are too many, or if the DAG has no schedule.
    """
    seen = publishing.dag(dag_id)
    if not seen.is_published:
        raise publishing.not_published(dag_id)
    schedule = schedule_of(seen.schedule)
    if schedule is None:
        raise EngineError(f"DAG {dag_id} has no schedule_interval: it has no due times to backfill")
    begin, end = _ends(schedule, first, last)
    bound = _bound(schedule, seen, publishing.now())
    due = _counted(schedule.between(begin, min(end, bound)), dag_id)
    later = next((at for at in schedule.between(max(begin, bound), end) if at > bound), None)
    if not due and later:
        raise EngineError(
            f"DAG {dag_id}: no due time from {first} to {last} is to be backfilled: those from "
            f"{schedule.text(later)} on are still to come, or its schedule runs them itself"
        )
    if not due:
        raise EngineError(
            f"DAG {dag_id} is not due from {first} to {last}: `pydag schedule {dag_id} --from D` "
            "shows when it is"
        )
    return Span(seen, schedule, due, later)


def _ends(schedule: Schedule, first: str, last: str) -> tuple[datetime, datetime]:
    found = []
    for name, text, read in (("from", first, dates.begin_of), ("to", last, dates.end_of)):
        try:
            found.append(read(text, schedule.zone))
        except ValueError as error:
            raise EngineError(f"{name} {error}") from None
    begin, end = found
    if begin > end:
        raise EngineError(f"from {first} is after to {last}: a backfill goes from the older one on")
    return begin, end


def _bound(schedule: Schedule, seen: PublishedDag, now: datetime) -> datetime:
    """The last moment whose due times a backfill may have: later ones the schedule runs itself."""
    runs_by_itself = seen.due is not None and (schedule.catchup or not seen.paused_at)
    before = schedule.before(seen.due) if runs_by_itself and seen.due else None
    return min(now, before) if before else now


def _counted(due: Iterator[datetime], dag_id: str) -> list[datetime]:
    found = list(islice(due, limits.BACKFILL_DATES + 1))
    if len(found) > limits.BACKFILL_DATES:
        raise EngineError(
            f"DAG {dag_id} is due more than {limits.BACKFILL_DATES:,} times from then on, which is "
            f"the most of one backfill: let it end before {found[-1].isoformat()}, and begin "
            "another one there"
        )
    return found


def begin(
    backfilling: Backfilling,
    backfill_id: str,
    looked: Callable[[], Span],
    *,
    newest_first: bool,
    again: Again,
    weight: float,
    max_active: int,
    by: str,
) -> Span:
    """Begin a backfill of the due times that `looked` finds; what these are."""
    while True:
        found = looked()
        answer = backfilling.begin(
            backfill_id,
            found.seen,
            found.due,
            newest_first=newest_first,
            again=again,
            weight=weight,
            max_active=max_active,
            by=by,
        )
        if answer == "full":
            raise EngineError(
                f"there are {limits.BACKFILLS:,} backfills: cancel some; ended ones are forgotten "
                "after the retention"
            )
        if answer in {"made", "there"}:
            return found


def rest(schedule: Schedule, seen: Backfill) -> Iterator[datetime]:
    """The due times that are not decided on, in the order in which they will be."""
    if seen.next is None:
        return
    if not seen.newest_first:
        yield from schedule.between(seen.next, seen.last)
        return
    at = schedule.latest(seen.next)
    while at and at >= max(seen.first, schedule.start or seen.first):
        yield at
        at = schedule.before(at)


def advance(
    backfilling: Backfilling, publishing: Publishing, seen: Backfill, wanted: Wanted
) -> Advanced:
    """Decide on what is next, as far as was `seen` of the backfill.

    It pauses by itself if it can't go on.
    """
    dag = publishing.dag(seen.dag_id)
    done = backfilling.look_after(seen, dag.version)
    if done != "again" or seen.next is None:
        return done
    if why := problem(seen, dag):
        backfilling.pause(seen.backfill_id, "", why)
        return "paused"
    schedule = schedule_of(dag.schedule)
    assert schedule is not None  # noqa: S101  `problem` says so
    due = list(islice(rest(schedule, seen), LOOK + 1))
    flags = wanted(seen, due[:LOOK])
    left = next((i for i, is_wanted in enumerate(flags) if is_wanted), len(flags))
    at = due[left] if left < len(flags) else None
    following = left + (at is not None)
    next_ = due[following] if following < len(due) else None
    return backfilling.advance(seen, dag.version, left, at, next_)


def is_wanted(again: str, mine: str, states: Mapping[str, str]) -> bool:
    """Whether a due time gets the run `mine`; `states` are those of its runs, by their ids."""
    if mine in states:  # Redis has lost that it was made
        return True
    if not ENDED_RUN_STATES.issuperset(states.values()):
        return False
    return again == "all" or not states or (again == "failed" and "success" not in states.values())


def problem(seen: Backfill, dag: PublishedDag) -> str:
    """Why the backfill can't go on; "" if it can."""
    if not dag.is_published:
        return f"DAG {seen.dag_id} is published no longer: publish it, or cancel the backfill"
    if not have_same_times(dag.schedule, seen.schedule):
        return (
            f"version {dag.version} of DAG {seen.dag_id} is due at other times: unpause the "
            "backfill to go on by its schedule, or cancel it"
        )
    return ""


def unpause(backfilling: Backfilling, publishing: Publishing, backfill_id: str, by: str) -> bool:
    """Let a backfill go on, by the schedule that its DAG has now; False if it was not paused.

    `EngineError` if it can't, or has ended.
    """
    while True:
        seen = known(backfilling, backfill_id)
        dag = publishing.dag(seen.dag_id)
        if not dag.is_published:
            raise publishing.not_published(seen.dag_id)
        schedule = schedule_of(dag.schedule)
        if schedule is None or dag.schedule is None:
            raise EngineError(
                f"backfill {backfill_id} can't go on: DAG {seen.dag_id} has no schedule_interval "
                "any more"
            )
        due = _counted(rest(schedule, seen), seen.dag_id)
        total = seen.decided + len(due)
        next_ = due[0] if due else None
        answer = backfilling.unpause(seen, dag, next_, total, by)
        if answer not in {"again", "unpublished"}:
            return _done(backfill_id, answer)


def pause(backfilling: Backfilling, backfill_id: str, by: str) -> bool:
    """Let a backfill make no more runs until it is unpaused; False if it was paused."""
    known(backfilling, backfill_id)
    return _done(backfill_id, backfilling.pause(backfill_id, by))


def cancel(backfilling: Backfilling, steering: Steering, backfill_id: str, by: str) -> str:
    """Let a backfill make no more runs, and cancel those that go on; its state."""
    known(backfilling, backfill_id)
    if backfilling.cancel(backfill_id, by) == "cancelling":
        cancel_runs(backfilling, steering, backfill_id)
    return known(backfilling, backfill_id).state


def cancel_runs(backfilling: Backfilling, steering: Steering, backfill_id: str) -> None:
    """Cancel the runs of a backfill that go on."""
    by = known(backfilling, backfill_id).changed_by
    for run_id in backfilling.active(backfill_id):
        try:
            steering.cancel(run_id, by)
        except UnknownRun:
            continue  # its keys are gone: it does not count as active any more


def known(backfilling: Backfilling, backfill_id: str) -> Backfill:
    """The backfill; `EngineError` if Redis does not have it."""
    found = backfilling.backfill(backfill_id)
    if found is None:
        raise EngineError(f"there is no backfill {backfill_id}: `pydag backfills` lists them")
    return found


def _done(backfill_id: str, answer: Changed) -> bool:
    if answer in {"ok", "same"}:
        return answer == "ok"
    raise EngineError(f"backfill {backfill_id} is {answer}: it can't be paused or go on")
