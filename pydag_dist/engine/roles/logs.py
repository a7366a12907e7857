"""What coordinators do with the logs of tries: move them to the log store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from pydag_dist.engine.protocol import ENDED_TASK_STATES, unpack_record
from pydag_dist.engine.store import Role, whole_answers

OPEN: Final = "logs:expiry"
Fields = dict[str, str]
LogStored = Literal["ok", "more", "damaged"]


class LogName(NamedTuple):
    """The log of a try."""

    run: str
    task: str
    try_number: int


class Logs(Role):
    """The logs that Redis has, as far as the log store does not have them."""

    def waiting(self) -> int:
        """How many logs the log store does not have."""
        return int(self._redis.zcard(self._key(OPEN)))

    def unstored(self, after: int, limit: int) -> list[tuple[LogName, int]]:
        """At most so many logs that are not stored, with their bytes: the oldest first.

        `after` of them are passed over.
        """
        texts = self._redis.zrange(self._key(OPEN), after, after + limit - 1)
        if not texts:
            return []
        sizes = self._redis.hmget(self._key("logs"), texts)
        return [(_name(text), int(size or 0)) for text, size in zip(texts, sizes, strict=True)]

    def ended(self, names: Sequence[LogName]) -> list[LogName]:
        """Those of them to which nobody writes any more: the try has ended, or its run is gone."""
        with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hget(self._run_key(name.run, "tasks"), name.task)
            records = whole_answers(pipe.execute(raise_on_error=False))
        return [name for name, record in zip(names, records, strict=True) if _is_over(name, record)]

    def parts(self, names: Sequence[LogName]) -> list[list[tuple[str, Fields]]]:
        """The parts of each log with their ids in the stream, see the engine's log.lua."""
        with self._redis.pipeline(transaction=False) as pipe:
            for run, task, number in names:
                pipe.xrange(self._key(f"log:{run}:{task}:{number}"))
            found = whole_answers(pipe.execute(raise_on_error=False))
        return [parts or [] for parts in found]

    def stored(self, logs: Sequence[tuple[LogName, str]], keep: int) -> list[LogStored]:
        """Notes that the log store has each log up to the part of that id.

        Redis keeps them for `keep` more seconds at most. Of each whether that is so, or more came.
        """
        items = (part for name, last in logs for part in (*name, last))
        answers: list[LogStored] = self._call("log_stored", keep, *items)
        return answers


def _name(text: str) -> LogName:
    run, task, number = text.split(":")
    return LogName(run, task, int(number))


def _is_over(name: LogName, record: str | None) -> bool:
    if record is None:  # gone, or its run was resumed and is not planned again yet
        return True
    found = unpack_record(record)
    number = int(found.get("try") or 0)
    state = found.get("state")
    return number > name.try_number or state == "up_for_retry" or state in ENDED_TASK_STATES
