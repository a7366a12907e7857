"""What an operator is: an object with `execute`; for remote jobs also submit, poll and cancel."""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from workers import time_limit
from workers.contract.answer import Answer, Asked, Done, Handle, Pending, answer_of, as_unknown
from workers.contract.context import TaskContext
from workers.contract.wait import Wait
from workers.errors import Refused, RemoteStateUnknown, TaskFailed

_POLL, _POLL_CALL = 30.0, 20.0  # seconds of a poll in a slot, and of each of its calls


class Operator(ABC):
    """A kind of task. One object serves all tasks of a process: it keeps nothing between calls."""

    @abstractmethod
    def execute(self, context: TaskContext) -> Any:
        """Do the work; the JSON-able result.

        An expected failure raises `TaskFailed`; `Skip` and `Fail` of `pydag_dist` work here, too.
        """


class RemoteOperator(Operator):
    """A job that runs elsewhere, under an id that follows from the run, the task and the try.

    So a worker that executes the same try again after a crash finds the job that is there. While a
    job runs, its try needs no slot: workers poll many jobs at a time.
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
        """Ask once how the job is; `handle` may be changed, for instance to note what was read.

        Raises `TaskFailed` only if the service says that the job has ended badly. Anything else
        that is raised means that nobody knows how it is.
        """

    @abstractmethod
    def cancel(self, context: TaskContext, handle: Handle) -> None:
        """Stop the job, and wait until it is over; one that never was there is success."""

    def look(self, context: TaskContext, handle: Handle) -> Answer | None:  # noqa: ARG002
        """How a job is that was told to stop: it may have succeeded before that.

        As `answer`, but None if there is no such job, or if the operator can't tell. Then the try
        counts as one that did nothing.
        """
        return None

    def settle(self, context: TaskContext, handle: Handle) -> Answer | None:
        """See to it that an earlier try's job is over before a new one starts; as `look`."""
        self.cancel(context, handle)
        return self.look(context, handle)

    def params_of_polls(self, context: TaskContext) -> dict[str, Any]:
        """The params that are needed after `submit`, beside the handle: all, if not overridden.

        Of a task with templates they are kept with the handle, so that no poll renders anything.
        """
        return context.params

    def poll_many(self, asked: Sequence[Asked]) -> Iterator[tuple[Asked, Answer]]:
        """Ask for the jobs of many tries; those without an answer in time are asked again.

        This one asks one after the other. Operators override it if their service can list jobs.
        """
        for each in asked:
            if time_limit.is_out():
                return
            yield each, self.answer(each)

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

    def start(self, context: TaskContext, may_wait: Callable[[], bool]) -> Done | Wait:
        """Submit the job, and wait in this slot while `may_wait` says so before each poll."""
        interval, longest = self.intervals
        try:
            wait = Wait(self.submit(context), interval)
        except Refused as error:
            if context.is_repeated:
                raise RemoteStateUnknown(str(error), lasting=True) from None
            raise
        while may_wait():
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
        assert isinstance(answer, Done)  # noqa: S101  it may wait for ever
        return answer.result
