"""What is known of a published DAG: its versions, when it is due next, and how it moves on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydag_dist.dag.text.messages import did_you_mean
from pydag_dist.errors import EngineError

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LONG: Final = 80  # characters of a DAG id that stand in the id of its runs


@dataclass(frozen=True)
class Move:
    """When a DAG is due next (None: never again), and what it goes past without a run.

    `missed` due times are, the `first` and the `last` of which are named.
    """

    due: datetime | None
    missed: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def arguments(self) -> tuple[str | int, ...]:
        """As the operations take it."""
        return (to_micro(self.due), *self.missed_arguments())

    def missed_arguments(self) -> tuple[str | int, ...]:
        """Likewise, of an operation after which the DAG is never due."""
        return (self.missed, to_micro(self.first), to_micro(self.last))


@dataclass(frozen=True)
class PublishedDag:
    """A published DAG as it is now; of one that is not, what is known of it from before.

    `due` is its next due time, which has come already if it is `held` back by runs that go on or if
    it is paused. `settled` is the newest due time that has its run or was missed; `missed` counts
    those that were, since it was published first. `source` is the file of a folder that a
    coordinator publishes, "" if somebody published it. `schedule` has the fields of its schedule,
    and is empty without one.
    """

    dag_id: str
    version: int
    settled: datetime | None
    hash: str = ""
    schedule: Mapping[str, Any] | None = None
    source: str = ""
    published_at: datetime | None = None
    published_by: str = ""
    due: datetime | None = None
    held: bool = False
    paused_at: datetime | None = None
    paused_by: str = ""
    max_active: int = 1
    missed: int = 0
    missed_last: datetime | None = None
    last_run: str | None = None
    last_state: str | None = None
    last_ended: datetime | None = None

    @property
    def is_published(self) -> bool:
        """Whether it is published now."""
        return self.published_at is not None

    def seen(self) -> tuple[int, str]:
        """What operations compare, so that none acts on what is true no longer."""
        return self.version, to_micro(self.due)


@dataclass(frozen=True)
class Version:
    """A version of a DAG; `text` is its JSON."""

    number: int
    at: datetime | None
    by: str
    hash: str
    text: str


def not_published(dag_id: str, known: Iterable[str]) -> EngineError:
    """The error that says so; `known` are the DAGs that are published."""
    return EngineError(
        f"no DAG {dag_id} is published{did_you_mean(dag_id, known)}: `pydag dags` lists "
        "those that are, `pydag publish FILE` publishes one"
    )


def scheduled_run_id(dag_id: str, at: datetime) -> str:
    """The id of the run of a due time: it has but one."""
    name = dag_id
    if len(dag_id) > _LONG:
        name = f"{dag_id[:_LONG]}-{hashlib.sha256(dag_id.encode()).hexdigest()[:8]}"
    part = f".{at.microsecond:06}" if at.microsecond else ""
    return f"{name}-{at.astimezone(UTC):%Y%m%dt%H%M%S}{part}"


def child_run_id(dag_id: str, run_id: str, task: str, try_number: int) -> str:
    """The id of the run of a DAG that a try of a task has started: it has but one."""
    digest = hashlib.sha256(f"{run_id}/{task}/{try_number}".encode()).hexdigest()
    return f"{dag_id[:_LONG]}-{digest[:16]}"


def to_micro(at: datetime | None) -> str:
    """A moment as the engine keeps it; "" for none."""
    return "" if at is None else str((at - EPOCH) // _MICROSECOND)


def from_micro(text: str | None) -> datetime | None:
    """The moment of the engine's text; None for none."""
    return EPOCH + timedelta(microseconds=int(text)) if text else None


_TIMES: Final = ("settled", "published_at", "due", "paused_at", "missed_last", "last_ended")
_TEXTS: Final = ("hash", "source", "published_by", "paused_by")


def parse_dag(dag_id: str, head: Mapping[str, str]) -> PublishedDag:
    """The DAG by its hash in Redis, which is empty if nothing is known of it."""
    get = head.get
    return PublishedDag(
        dag_id,
        int(get("version", 0)),
        **{name: from_micro(get(name)) for name in _TIMES},  # type: ignore[arg-type]
        **{name: get(name, "") for name in _TEXTS},  # type: ignore[arg-type]
        schedule=json.loads(head["schedule"]) if get("schedule") else None,
        held="held" in head,
        max_active=int(get("max_active", 1)),
        missed=int(get("missed", 0)),
        last_run=get("last_run"),
        last_state=get("last_state"),
    )
