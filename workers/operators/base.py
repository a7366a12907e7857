"""What an operator is: an object with `execute`; one for remote jobs with submit, poll, cancel."""

from __future__ import annotations

import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import redis
from pydantic import BaseModel, ValidationError

from pydag_dist.dag.operators import is_sensor
from workers.errors import Refused, RemoteJobLost, RemoteStateUnknown, TaskFailed
from workers.google import time_limit
from workers.settings import WorkerSettings

CANCEL_WITHIN = 60.0  # seconds that a cancelled job gets to end
LOST_AFTER = 900.0  # seconds of nothing but answers that say nothing of a job
LOST_ANSWERS = 10  # at least so many of them
_POLL, _POLL_CALL = 30.0, 20.0  # seconds of a poll in a slot, and of each of its calls
_SHOWN = 500  # characters of an answer that says nothing, in the wait that is kept in Redis
_CANCEL_INTERVALS = (0.1, 3.0)  # seconds between two looks at it, the first and the longest

Handle = dict[str, Any]
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class TaskContext:
    """One try of one task, and what the worker lends to it."""

    run_id: str
    dag_id: str
    task_id: str
    try_number: int
    operator: str
    script: str | None
    params: dict[str, Any]
    script_cache: bool
    expire_cache: int  # seconds; 0: for ever
    log: logging.Logger  # its lines go to the task's log
    settings: WorkerSettings
    redis: redis.Redis  # with decode_responses; operators keep cached scripts and budgets there
    key_prefix: str = "pydag"
    branch: dict[str, Any] | None = None  # of a branch: its downstream tasks, what each reaches
    # Tasks that are expanded over the result, and where in it their lists are.
    expanded_by: Mapping[str, Sequence[str | int]] = field(default_factory=dict)
    budget_bytes: int | None = None  # that the run's queries may bill
    cache_seconds: float | None = None  # that its result is kept, of a task with `cache`
    # Whether the try was begun before, perhaps: then its job may be there, whatever a submit says.
    is_repeated: bool = False


def parsed_params(context: TaskContext, model: type[Model]) -> Model:
    """The task's params as `model`; a final `TaskFailed` with every problem."""
    try:
        return model.model_validate(context.params)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, p['loc'])) or 'params'}: {p['msg']}" for p in error.errors()
        )
        raise TaskFailed(f"params of {context.operator}: {problems}", final=True) from None


@dataclass(frozen=True)
class Pending:
    """The remote job isn't over; `state` is the service's own word for what it does."""

    state: str


@dataclass(frozen=True)
class Done:
    """The remote job succeeded with this JSON-able result."""

    result: Any


class Operator(ABC):
    """A kind of task. One object serves all tasks of a process: it keeps nothing between calls."""

    @abstractmethod
    def execute(self, context: TaskContext) -> Any:
        """Do the work; the JSON-able result.

        An expected failure raises `TaskFailed`; `Skip` and `Fail` of `pydag_dist` work here, too.
        """


@dataclass
class Wait:
    """How far the wait for a try's remote job has come; JSON-able, as the handle is."""

    handle: Handle
    interval: float  # seconds until the next poll
    state: str = ""  # what the task's log said last
    unknown_since: float | None = None  # epoch seconds; of answers that are lasting
    # Of a task with templates: the rendered params that polls and a cancel of this try need.
    params: dict[str, Any] | None = None
    try_number: int = 0
    unknowns: int = 0  # how many of these there were: a clock can step, too

    def goes_on(self, context: TaskContext, pending: Pending, longest: float) -> None:
        """Log a state that is new, and ask less often from now on."""
        self._say(context, logging.INFO, pending.state)
        self.unknown_since, self.unknowns = None, 0
        self.interval = min(self.interval * 1.5, longest)

    def is_unknown(self, context: TaskContext, error: RemoteStateUnknown) -> None:
        """Log an answer that says nothing; `RemoteJobLost` if there was no other for too long."""
        self._say(context, logging.WARNING, str(error)[:_SHOWN])
        if not error.lasting:
            return
        now = time.time()
        self.unknown_since = self.unknown_since or now
        self.unknowns += 1
        if now - self.unknown_since > LOST_AFTER and self.unknowns >= LOST_ANSWERS:
            if is_sensor(context.operator):  # nothing runs that another try could meet
                raise TaskFailed(f"for {LOST_AFTER / 60:.0f} minutes the answer was: {error}")
            raise RemoteJobLost(
                f"nobody knows how its remote job is: for {LOST_AFTER / 60:.0f} minutes the answer "
                f"was: {error}. No other job was started in its place. Mend what hinders the "
                f"worker, or look at the job, then `pydag resume {context.run_id}`: that asks for "
                "the same job again, and starts it if its service has never heard of it"
            )

    def _say(self, context: TaskContext, level: int, text: str) -> None:
        if text != self.state:
            self.state = text
            context.log.log(level, "%s", text)


@dataclass(frozen=True, eq=False)
class Asked:
    """A try whose remote job is asked for together with others."""

    context: TaskContext
    handle: Handle


Answer = Pending | Done | Exception


class RemoteOperator(Operator):
    """A job that runs elsewhere, under an id that only the run, the task and the try decide.

    So whoever executes the same try again, after whatever crash, finds the job that is there. And
    a job that takes longer needs no slot meanwhile: workers poll many at a time.
    """

    first_interval = 1.0  # seconds between the first two polls
    longest_interval = 15.0

    @abstractmethod
    def handle(self, context: TaskContext) -> Handle:
        """What names this try's job, JSON-able; computed, so that it is known after any crash."""

    @abstractmethod
    def submit(self, context: TaskContext) -> Handle:
        """Start the job, or find the one that this try started; its handle."""

    @abstractmethod
    def poll(self, context: TaskContext, handle: Handle) -> Pending | Done:
        """Ask once; may note in `handle` how far it has read.

        Raises `TaskFailed` only if the service says that the job has ended badly. Anything else
        that is raised means that nobody knows how it is.
        """

    @abstractmethod
    def cancel(self, context: TaskContext, handle: Handle) -> None:
        """Stop the job, and wait until it is over; one that never was there is success."""

    def look(self, context: TaskContext, handle: Handle) -> Answer | None:  # noqa: ARG002
        """How a job is that was told to stop: it may have succeeded before it could.

        As `answer`, but None if there is no such job, or the operator does not tell. Then what the
        job did counts for nothing.
        """
        return None

    def settle(self, context: TaskContext, handle: Handle) -> Answer | None:
        """See to it that an earlier try's job is over before a new one starts; as `look`."""
        self.cancel(context, handle)
        return self.look(context, handle)

    def params_of_polls(self, context: TaskContext) -> dict[str, Any]:
        """The params that are needed after `submit`, beside the handle: here all of them.

        Those of tasks with templates are kept with the handle, so that no poll renders anything.
        """
        return context.params

    def poll_many(self, asked: Sequence[Asked]) -> Iterator[tuple[Asked, Answer]]:
        """Ask for the jobs of many tries; who gets no answer in time is asked again later.

        Here one after the other. An operator whose service can tell of many jobs at once does so.
        """
        for one in asked:
            if time_limit.is_out():
                return
            yield one, self.answer(one)

    def answer(self, asked: Asked) -> Answer:
        """What `poll` returns or raises."""
        return answer_of(lambda: self.poll(asked.context, asked.handle))

    def group(self, context: TaskContext, handle: Handle) -> str:
        """The tries of one group are polled together, by `poll_many`."""
        given = handle.get("connection") or context.params.get("connection")
        connection = given or context.settings.connection
        return f"{context.operator}:{connection}"

    def local(self) -> bool:
        """Whether the service runs on this machine, so that asking often costs nothing."""
        return False

    @property
    def intervals(self) -> tuple[float, float]:
        """Seconds between the first two polls, and at most."""
        return (0.1, 2.0) if self.local() else (self.first_interval, self.longest_interval)

    def start(self, context: TaskContext, is_patient: Callable[[], bool]) -> Done | Wait:
        """Submit, and wait here for as long as `is_patient` says before each poll."""
        interval, longest = self.intervals
        try:
            wait = Wait(self.submit(context), interval)
        except Refused as error:
            if context.is_repeated:
                raise RemoteStateUnknown(str(error), lasting=True) from None
            raise
        while is_patient():
            # The jitter keeps many tasks that began together from asking together.
            pause = wait.interval * random.uniform(0.8, 1.2)  # noqa: S311  no secret
            with time_limit.limited(_POLL, call=_POLL_CALL):
                answer = self.answer(Asked(context, wait.handle))
            match answer:
                case Done():
                    return answer
                case Pending():
                    wait.goes_on(context, answer, longest)
                case TaskFailed():
                    raise answer
                case other:
                    wait.is_unknown(context, as_unknown(context, other))
            time.sleep(pause)
        return wait

    def execute(self, context: TaskContext) -> Any:
        """Submit and wait here until the job is over."""
        answer = self.start(context, lambda: True)
        assert isinstance(answer, Done)  # noqa: S101  its patience is endless
        return answer.result


def answer_of(ask: Callable[[], Pending | Done]) -> Answer:
    """What it returns or raises: the error of one job harms no other."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001  it is the answer
        return error


def as_unknown(context: TaskContext, error: Exception) -> RemoteStateUnknown:
    """What an operator raised while it asked: of the job itself that says nothing."""
    if isinstance(error, RemoteStateUnknown):
        return error
    context.log.error("%s", type(error).__name__, exc_info=error)
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return RemoteStateUnknown(f"{context.operator} can't tell how its job is: {said}", lasting=True)


def wait_until_over(context: TaskContext, job: str, is_over: Callable[[], bool]) -> None:
    """Wait until a cancelled job has ended; for a minute, then the service's word has to do.

    `RemoteStateUnknown` if nobody could tell in that minute.
    """
    until = time.monotonic() + CANCEL_WITHIN
    interval, longest = _CANCEL_INTERVALS
    while True:
        unknown: RemoteStateUnknown | None = None
        try:
            if is_over():
                break
        except RemoteStateUnknown as error:
            unknown = error
            context.log.warning("%s", error)
        if time.monotonic() > until:
            if unknown:
                raise unknown
            context.log.warning("%s was told to stop %g s ago, and runs", job, CANCEL_WITHIN)
            return
        time.sleep(interval)
        interval = min(interval * 1.5, longest)
    context.log.info("%s has stopped", job)
