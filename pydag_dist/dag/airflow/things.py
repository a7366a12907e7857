"""What names of an Airflow file stand for, beside values of JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Unknown:
    """A value that only running the file would tell; `name` is what a param can be called.

    A variable that it is bound to gives it its own name, unless it `is_named`.
    """

    name: str
    is_named: bool = False


@dataclass(frozen=True)
class Span:
    """A `timedelta`."""

    seconds: float


@dataclass(frozen=True)
class Date:
    """A `datetime`, as ISO 8601; `zone` if one is given."""

    text: str
    zone: str = ""


@dataclass(frozen=True)
class Named:
    """Something that was imported, or is a part of that: its dotted name."""

    name: str

    @property
    def last(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True)
class Function:
    """A function: its module and name, and the decorator that makes it a task or a DAG, if any."""

    module: str
    name: str
    kind: str = ""  # task, branch, short_circuit, dag or group
    options: tuple[tuple[str, Any], ...] = ()
    node: Any = None
    given: tuple[tuple[str, Any], ...] = ()  # by `partial`


@dataclass(frozen=True)
class Bound:
    """A method of something."""

    owner: Any
    name: str


@dataclass(eq=False)
class Task:
    """A task of Airflow: the class, its arguments, and where it stands."""

    task_id: str
    operator: str
    arguments: dict[str, Any]
    line: int
    over: Any = None  # what it is expanded over
    upstream: list[Task] = field(default_factory=list)
    setup: Task | None = None


@dataclass(frozen=True)
class Result:
    """What a task returns, or the part of it at a path."""

    task: Task
    path: tuple[str | int, ...] = ()


@dataclass(eq=False)
class Group:
    """A task group: its name, and the tasks within."""

    name: str
    tasks: list[Task] = field(default_factory=list)

    def ends(self, *, first: bool) -> list[Task]:
        """The tasks of the group that wait for none of it, or that none of it waits for."""
        within = set(self.tasks)
        if first:
            return [task for task in self.tasks if not within.intersection(task.upstream)]
        waited = {upstream for task in self.tasks for upstream in task.upstream}
        return [task for task in self.tasks if task not in waited]


@dataclass(eq=False)
class AirflowDag:
    """A DAG of Airflow: its arguments and its tasks."""

    dag_id: str
    arguments: dict[str, Any]
    line: int
    tasks: dict[str, Task] = field(default_factory=dict)


@dataclass(frozen=True)
class Note:
    """Something that did not come over as it was, or not at all."""

    line: int
    task: str | None
    text: str

    def __str__(self) -> str:
        task = f'task "{self.task}": ' if self.task else ""
        line = f"line {self.line}: {task}{self.text}"
        return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)


def tasks_of(value: Any, *, first: bool) -> list[Task] | None:
    """The tasks that an end of an edge means; None if it means none."""
    match value:
        case Task():
            return [value]
        case Result():
            return [value.task]
        case Group():
            return value.ends(first=first)
        case list() | tuple():
            found = [tasks_of(each, first=first) for each in value]
            return _together(found) if value and None not in found else None
        case _:
            return None


def _together(found: Sequence[list[Task] | None]) -> list[Task]:
    return [task for each in found for task in each or ()]
