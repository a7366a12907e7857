"""``dag.run``: start a published DAG, and wait for that run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from pydag_dist.dag import Dag, limits
from pydag_dist.dag.params.dags import DagRun
from pydag_dist.dag.run_params import check_names, checked_params
from pydag_dist.dag.schedules import dates
from pydag_dist.engine import ENDED_RUN_STATES, Engine, Held
from pydag_dist.engine.published import child_run_id, not_published
from pydag_dist.engine.roles.publishing import StartedChild
from pydag_dist.errors import EngineError, PydagError, UnknownRun
from workers.contract.answer import Answer, Asked, Done, Handle, Pending, answer_of
from workers.contract.context import TaskContext, parsed_params
from workers.contract.wait import Wait, wait_until_over
from workers.errors import RemoteStateUnknown, TaskFailed
from workers.operators.dag.asking import EngineOperator, asking, engine_of

_PARAMS: Final = 60_000  # bytes of all params as JSON: they are kept with the handle
# Seconds for which a cancelled task holds a slot until its run is over. That run's tasks may need a
# slot to stop, and nothing of it starts any more whether anybody waits or not.
_STOPS_WITHIN: Final = 10.0
_NEW: Final = "Redis is new, and a coordinator has yet to give it what the history knows"


class RunDag(EngineOperator):
    """Starts a run of the newest version, whose id follows from the run, the task and the try.

    Result: run, state, results.
    """

    first_interval = 1.0
    longest_interval = 10.0  # the engine lets a task ask at once when its run has ended

    def handle(self, context: TaskContext) -> Handle:
        """The run's id."""
        params = parsed_params(context, DagRun)
        return {"run": _run_id(context, params, context.try_number)}

    def start(self, context: TaskContext, may_wait: Callable[[], bool]) -> Done | Wait:  # noqa: ARG002
        """Hold no slot meanwhile: the run that is waited for may need it."""
        wait = super().start(context, lambda: False)
        assert isinstance(wait, Wait)  # noqa: S101  nobody has asked yet
        wait.state = f"waits for run {wait.handle['run']}"  # for `pydag why`
        return wait

    def submit(self, context: TaskContext) -> Handle:
        """Start the run; what could not be done now is done when it is asked for."""
        if (length := len(json.dumps(context.params))) > _PARAMS:
            raise TaskFailed(
                f"dag.run: its params have at most {_PARAMS:,} bytes as JSON, not {length:,}: "
                "keep data in files or tables, and name them",
                final=True,
            )
        handle = self.handle(context)
        answer = self.answer(Asked(context, handle))
        if isinstance(answer, TaskFailed):
            raise answer
        if isinstance(answer, Exception):
            context.log.warning("%s; asking again", answer)
        return handle

    def poll_many(self, asked: Sequence[Asked]) -> Iterator[tuple[Asked, Answer]]:
        """Ask for all runs at once."""
        engine = engine_of(asked[0].context)
        ids = [run_id for each in asked for run_id in (each.handle["run"], _run_before(each))]
        try:
            with asking():
                states = iter(engine.reading.states(ids))
        except RemoteStateUnknown as error:
            yield from ((each, error) for each in asked)
            return
        for each in asked:
            own, before = next(states), next(states)
            yield each, answer_of(lambda: _judged(engine, each, own, before[0]))  # noqa: B023

    def cancel(self, context: TaskContext, handle: Handle) -> None:
        """Cancel the run, and wait a little until it is over."""
        engine, run_id = engine_of(context), handle["run"]

        def is_over() -> bool:
            with asking():
                return engine.reading.run_state(run_id) in {None, *ENDED_RUN_STATES}

        if _cancel(engine, run_id):
            wait_until_over(context, f"run {run_id}", is_over, _STOPS_WITHIN)

    def settle(self, context: TaskContext, handle: Handle) -> Answer | None:
        """Cancel an earlier try's run; the next one begins when it is over."""
        _cancel(engine_of(context), handle["run"])
        return self.look(context, handle)

    def look(self, context: TaskContext, handle: Handle) -> Answer | None:
        """The result of a run that has succeeded before it could be cancelled."""
        engine = engine_of(context)
        with asking():
            [(state, _)] = engine.reading.states([handle["run"]])
        return _done(engine, context, handle["run"]) if state == "success" else None


def _run_id(context: TaskContext, params: DagRun, try_number: int) -> str:
    return child_run_id(params.dag, context.run_id, context.task_id, try_number)


def _run_before(asked: Asked) -> str:
    """The run of the try before; of the first try its own."""
    context = asked.context
    return _run_id(context, parsed_params(context, DagRun), max(1, context.try_number - 1))


def _judged(
    engine: Engine, asked: Asked, own: tuple[str | None, str], before: str | None
) -> Pending | Done:
    (state, error), context, run_id = own, asked.context, asked.handle["run"]
    dag_id = parsed_params(context, DagRun).dag
    if state is None:
        if before not in {None, *ENDED_RUN_STATES}:
            return Pending(f"run {_run_before(asked)} of the try before is {before}")
        _start(engine, context, run_id)
        return Pending(f"run {run_id} of DAG {dag_id} is queued")
    if state not in ENDED_RUN_STATES:
        return Pending(f"run {run_id} of DAG {dag_id} is {state}")
    if state == "success":
        return _done(engine, context, run_id)
    how = "was cancelled" if state == "cancelled" else "has failed"
    why = f": {error}" if error else ""
    raise TaskFailed(f"run {run_id} of DAG {dag_id} {how}{why} (`pydag why {run_id}`)")


def _start(engine: Engine, context: TaskContext, run_id: str) -> None:
    params = parsed_params(context, DagRun)
    with asking():
        answer, date = _started(engine, context, params, run_id)
        around = [*engine.reading.ancestors(context.run_id), context.dag_id, params.dag]
        known = engine.publishing.names() if answer == "unknown" else []
    match answer:
        case "made":
            context.log.info("started run %s of DAG %s for %s", run_id, params.dag, date)
        case "unknown":
            raise TaskFailed(str(not_published(params.dag, known)))
        case "lost":
            raise RemoteStateUnknown(_NEW)
        case "over":
            raise RemoteStateUnknown("by what Redis knows this try is not under way")
        case "within":
            why = f"a DAG can't run within itself: {' > '.join(around)}"
            raise TaskFailed(why, final=True)
        case "deep":
            raise TaskFailed(
                f"at most {limits.CHAIN} runs may wait for each other in a chain, and here "
                f"{len(around)} would: {' > '.join(around)}",
                final=True,
            )


def _started(
    engine: Engine, context: TaskContext, params: DagRun, run_id: str
) -> tuple[StartedChild, str]:
    """What the engine answers, and for which logical date."""
    held = Held(context.run_id, context.task_id, context.try_number, "")
    try:
        given, date = _of_run(engine, context, params)
        return engine.publishing.start_child(params.dag, run_id, given, date, held), date
    except UnknownRun:  # Redis has lost the run of this task
        return "lost", ""
    except (PydagError, ValueError) as error:
        raise TaskFailed(f"dag.run: {error}", final=True) from None


def _of_run(engine: Engine, context: TaskContext, params: DagRun) -> tuple[dict[str, Any], str]:
    """The params and the logical date of the run, by the DAG's newest version."""
    date = engine.reading.logical_date(context.run_id)
    text = engine.publishing.text(params.dag)
    if text is None:
        return {}, date  # the engine says why nothing is started
    dag = Dag.parse(text, source=params.dag)
    if missing := [name for name in params.results if name not in dag.tasks]:
        raise PydagError(f"results: DAG {params.dag} has no task {', '.join(missing)}")
    check_names(dag, params.params)
    if params.logical_date:
        date = dates.begin_of(params.logical_date, dag.zone).isoformat()
    return checked_params(dag, params.params), date


def _done(engine: Engine, context: TaskContext, run_id: str) -> Done:
    names = parsed_params(context, DagRun).results
    with asking():
        try:
            results = engine.working.results_of(run_id, names)
        except UnknownRun as error:
            raise RemoteStateUnknown(str(error)) from error
        except EngineError as error:
            raise TaskFailed(str(error), final=True) from None
    return Done({"run": run_id, "state": "success", "results": results})


def _cancel(engine: Engine, run_id: str) -> bool:
    """Whether there is such a run; now it is being cancelled, if it has not ended."""
    with asking():
        try:
            engine.steering.cancel(run_id)
        except UnknownRun as error:
            if not engine.store.redis.exists(engine.store.key("epoch")):
                raise RemoteStateUnknown(_NEW) from error
            return False
    return True
