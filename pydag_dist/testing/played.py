"""What became of a run that was played."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class PlayedTry:
    """A try: what its operator was given, and how it ended.

    `began` and `ended` are seconds since the run began, by the clock that skips.
    """

    number: int
    params: Mapping[str, Any]
    began: float
    ended: float | None = None
    result: Any = None
    error: str = ""
    child: str = ""  # the run that it started


@dataclass
class PlayedTask:
    """A task and its tries, the newest last; one that never began has none."""

    task_id: str
    state: str = "none"
    reason: str = ""  # timeout, or cancel
    result: Any = None
    tries: list[PlayedTry] = field(default_factory=list)
    run: PlayedRun | None = None
    """The run that its newest try has started, of a task of `dag.run`."""

    @property
    def error(self) -> str:
        """That of the newest try; empty without one."""
        return self.tries[-1].error if self.tries else ""

    @property
    def params(self) -> Mapping[str, Any]:
        """The rendered params of the newest try; empty without one."""
        return self.tries[-1].params if self.tries else {}


@dataclass(repr=False)
class PlayedRun:
    """A run that has ended; `tasks` by id, the children of expanded tasks among them.

    `order`: the ids of tasks as they began, once for each try. `seconds`: what the run took.
    """

    run_id: str
    dag_id: str
    state: str
    reason: str
    seconds: float
    tasks: dict[str, PlayedTask]
    order: list[str]

    @property
    def states(self) -> dict[str, str]:
        """Task -> the state that it ended in."""
        return {name: task.state for name, task in self.tasks.items()}

    def __repr__(self) -> str:
        ends = [
            f"{name} {task.state}{f' ({task.error})' if task.error else ''}"
            for name, task in self.tasks.items()
            if task.state != "success"
        ]
        what = f": {', '.join(ends)}" if ends else ""
        return f"<run of {self.dag_id}: {self.state} after {self.seconds:g} s{what}>"
