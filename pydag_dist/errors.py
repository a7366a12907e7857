"""The errors that pydag_dist raises: each says what is wrong, where, and what to do.

```
PydagError
├── InvalidDag          a DAG file or definition has problems (all of them in ``problems``)
├── InvalidSettings     a setting is missing or wrong
├── EngineError
│   ├── UnknownRun      no such run in Redis
│   ├── AmbiguousRun    several runs have ids that begin as the name that was given
│   ├── LeaseMismatch   a worker or coordinator has another lease than its installation
│   ├── SubmittedOtherwise  the run of that id was submitted with something else
│   ├── ChangedMeanwhile  somebody has changed it since it was read
│   ├── SchemaMismatch  the run was written by another version's engine
│   └── UnsafeRedis     the Redis server could lose the engine's keys
├── RedisAway           no Redis could be reached in time
│   └── ServiceAway     likewise `pydag web`, by a client that goes by REST
├── RedisRefused        Redis refused the login, or a right
│   └── ServiceRefused  likewise `pydag web`: its certificate, the token, or its role
├── HistoryError        the history's database is another installation's, or another version's
├── LocalServiceError   a service of the embedded default did not start
├── RunFailed           a run that was waited for ended failed or cancelled
└── TaskFailed          the work of a task failed; those of workers stand in ``workers.errors``
```
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any


class PydagError(Exception):
    """The base of every error that this project raises on purpose."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a DAG; as text, one line that says where and what."""

    source: str
    task: str | None  # None: it's the DAG's own
    field: str | None  # a path such as ``params.args[0]``; None: the whole of it
    message: str

    def __str__(self) -> str:
        task = f'task "{self.task}"' if self.task is not None else None
        line = ": ".join(part for part in (self.source, task, self.field, self.message) if part)
        # Files are anybody's: no line breaks or terminal controls from their names.
        return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)


class InvalidDag(PydagError):
    """A DAG has problems; `problems` holds all of them, the message one line for each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[InvalidDag], tuple[list[Problem]]]:
        return type(self), (self.problems,)


class InvalidSettings(PydagError):
    """A setting is missing or wrong; the message names it and what it may be."""


class EngineError(PydagError):
    """The engine refused a call; nothing was changed."""


class UnknownRun(EngineError):
    """No run of that id is in Redis: never submitted, or past its retention."""


class AmbiguousRun(EngineError):
    """A name means several runs; `candidates` are their ids, in lexical order."""

    def __init__(self, name: str, candidates: Sequence[str], *, more: bool = False) -> None:
        self.name, self.candidates, self.more = name, list(candidates), more
        listed = "".join(f"\n  {run_id}" for run_id in candidates) + ("\n  …" if more else "")
        super().__init__(f"{name} is the beginning of several runs' ids:{listed}")

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), more=self.more), (self.name, self.candidates)


class SubmittedOtherwise(EngineError):
    """A run of that id is there, of another DAG, or with other params or another logical date."""


class ChangedMeanwhile(EngineError):
    """A file is not as it was when it was read: read it again."""


class SchemaMismatch(EngineError):
    """The run's keys were written by an engine of another schema."""


class LeaseMismatch(EngineError):
    """A worker or coordinator has another lease than the installation that it comes to."""


class UnsafeRedis(EngineError):
    """The Redis server is set up so that it could drop the engine's keys."""


class RedisAway(PydagError):
    """Redis could not be reached for as long as was waited; the message says what goes on."""


class RedisRefused(PydagError):
    """Redis refused the user and password of the URL, or the user lacks a right."""


class ServiceAway(RedisAway):
    """`pydag web` could not be reached for as long as was waited."""


class ServiceRefused(RedisRefused):
    """`pydag web` refused the token, or its role; or its certificate isn't trusted."""


class HistoryError(PydagError):
    """A coordinator must not write into that database; the message says why and what to do."""


class RunFailed(PydagError):
    """A run that was waited for did not succeed; the message names its failed tasks."""


class TaskFailed(PydagError):
    """The task's own failure; the message says what, where and what to do, without a traceback.

    `final`: another try of the same task would fail alike, so none is made. docs/dag-files.md lists
    what is; a service's errors are judged by `answers`. In doubt a failure is not.
    """

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class LocalServiceError(PydagError):
    """A service of the embedded default is missing or did not start; the message shows its log."""


# What a task's own function raises to say how it ends. No `PydagError`: nothing is wrong with the
# installation. Code that catches every `Exception` catches these, too.


class Skip(Exception):
    """Raised in a task's function: the task ends as `skipped`, and the text says why."""


class Fail(Exception):
    """Raised in a task's function: the task fails at once, whatever retries are left."""
