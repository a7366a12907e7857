"""Finds runs by their names: in Redis, or else in the history if this host can read it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from pydag_dist.client import Client
from pydag_dist.client.naming import find_run, shortest_name
from pydag_dist.dag.ids import is_id
from pydag_dist.engine import Listing
from pydag_dist.errors import HistoryError, PydagError, UnknownRun
from pydag_dist.settings import Settings, load_settings

if TYPE_CHECKING:
    from pydag_dist.client import Run
    from pydag_dist.client.logs import LogFilter, LogLine
    from pydag_dist.dag import Dag
    from pydag_dist.engine import RunFilter, RunSnapshot, RunSummary
    from pydag_dist.engine.backfills.backfill import Backfill
    from pydag_dist.history import HistoryReader
    from pydag_dist.why import Reason

T = TypeVar("T")
log = logging.getLogger(__name__)
USUAL_RUNS: Final = 10  # whose times are looked at
MOST_TRIED: Final = 200  # tasks whose earlier tries are read


def run_named(name: str) -> Run:
    """The run of that name (see `find_run`), which the history alone may have."""
    client, settings = Client(), load_settings()
    if client.knows_history:
        return client.run(name)
    try:
        run = client.run(name)
        _ = run.state
    except UnknownRun as unknown:
        return client.by_id(_past(unknown, lambda history: find_run(name, [history])))
    if is_id(name) and run.id != name and settings.has_history:
        # The id begins with the name. A run of the history whose whole id it is comes first.
        with contextlib.suppress(HistoryError), _history(settings) as history:
            if history.has(name):
                return client.by_id(name)
    return run


def snapshot_of(name: str) -> RunSnapshot:
    """The run as Redis has it, or else the history."""
    run = run_named(name)
    try:
        return run.snapshot()
    except UnknownRun as unknown:
        return _past(unknown, lambda history: history.snapshot(run.id))


def logs_of(run: Run, task: str | None, wanted: LogFilter) -> list[LogLine]:
    """The log lines of a run; of one that Redis has no longer those that the log store has."""
    try:
        return run.logs(task, wanted)
    except UnknownRun as unknown:
        seen = _past(unknown, lambda history: history.snapshot(run.id))
        return run.logs(task, wanted, seen=seen)


def dag_of(run_id: str) -> Dag:
    """The DAG of a run, as Redis has it, or else the history."""
    from pydag_dist.dag import Dag

    try:
        text = Client().engine.reading.submitted_dag(run_id)
    except UnknownRun as unknown:
        text = _past(unknown, lambda history: history.submitted_dag(run_id))
    return Dag.stored(text, source=run_id)


def usual_seconds(dag_id: str) -> dict[str, float]:
    """Task -> the seconds that it usually takes; empty if this host can't read the history."""
    return _if_readable(lambda history: history.durations(dag_id, USUAL_RUNS))


def earlier_tries(run: RunSnapshot) -> dict[str, list[tuple[str, float | None, float | None]]]:
    """Task -> state, start and end of its tries before the last one, as far as they are known."""
    again = [name for name, task in run.tasks.items() if task.try_number > 1][:MOST_TRIED]
    return _if_readable(
        lambda history: {
            name: [
                (one.state, one.started_at, one.ended_at)
                for one in history.tries(run.run_id, name)
                if one.try_number < run.tasks[name].try_number
            ]
            for name in again
        }
    )


def _if_readable(ask: Callable[[HistoryReader], dict[str, T]]) -> dict[str, T]:
    """What the history of this Redis tells; nothing if this host can't read it."""
    try:
        with own_history() as history:
            return ask(history) if history else {}
    except HistoryError as error:
        log.warning("%s", error)
        return {}


def reasons_of(name: str, task: str | None) -> tuple[str, list[Reason]]:
    """Why the run of that name, or a task of it, is where it is; with the run's id."""
    run = run_named(name)
    try:
        if task is None:
            return run.id, run.reasons()
        from pydag_dist.why import Reason

        tasks, why = run.tasks, run.why(task)
        state = tasks[task].state if task in tasks else "none"
        return run.id, [Reason(state, why, task)]
    except UnknownRun as unknown:
        from pydag_dist.why.past import explain_past

        def explained(history: HistoryReader) -> list[Reason] | None:
            found = history.snapshot(run.id)
            return explain_past(history, found, task) if found else None

        return run.id, _past(unknown, explained)


def listing(limit: int, wanted: RunFilter) -> Listing:
    """The newest runs that are wanted: those that Redis has, and then older ones of the history."""
    client = Client()
    live = client.listing(limit, wanted)
    if len(live.runs) == limit or client.knows_history:
        return live
    with own_history() as history:
        if history is None:
            return live
        past = history.listing(limit, wanted, client.engine.runs.existing)
    both = sorted(live.runs + past.runs, key=lambda run: -(run.submitted_at or 0))[:limit]
    ends = [at for at in (live.looked_back_to, past.looked_back_to) if at is not None]
    return Listing(both, max(ends) if ends and len(both) < limit else None)


def backfills() -> list[Backfill]:
    """Those that Redis has, then those that ended before, of the history."""
    from pydag_dist.client.backfills import with_past

    client = Client()
    live = client.backfills()
    if client.knows_history:
        return live
    with own_history() as history:
        return with_past(live, history.ended_backfills() if history else [])


def states_at(dag_id: str, dates: Sequence[str]) -> dict[str, dict[str, str]] | None:
    """Logical date -> the states of the DAG's runs of it, by run; None without a history."""
    with own_history() as history:
        return history.states_at(dag_id, dates) if history else None


@contextlib.contextmanager
def own_history() -> Iterator[HistoryReader | None]:
    """The history, if this host has one and it is that of this Redis."""
    settings = load_settings()
    if settings.url or not settings.has_history:
        yield None
        return
    store = Client().engine.store
    with _history(settings) as history:
        # A home may have had another installation's runs.
        is_own = history.epoch() == store.redis.get(store.key("epoch"))
        yield history if is_own else None


def shortest_names(runs: Sequence[RunSummary]) -> dict[str, str]:
    """Of each run the shortest beginning of its id that names it, at least eight characters."""
    client, ids = Client(), [run.run_id for run in runs]
    if client.knows_history:  # whoever is far away names runs by their whole ids
        return {run_id: run_id for run_id in ids}
    engine = client.engine
    near, there = engine.runs.neighbours(ids), set(engine.runs.existing(ids))
    # One that only the history has is named by its whole id: others there may begin alike.
    return {
        run_id: shortest_name(run_id, near[run_id], 8) if run_id in there else run_id
        for run_id in ids
    }


@contextlib.contextmanager
def readable_history() -> Iterator[HistoryReader]:
    """The history of this host; `PydagError` if it has none, or can't read it."""
    with _history(with_history()) as history:
        yield history


def with_history() -> Settings:
    """The settings of this host; `PydagError` if it has no history."""
    settings = load_settings()
    if settings.url:
        raise PydagError("this needs the history's database: set PYDAG_DATABASE_URL, not PYDAG_URL")
    if not settings.has_history:
        raise HistoryError(
            f"there is no history in {settings.home}: set PYDAG_DATABASE_URL, or PYDAG_HOME"
        )
    return settings


def _past(unknown: UnknownRun, ask: Callable[[HistoryReader], T | None]) -> T:
    """What this host's history tells of a run; else the error that says that Redis has none."""
    settings, found = load_settings(), None
    if not settings.url and settings.has_history:
        with _history(settings) as history:
            found = ask(history)
    if found is None:
        raise unknown
    return found


@contextlib.contextmanager
def _history(settings: Settings) -> Iterator[HistoryReader]:
    from pydag_dist.history import LOST, HistoryReader, reason_of

    try:
        with HistoryReader(settings.history_url) as history:
            history.check()
            yield history
    except LOST as error:
        what = reason_of(error)
        raise HistoryError(f"the history at {history.where} can't be read: {what}") from None
