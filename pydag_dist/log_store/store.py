"""Logs as objects: how they are packed, and what happens to one that gets more lines later."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from pydag_dist.dag import limits
from pydag_dist.dag.ids import check_id
from pydag_dist.engine.protocol import LOG_PART
from pydag_dist.errors import PydagError

Part = dict[str, str]  # the fields of an entry of the engine's stream `log:R:T:N`

# Bytes of a log when it is unpacked: what Redis has of it, escaped as JSON, and then some.
MOST: Final = 16 * (limits.LOG_HEAD + limits.LOG_TAIL)
_IDENTITY: Final = (LOG_PART["writer"], LOG_PART["line"], LOG_PART["byte"])
_LINES: Final = LOG_PART["lines"]
_AT_A_TIME: Final = 16  # objects that are read at once


class LogStoreAway(PydagError):
    """The log store can't do that now; calling again later is safe."""


class Objects(Protocol):
    """A place for objects; its methods raise `LogStoreAway`."""

    where: str
    """For people."""
    writers: int
    """How many threads should write at once."""

    def get(self, name: str) -> bytes | None:
        """The object of that name; None if there is none."""

    def put(self, name: str, content: bytes) -> None:
        """Write an object as a whole, or in place of another one."""

    def names_below(self, folder: str) -> list[str]:
        """The names of all objects that begin with that folder and a slash."""

    def delete_below(self, folder: str) -> None:
        """Delete all objects whose names begin with that folder and a slash."""


class LogStore:
    """The logs of tries that have ended. Threads may share it."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.where = objects.where
        self.writers = objects.writers

    def read(
        self, run_id: str, tries: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], Iterator[Part]]:
        """The parts of the logs of those tries of a run that are here.

        What can't be read has a part that is a `trouble` instead.
        """
        names = {key: _name(run_id, *key) for key in tries}
        try:
            there = set(names.values())
            if len(names) > 1:
                there &= set(self._objects.names_below(check_id("run", run_id)))
        except LogStoreAway as error:
            return {key: iter([_trouble(str(error))]) for key in tries[:1]}
        wanted = [key for key in tries if names[key] in there]
        with ThreadPoolExecutor(_AT_A_TIME, "pydag-log-store") as pool:
            found = list(pool.map(self._get, (names[key] for key in wanted)))
        return {
            key: _unpacked(packed) if isinstance(packed, bytes) else iter([_trouble(packed)])
            for key, packed in zip(wanted, found, strict=True)
            if packed is not None
        }

    def _get(self, name: str) -> bytes | str | None:
        """An object, or why it can't be read."""
        try:
            return self._objects.get(name)
        except LogStoreAway as error:
            return str(error)

    def write(self, run_id: str, task: str, try_number: int, parts: Sequence[Part]) -> None:
        """Keep these parts of a log together with those that are here already.

        A try may go on after it has ended: one that was lost and is resumed, for instance.
        """
        name = _name(run_id, task, try_number)
        packed = self._objects.get(name)
        new = {_identity(part) for part in parts}
        known = _unpacked(packed) if packed else iter(())
        older = [part for part in known if "trouble" not in part and _identity(part) not in new]
        self._objects.put(name, _packed(_within_bounds([*older, *parts])))

    def check(self) -> None:
        """Raise `LogStoreAway` if it can't be read."""
        self._objects.names_below("none")

    def forget(self, run_ids: Iterable[str]) -> None:
        """Delete all logs of these runs."""
        folders = [check_id("run", run_id) for run_id in run_ids]
        with ThreadPoolExecutor(_AT_A_TIME, "pydag-log-store") as pool:
            list(pool.map(self._objects.delete_below, folders))


def _name(run_id: str, task: str, try_number: int) -> str:
    return f"{check_id('run', run_id)}/{check_id('task', task)}/{try_number}.jsonl.gz"


def _identity(part: Part) -> tuple[str | None, ...]:
    return tuple(part.get(name) for name in _IDENTITY)


def _within_bounds(parts: list[Part]) -> list[Part]:
    """The first and the last parts, as the engine keeps them; a reader says what is between."""
    sizes = [len(part.get(_LINES, "")) for part in parts]
    first, head = 0, 0
    while first < len(parts) and head + sizes[first] <= limits.LOG_HEAD:
        head += sizes[first]
        first += 1
    last, tail = len(parts), 0
    while last > first and tail + sizes[last - 1] <= limits.LOG_TAIL:
        last -= 1
        tail += sizes[last]
    return parts[:first] + parts[last:]


def _packed(parts: Iterable[Part]) -> bytes:
    text = "".join(f"{json.dumps(part, ensure_ascii=False)}\n" for part in parts)
    return gzip.compress(text.encode(errors="replace"), compresslevel=1, mtime=0)


def _unpacked(packed: bytes) -> Iterator[Part]:
    """Part by part, since logs of many tries are read together."""
    left = MOST
    try:
        with gzip.open(io.BytesIO(packed), "rb") as lines:
            while line := lines.readline(left):
                left -= len(line)
                part = json.loads(line)
                if not isinstance(part, dict):
                    raise TypeError  # noqa: TRY301
                yield {name: str(value) for name, value in part.items()}
    except (OSError, EOFError, zlib.error, ValueError, TypeError):
        yield _trouble("(a part of this log is damaged in the log store)")


def _trouble(what: str) -> Part:
    return {"trouble": f"({what})" if not what.startswith("(") else what}
