"""``dag.wait``: wait until the run of a DAG for a logical date has succeeded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydag_dist.dag.params.dags import DagWait
from pydag_dist.dag.schedules import dates
from pydag_dist.dag.schedules.dates import zone_of
from pydag_dist.engine import Engine
from pydag_dist.engine.roles.publishing import Awaited
from pydag_dist.errors import UnknownRun
from workers.contract.answer import Answer, Asked, Done, Handle, Pending, answer_of
from workers.contract.context import TaskContext, parsed_params
from workers.errors import RemoteStateUnknown, TaskFailed
from workers.operators.dag.asking import EngineOperator, asking, engine_of


class WaitForDag(EngineOperator):
    """A sensor. Coordinators look into the history for the run; its state Redis may know better.

    Result: dag, run, logical_date.
    """

    first_interval = 1.0
    longest_interval = 15.0

    def handle(self, context: TaskContext) -> Handle:  # noqa: ARG002
        """Nothing is started, so there is nothing to name."""
        return {}

    def submit(self, context: TaskContext) -> Handle:
        """Start nothing."""
        parsed_params(context, DagWait)
        return self.handle(context)

    def cancel(self, context: TaskContext, handle: Handle) -> None:
        """Nothing is there to cancel."""

    def poll_many(self, asked: Sequence[Asked]) -> Iterator[tuple[Asked, Answer]]:
        """Ask for the runs of all tasks at once."""
        engine = engine_of(asked[0].context)
        dated = []
        for each in asked:
            try:
                _note_date(engine, each)
                dated.append(each)
            except (TaskFailed, RemoteStateUnknown) as error:
                yield each, error
        wanted = [(parsed_params(a.context, DagWait).dag, a.handle["date"]) for a in dated]
        try:
            with asking():
                found = engine.publishing.awaited(wanted) if wanted else {}
        except RemoteStateUnknown as error:
            yield from ((each, error) for each in dated)
            return
        for each, want in zip(dated, wanted, strict=True):
            yield each, answer_of(lambda: _judged(*want, found[want]))  # noqa: B023


def _note_date(engine: Engine, asked: Asked) -> None:
    """Work out the logical date that a task waits for, once."""
    if "date" in asked.handle:
        return
    context, params = asked.context, parsed_params(asked.context, DagWait)
    with asking():
        try:
            own = engine.reading.logical_date(context.run_id)
        except UnknownRun as error:  # Redis has lost the run of this task
            raise RemoteStateUnknown(str(error)) from None
        if params.logical_date is None:
            date = own
        else:
            schedule = engine.publishing.dag(params.dag).schedule or {}
            zone = zone_of(schedule.get("timezone", "UTC"))
            try:
                date = dates.begin_of(params.logical_date, zone).isoformat()
            except ValueError as error:
                raise TaskFailed(f"dag.wait: logical_date {error}", final=True) from None
    if params.dag == context.dag_id and date == own:
        raise TaskFailed("its run would wait for itself: name another logical date", final=True)
    asked.handle["date"] = date


def _judged(dag_id: str, date: str, found: Awaited) -> Pending | Done:
    if found.run is None:
        why = ""
        if not found.is_told:
            why = ", as far as is known: no coordinator has looked into the history yet"
        elif not found.is_published:
            why = ", and no such DAG is published"
        elif found.is_paused:
            why = ", and the DAG is paused"
        return Pending(f"there is no run of DAG {dag_id} for {date}{why}")
    if found.state == "success":
        return Done({"dag": dag_id, "run": found.run, "logical_date": date})
    return Pending(f"run {found.run} of DAG {dag_id} for {date} is {found.state}")
