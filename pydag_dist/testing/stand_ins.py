"""What tests put in the place of operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydag_dist.dag import Dag
from pydag_dist.dag.operators import BRANCH, RUN_DAG
from pydag_dist.errors import PydagError

# What is done as it is, if nothing is in its place: functions are called, DAGs are run.
_REAL: Final = frozenset({"python.call", BRANCH, RUN_DAG})
_ALL: Final = "*"


class MissingStandIn(PydagError):
    """Nothing stands in for a task that needs it; the message says for which."""


@dataclass(frozen=True)
class Call:
    """One try of a task, as a function in its operator's place is given it.

    `params` are rendered. `seconds` have passed since the run began, all of them skipped.
    """

    run_id: str
    dag_id: str
    task_id: str
    try_number: int
    operator: str
    params: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True)
class After:
    """What comes when so many seconds have passed: see `after`."""

    seconds: float
    then: Any


def after(seconds: float, then: Any = None) -> After:
    """A try that takes so long: `then` is what comes after it, a result, error or function.

    The seconds are skipped. A try that takes longer than its task's `timeout` is stopped.
    """
    if not isinstance(seconds, int | float) or not seconds >= 0:
        raise PydagError(f"after() takes a number of seconds from 0, not {seconds!r}")
    return After(seconds, then)


class StandIns:
    """By task, by operator or for all: results, errors, functions, and `after`."""

    def __init__(self, given: Mapping[str, Any], dag: Dag, others: Mapping[str, Dag]) -> None:
        """`others` may be started by tasks. `PydagError` for a wrong name, or a missing one."""
        self._given = given
        self._of_first = dag.dag_id
        tasks = {
            self._name(each, task_id): task
            for each in [dag, *others.values()]
            for task_id, task in each.tasks.items()
        }
        of_tasks = {name: task.operator for name, task in tasks.items()}
        expanded = {name for name, task in tasks.items() if task.expand}
        known = {_ALL, *of_tasks, *of_tasks.values()}
        if wrong := [key for key in given if key not in known and _parent(key) not in expanded]:
            raise PydagError(
                f"{', '.join(wrong)} is neither a task nor an operator of DAG {dag.dag_id}: a "
                "stand-in is for a task (such as load, its child load.3, or DAG/load of another "
                f"DAG), an operator, or {_ALL} for all"
            )
        missing = [
            f"{name} ({operator})"
            for name, operator in of_tasks.items()
            if not {_ALL, name, operator} & set(given) and operator not in _REAL
        ]
        if missing:
            raise MissingStandIn(
                f"nothing stands in for {', '.join(missing)}: give a result or a function for each "
                "of these tasks, or for its operator"
            )

    def find(self, dag: Dag, task_id: str, operator: str) -> tuple[bool, Any]:
        """Whether something stands in for the task, or for the parent of this child; and what."""
        name = self._name(dag, task_id)
        for key in (name, _parent(name), operator, _ALL):
            if key in self._given and (key != _ALL or operator not in _REAL):
                return True, self._given[key]
        return False, None

    def _name(self, dag: Dag, task_id: str) -> str:
        return task_id if dag.dag_id == self._of_first else f"{dag.dag_id}/{task_id}"


def _parent(name: str) -> str:
    """The expanded task, if this is one of its children."""
    parent, _, number = name.rpartition(".")
    return parent if number.isdecimal() else ""


def outcome_of(stand_in: Any, call: Call) -> tuple[float, Any]:
    """How many seconds the try takes and what it returns; an exception is its error.

    What a function asserts, and what is no `Exception`, is not caught: it ends the test.
    """
    seconds, value = 0.0, stand_in
    if isinstance(value, type) and issubclass(value, Exception):
        value = value()
    while isinstance(value, After) or (callable(value) and not isinstance(value, type)):
        if isinstance(value, After):
            seconds, value = seconds + value.seconds, value.then
            continue
        function: Callable[[Call], Any] = value
        try:
            value = function(call)
        except AssertionError:
            raise
        except Exception as error:  # noqa: BLE001  it is how the try ends
            return seconds, error
        if not isinstance(value, After):
            break
    return seconds, value
