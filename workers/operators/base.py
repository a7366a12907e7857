"""What an operator is: an object with `execute`; one for remote jobs with submit, poll, cancel."""

from __future__ import annotations

import logging
import random
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, TypeVar

import redis
from pydantic import BaseModel, ValidationError

from workers.errors import TaskFailed
from workers.settings import WorkerSettings

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
    redis: redis.Redis  # with decode_responses; operators keep cached scripts there, nothing else
    key_prefix: str = "pydag"
    branch: dict[str, Any] | None = None  # of a branch: its downstream tasks, what each reaches


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


class RemoteOperator(Operator):
    """A job that runs elsewhere, under an id that only the run, the task and the try decide.

    So whoever executes the same try again, after whatever crash, finds the job that is there.
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
        """Stop the job; one that is over or was never there is success."""

    def local(self) -> bool:
        """Whether the service runs on this machine, so that asking often costs nothing."""
        return False

    def execute(self, context: TaskContext) -> Any:
        """Submit and wait here, asking ever less often."""
        handle = self.submit(context)
        interval, longest = (
            (0.05, 0.5) if self.local() else (self.first_interval, self.longest_interval)
        )
        state = ""
        while isinstance(answer := self.poll(context, handle), Pending):
            if answer.state != state:
                state = answer.state
                context.log.info("%s", state)
            # The jitter keeps many tasks that began together from asking together.
            time.sleep(interval * random.uniform(0.8, 1.2))  # noqa: S311  no secret
            interval = min(interval * 1.5, longest)
        return answer.result
