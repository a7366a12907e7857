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

from workers import patience
from workers.errors import TaskFailed
from workers.settings import WorkerSettings

CANCEL_WITHIN = 60.0  # seconds that a cancelled job gets to end
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


def parsed_params(context: TaskContext, model: type[Model]) -> Model:
    """The task's params as `model`; `TaskFailed` with every problem."""
    try:
        return model.model_validate(context.params)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, p['loc'])) or 'params'}: {p['msg']}" for p in error.errors()
        )
        raise TaskFailed(f"params of {context.operator}: {problems}") from None


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
        """Do the work; the JSON-able result. An expected failure raises `TaskFailed`."""


@dataclass
class Wait:
    """How far the wait for a try's remote job has come; JSON-able, as the handle is."""

    handle: Handle
    interval: float  # seconds until the next poll
    state: str = ""  # what the task's log said last

    def goes_on(self, context: TaskContext, pending: Pending, longest: float) -> None:
        """Log a state that is new, and ask less often from now on."""
        if pending.state != self.state:
            self.state = pending.state
            context.log.info("%s", self.state)
        self.interval = min(self.interval * 1.5, longest)


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
        """Ask once. Raises `TaskFailed`; may note in `handle` how far it has read."""

    @abstractmethod
    def cancel(self, context: TaskContext, handle: Handle) -> None:
        """Stop the job, and wait until it is over; one that never was there is success."""

    def poll_many(self, asked: Sequence[Asked]) -> Iterator[tuple[Asked, Answer]]:
        """Ask for the jobs of many tries; who gets no answer in time is asked again later.

        Here one after the other. An operator whose service can tell of many jobs at once does so.
        """
        for one in asked:
            if patience.is_out():
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
        wait = Wait(self.submit(context), interval)
        while is_patient():
            answer = self.poll(context, wait.handle)
            if isinstance(answer, Done):
                return answer
            # The jitter keeps many tasks that began together from asking together.
            pause = wait.interval * random.uniform(0.8, 1.2)  # noqa: S311  no secret
            wait.goes_on(context, answer, longest)
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


def wait_until_over(context: TaskContext, job: str, is_over: Callable[[], bool]) -> None:
    """Wait until a cancelled job has ended; for a minute, then the service's word has to do."""
    until = time.monotonic() + CANCEL_WITHIN
    interval, longest = _CANCEL_INTERVALS
    while not is_over():
        if time.monotonic() > until:
            context.log.warning("%s was told to stop %g s ago, and runs", job, CANCEL_WITHIN)
            return
        time.sleep(interval)
        interval = min(interval * 1.5, longest)
    context.log.info("%s has stopped", job)
