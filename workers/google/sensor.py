"""Sensors of Google's services: they start nothing, and one question answers for many tasks."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

from workers import time_limit
from workers.contract.answer import Answer, Asked, Done, Handle, Pending, by_place
from workers.contract.context import TaskContext
from workers.contract.operator import RemoteOperator
from workers.google import answers

Wanted = TypeVar("Wanted")  # what a task waits for; equal ones of many tasks are asked for once
Found = TypeVar("Found")  # what the service tells of it


class GoogleSensor(RemoteOperator, Generic[Wanted, Found]):
    """Waits for something in a service of Google's.

    `place_names` are the fields of the handle that are the same for all that is asked for together.
    """

    place_names: ClassVar[tuple[str, ...]]

    @abstractmethod
    def wanted(self, context: TaskContext) -> Wanted:
        """What the task waits for."""

    @abstractmethod
    def together(self, wanted: Iterable[Wanted]) -> Iterable[tuple[str, list[Wanted]]]:
        """What `find` is asked for at a time, each with its name for errors."""

    @abstractmethod
    def find(
        self, context: TaskContext, handle: Handle, wanted: Sequence[Wanted]
    ) -> Mapping[Wanted, Found]:
        """What the service has of what is wanted, by as few requests as it takes."""

    @abstractmethod
    def judge(self, context: TaskContext, wanted: Wanted, found: Found | None) -> Pending | Done:
        """Whether what was found is enough for the task."""

    def submit(self, context: TaskContext) -> Handle:
        """Start nothing."""
        return self.handle(context)

    def cancel(self, context: TaskContext, handle: Handle) -> None:
        """Nothing is there to cancel."""

    def poll(self, context: TaskContext, handle: Handle) -> Pending | Done:
        """Ask for what one task waits for."""
        wanted = self.wanted(context)
        with answers.looking(f"looking for {wanted}", handle):
            found = self.find(context, handle, [wanted]).get(wanted)
        return self.judge(context, wanted, found)

    def poll_many(self, asked: Sequence[Asked]) -> Iterator[tuple[Asked, Answer]]:
        """Ask for what many tasks wait for, with as few requests as it takes."""
        for in_one_place in by_place(asked, *self.place_names):
            tries: dict[Wanted, list[Asked]] = defaultdict(list)
            for each in in_one_place:
                tries[self.wanted(each.context)].append(each)
            for name, wanted in self.together(tries):
                if time_limit.is_out():
                    return
                yield from self._answers(name, {want: tries[want] for want in wanted})

    def _answers(
        self, name: str, tries: Mapping[Wanted, list[Asked]]
    ) -> Iterator[tuple[Asked, Answer]]:
        (first, *_), *_ = tries.values()
        try:
            found = self.find(first.context, first.handle, list(tries))
        except Exception as error:  # noqa: BLE001  it is the answer to each of these, and to no other
            for asked in tries.values():
                for each in asked:
                    yield each, answers.answer_of_look(error, f"looking for {name}", each.handle)
            return
        for want, asked in tries.items():
            for each in asked:
                each.handle["answered"] = True
                yield each, self.judge(each.context, want, found.get(want))
