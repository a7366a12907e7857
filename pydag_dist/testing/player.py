"""Plays a DAG: the reference model decides, and a clock that skips takes the place of time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Final

from pydag_dist.client.arguments import check_dag, params_of, utc
from pydag_dist.coordinator.plan import plan_of
from pydag_dist.dag import Dag
from pydag_dist.dag.operators import RUN_DAG
from pydag_dist.dag.params.dags import DagRun
from pydag_dist.dag.planning import results
from pydag_dist.dag.planning.task_spec import RunParams
from pydag_dist.dag.run_params import check_names
from pydag_dist.engine import PlannedTask
from pydag_dist.engine.published import child_run_id
from pydag_dist.testing.calling import called
from pydag_dist.testing.ends import End, end_of
from pydag_dist.testing.plans import child_of, delay, model_of
from pydag_dist.testing.played import PlayedRun, PlayedTask, PlayedTry
from pydag_dist.testing.reference import ENDED_RUN, Message, ReferenceEngine
from pydag_dist.testing.run import Run
from pydag_dist.testing.stand_ins import Call, MissingStandIn, StandIns, outcome_of

_RUN: Final = "played"
_WORKER: Final = "worker"
_SLOTS: Final = 1_000_000  # each task that may run does


def play(
    dag: Dag,
    stand_ins: Mapping[str, Any] | None = None,
    *,
    params: Mapping[str, Any] | None = None,
    logical_date: date | str | None = None,
    dags: Sequence[Dag] = (),
) -> PlayedRun:
    """Run a DAG here and now, until it has ended.

    `stand_ins` are by the id of a task, by the name of an operator, or by "*" for all that need
    one; the first of these counts. A stand-in is a result (any JSON), an exception that ends the
    try, a function that is given a `Call` and returns or raises these, or one of them `after` some
    seconds. Without one `python.call` and `branch` call the function itself, and `dag.run` runs one
    of `dags`, whose tasks are "DAG/TASK" in `stand_ins`. All other tasks need one.

    Time is skipped: delays of retries, timeouts and `after` take none. `PydagError` if a stand-in
    is missing or for nothing, and for params or a date that no run may have. What a function of
    `stand_ins` asserts ends the test.
    """
    given = params_of(dag, params)
    check_names(dag, given)
    for each in dags:
        check_dag(each)
    others = {each.dag_id: each for each in dags}
    player = Player(StandIns(stand_ins or {}, dag, others), others)
    moment = utc(logical_date, dag.zone) or datetime.now(UTC).replace(microsecond=0).isoformat()
    player.start(_RUN, dag, RunParams(given, moment))
    player.play()
    return player.told(_RUN)


class Player:
    """A coordinator, a worker with as many slots as are wanted, and their clock."""

    def __init__(self, stand_ins: StandIns, dags: Mapping[str, Dag]) -> None:
        self._stand_ins = stand_ins
        self._dags = dags
        self._engine = ReferenceEngine()
        self._runs: dict[str, Run] = {}
        self._now = 0.0
        self._numbers = itertools.count(1)
        self._later: list[tuple[float, int, Callable[[], object]]] = []
        self._held: dict[tuple[str, str], Message] = {}  # tries that a process runs
        # Tries that are deferred, and how each will end.
        self._ends: dict[tuple[str, str], tuple[Message, End]] = {}

    def start(
        self,
        run_id: str,
        dag: Dag,
        given: RunParams,
        around: tuple[str, ...] = (),
        waits: Message | None = None,
    ) -> None:
        """Submit a run, plan it and start it."""
        rows = {row.task: row for row in plan_of(dag, run=given).rows}
        waits_for = dag.waits_for()
        tasks = {name: model_of(row, waits_for[name]) for name, row in rows.items()}
        self._engine.submit(run_id, tasks, dag.processors, dag.weight)
        model = self._engine.runs[run_id]
        self._runs[run_id] = Run(run_id, dag, given, rows, model, self._now, around, waits)
        for queue in sorted({row.queue for row in rows.values()} - set(self._engine.workers)):
            self._engine.register(queue, _SLOTS, _WORKER)
        self._engine.start(run_id)
        if dag.timeout:
            self._at(dag.timeout, partial(self._cancel, run_id, "timeout"))

    def play(self) -> None:
        """Let everything happen until all runs have ended."""
        self._work()
        while any(run.ended is None for run in self._runs.values()):
            self._now, _, act = heapq.heappop(self._later)
            act()
            self._work()

    def told(self, run_id: str) -> PlayedRun:
        """What became of a run that has ended."""
        run, model = self._runs[run_id], self._engine.runs[run_id]
        tasks = {name: run.tasks.get(name, PlayedTask(name)) for name in model.tasks}
        for name, played in tasks.items():
            played.state, played.reason = model.tasks[name].state, model.tasks[name].reason
            played.result = run.result(name)
            child = played.tries[-1].child if played.tries else ""
            played.run = self.told(child) if child else None
        seconds = (self._now if run.ended is None else run.ended) - run.began
        dag_id = run.dag.dag_id
        return PlayedRun(run_id, dag_id, model.state, model.reason, seconds, tasks, run.order)

    def _at(self, seconds: float, act: Callable[[], object]) -> None:
        heapq.heappush(self._later, (self._now + seconds, next(self._numbers), act))

    def _work(self) -> None:
        """Take messages, the oldest first, while there are any."""
        while waiting := [messages for messages in self._engine.lists.values() if messages]:
            message = min(waiting, key=lambda messages: messages[0].number).pop(0)
            if message.run == "*":
                for polled in self._engine.claim_polls(message.queue, message):
                    self._end(polled, self._ends.pop((polled.run, polled.task))[1])
                continue
            order = self._engine.claim(message, next(self._numbers), _WORKER)
            if order == "cancel":
                self._stop(message)
            elif order == "run":
                self._begin(message)
        for run_id, run in self._runs.items():
            if run.ended is None and self._engine.runs[run_id].state in ENDED_RUN:
                run.ended = self._now
                if run.waits:
                    self._at(0, partial(self._end_of_child, run_id, run.waits))

    def _begin(self, message: Message) -> None:
        run = self._runs[message.run]
        tried = PlayedTry(message.try_number, {}, self._now - run.began)
        run.tasks.setdefault(message.task, PlayedTask(message.task)).tries.append(tried)
        run.order.append(message.task)
        self._held[message.run, message.task] = message
        spec = run.specs[run.row(message.task).task]
        operator: str = spec["operator"]
        stands_in, stand_in = self._stand_ins.find(run.dag, message.task, operator)
        seconds = 0.0
        try:
            tried.params = run.rendered(message.task, message.try_number)
            if operator == RUN_DAG and not stands_in:
                self._start_child(message, tried)
                return
            if stands_in:
                called_with = Call(
                    message.run,
                    run.dag.dag_id,
                    message.task,
                    message.try_number,
                    operator,
                    tried.params,
                    tried.began,
                )
                seconds, value = outcome_of(stand_in, called_with)
            else:
                value = called(operator, tried.params)
        except (Exception, SystemExit) as error:  # so the try ends
            if isinstance(error, MissingStandIn) or (
                isinstance(error, AssertionError) and stands_in
            ):
                raise
            value = error
        self._go_on(message, seconds, end_of(spec, value))

    def _go_on(self, message: Message, seconds: float, end: End) -> None:
        """The try ends so, now or after a while; or its timeout comes first."""
        row = self._row(message)
        is_late = seconds > row.timeout
        after = min(seconds, row.timeout)
        if not seconds:
            self._end(message, end)
        elif not (row.remote or row.sensor):
            self._at(after, partial(self._end_held, message, end, is_late=is_late))
        else:
            self._defer(message, end)
            self._at(after, partial(self._poll, message, is_late=is_late))

    def _defer(self, message: Message, end: End) -> None:
        self._engine.defer(message, "all")
        self._held.pop((message.run, message.task))
        self._ends[message.run, message.task] = message, end

    def _poll(self, message: Message, *, is_late: bool = False) -> None:
        """The try's remote job is asked for, unless the try is over."""
        task, of = self._engine.task_of(message), (message.run, message.task)
        if task.state == "deferred" and task.try_number == message.try_number and not task.due:
            self._engine.tick([of], [of] if is_late else [])
            if task.state not in ("deferred", "cancelling"):
                self._left(message)

    def _end_held(self, message: Message, end: End, *, is_late: bool) -> None:
        if self._held.get((message.run, message.task)) != message:
            return
        if is_late:
            self._engine.renew(_WORKER, [message], overdue=message)
            end = End("stopped")
        self._end(message, end)

    def _stop(self, message: Message) -> None:
        """The worker stops what a try has left running."""
        if (child := self._tried(message).child) and self._runs[child].ended is None:
            self._cancel(child, "cancel")
        self._end(message, End("stopped"))

    def _end(self, message: Message, end: End) -> None:
        tried, task = self._tried(message), self._engine.task_of(message)
        is_repeatable = message.try_number < task.last_try and end.outcome == "final"
        tried.result = end.result
        tried.error = f"not repeated: {end.error}" if is_repeatable else end.error
        self._engine.release(message, end.outcome, end.skips, end.expand)
        self._left(message)

    def _left(self, message: Message) -> None:
        """The try is over."""
        of, task = (message.run, message.task), self._engine.task_of(message)
        self._held.pop(of, None)
        self._ends.pop(of, None)
        tried = self._tried(message)
        tried.ended = self._now - self._runs[message.run].began
        tried.error = tried.error or ("" if tried.result is not None else task.reason)
        if task.state == "up_for_retry":
            seconds = delay(self._row(message), message.try_number)
            self._at(seconds, partial(self._retry, message))

    def _retry(self, message: Message) -> None:
        task = self._engine.task_of(message)
        if task.state == "up_for_retry" and task.try_number == message.try_number:
            self._engine.tick([(message.run, message.task)])

    def _cancel(self, run_id: str, reason: str) -> None:
        if self._runs[run_id].ended is not None:
            return
        self._engine.cancel(run_id, reason)
        for message in list(self._held.values()):
            if message.run == run_id and self._engine.task_of(message).state == "cancelling":
                self._stop(message)
        for message, _ in list(self._ends.values()):  # those of sensors are over at once
            if message.run == run_id and self._engine.task_of(message).state == "cancelled":
                self._left(message)

    def _start_child(self, message: Message, tried: PlayedTry) -> None:
        run, asked = self._runs[message.run], results.parsed(RUN_DAG, tried.params, DagRun)
        around = (*run.around, run.dag.dag_id)
        dag, given = child_of(asked, self._dags, around, run.given.logical_date, message.task)
        tried.child = child_run_id(asked.dag, message.run, message.task, message.try_number)
        self._defer(message, End("failed"))
        timeout = self._row(message).timeout
        self._at(timeout, partial(self._poll, message, is_late=True))
        self.start(tried.child, dag, given, around, message)

    def _end_of_child(self, run_id: str, waits: Message) -> None:
        of, child = (waits.run, waits.task), self._engine.runs[run_id]
        if of not in self._ends or self._tried(waits).child != run_id:
            return
        names = self._tried(waits).params.get("results", [])
        if child.state == "success":
            found = {name: self._runs[run_id].result(name) for name in names}
            end = End("success", {"run": run_id, "state": "success", "results": found})
        else:
            how = "was cancelled" if child.state == "cancelled" else "has failed"
            end = End("failed", error=f"run {run_id} of DAG {self._runs[run_id].dag.dag_id} {how}")
        self._ends[of] = waits, end
        self._poll(waits)

    def _row(self, message: Message) -> PlannedTask:
        return self._runs[message.run].row(message.task)

    def _tried(self, message: Message) -> PlayedTry:
        return self._runs[message.run].tasks[message.task].tries[-1]
