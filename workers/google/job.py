"""Jobs of Google's services that are polled many at a time: one list tells which of them run."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ClassVar

from google.api_core.exceptions import NotFound

from workers import time_limit
from workers.contract.answer import Answer, Asked, Done, Handle, Pending, answer_of, by_place
from workers.contract.context import TaskContext
from workers.contract.operator import RemoteOperator
from workers.contract.wait import wait_until_over
from workers.errors import RemoteStateUnknown, TaskFailed
from workers.google import answers, clients

_AT_ONCE = 8  # calls; Google's clients are safe to share among threads
_WORTH_A_LIST = 3  # jobs

log = logging.getLogger(__name__)


def answers_at_once(
    operator: RemoteOperator, asked: Sequence[Asked]
) -> Iterator[tuple[Asked, Answer]]:
    """The answers of `poll`, several calls at a time, as far as there is time."""

    def answer(each: Asked) -> Answer | None:
        return None if time_limit.is_out() else operator.answer(each)

    if len(asked) <= 1:  # a thread would cost more than the rest
        yield from ((each, answered) for each in asked if (answered := answer(each)) is not None)
        return
    with ThreadPoolExecutor(min(_AT_ONCE, len(asked)), "poll") as pool:
        for each, answered in zip(asked, pool.map(answer, asked), strict=True):
            if answered is not None:
                yield each, answered


class GoogleJob(RemoteOperator):
    """A job of a service that lists the jobs which have not ended: only the others are asked for.

    `kind` is what the log calls the jobs; `place_names` are the fields of the handle that all jobs
    of one list have in common.
    """

    kind: ClassVar[str]
    place_names: ClassVar[tuple[str, ...]]

    @abstractmethod
    def name(self, handle: Handle) -> str:
        """What logs and errors call the try's job."""

    @abstractmethod
    def stop(self, context: TaskContext, handle: Handle) -> bool:
        """Tell the service to stop the job; False if there is no job whose end can be awaited."""

    @abstractmethod
    def active(self, asked: Sequence[Asked], timeout: float) -> Mapping[Hashable, Any]:
        """The jobs in the tries' place that have not ended, by id; some may be missing."""

    @abstractmethod
    def id_of(self, handle: Handle) -> Hashable:
        """The id that `active` has for a try's job."""

    @abstractmethod
    def progress(self, context: TaskContext, handle: Handle, job: Any) -> Pending | Done:
        """What `poll` says of such a job."""

    @abstractmethod
    def job(self, context: TaskContext, handle: Handle) -> Any:
        """The try's job as it is now; Google's own `NotFound` if there is none."""

    @abstractmethod
    def ended(self, job: Any) -> bool | None:
        """Whether a job has ended well; None if it has not ended."""

    def cancel(self, context: TaskContext, handle: Handle) -> None:
        """Tell the service to stop the job, and wait until it has."""
        name = self.name(handle)
        with answers.asking("cancelling", of=name):
            if not self.stop(context, handle):
                return
        wait_until_over(context, name, lambda: self.is_over(context, handle))

    def is_over(self, context: TaskContext, handle: Handle) -> bool:
        """Whether the try's job has ended; `RemoteStateUnknown` if the service can't tell."""
        with answers.asking(f"{self.kind}: whether one has stopped"):
            return self.ended(self.job(context, handle)) is not None

    def look(self, context: TaskContext, handle: Handle) -> Answer | None:
        """How a job is that was told to stop."""
        with answers.asking(f"{self.kind}: what an earlier try left"):
            try:
                job = self.job(context, handle)
            except NotFound:
                return None
        match self.ended(job):
            case None:
                return Pending(f"{self.kind}: what an earlier try left runs on")
            case False:
                return TaskFailed("it has ended, and not well")
        return self.answer(Asked(context, handle))

    def poll_many(self, asked: Sequence[Asked]) -> Iterator[tuple[Asked, Answer]]:
        """List the jobs of each place that still run; only the others are asked for."""
        for in_one_place in by_place(asked, *self.place_names):
            try:
                active = self._active(in_one_place)
            except RemoteStateUnknown as error:
                log.warning("%s can't be listed: %s", self.kind, error)
                continue
            others = []
            for each in in_one_place:
                if time_limit.is_out():
                    return
                job = active.get(self.id_of(each.handle))
                if job is None:
                    others.append(each)
                else:
                    yield each, answer_of(partial(self.progress, each.context, each.handle, job))
            yield from answers_at_once(self, others)

    def _active(self, asked: Sequence[Asked]) -> Mapping[Hashable, Any]:
        if len(asked) < _WORTH_A_LIST:
            return {}
        try:
            return clients.call(log, partial(self.active, asked))
        except RemoteStateUnknown:
            raise
        except Exception as error:  # noqa: BLE001  it may not list jobs, or can't read the list
            log.warning("%s can't be listed, they are asked for one by one: %s", self.kind, error)
            return {}
