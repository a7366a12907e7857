"""`Dag`: tasks and their dependencies, from a file or built in Python."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from pydag_dist.dag import limits
from pydag_dist.dag.fields import DagFields, Task
from pydag_dist.dag.graph import Graph, between
from pydag_dist.dag.operators import family
from pydag_dist.dag.reading.dag_file import read, read_task, too_long
from pydag_dist.dag.reading.stored import NotAsWritten, read_stored
from pydag_dist.dag.text.messages import field_names
from pydag_dist.errors import InvalidDag, Problem, PydagError

_OF_SCHEDULE: Final = frozenset({"schedule_interval", "start_date", "end_date"})


@dataclass(eq=True, repr=False)
class Dag(DagFields):
    """A DAG: the fields of `DagFields`, and `tasks` by their ids in file order.

    Read one with `load` or `parse`, or build one:

        with Dag("nightly", processors=8) as dag:
            extract = dag.task("extract", "bigquery.query", params={"sql": "…"})
            load = dag.task("load", "python.call", params={"callable": "etl:load"})
            extract >> load

    The end of the block checks the whole and raises `InvalidDag`; after it the DAG can't change.
    """

    tasks: dict[str, Task] = field(default_factory=dict, init=False)
    _finished: Graph | None = field(default=None, init=False, compare=False)

    def __hash__(self) -> int:
        return hash(self.dag_id)

    def __repr__(self) -> str:
        return f"<Dag {self.dag_id}: {len(self.tasks)} tasks>"

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The DAG of a JSON file; raises `InvalidDag` with all its problems."""
        try:
            with Path(path).open("rb") as file:
                data = file.read(limits.DAG_BYTES + 1)
        except OSError as error:
            reason = f"can't be read: {error.strerror or error}"
            raise InvalidDag([Problem(str(path), None, None, reason)]) from None
        return cls.parse(data, source=str(path))

    @classmethod
    def parse(cls, data: dict[str, Any] | str | bytes, source: str = "<dag>") -> Self:
        """The DAG of a JSON text or of the value of one; `source` names it in problems."""
        fields, tasks = read(data, source)
        by_id = {task.task_id: task for task in tasks}
        return cls._made(fields, by_id, Graph({t: task.dependencies for t, task in by_id.items()}))

    @classmethod
    def _made(cls, fields: DagFields, tasks: dict[str, Task], graph: Graph) -> Self:
        dag = cls(**vars(fields))
        dag.tasks, dag._finished = tasks, graph
        return dag

    @classmethod
    def stored(
        cls, text: str, source: str, ignoring: Callable[[str], object] = lambda _: None
    ) -> Self:
        """The DAG of a run that is there: it runs on, whatever its schedule says.

        Its tasks are not checked again if the text is as `to_json` writes it.
        Until version 3 of the engine `schedule_interval` and `start_date` could be any texts. Where
        only these are wrong, they are left out, and `ignoring` is told so.
        """
        with contextlib.suppress(NotAsWritten):
            return cls._made(*read_stored(text))
        try:
            return cls.parse(text, source)
        except InvalidDag as error:
            if any(each.task or each.field not in _OF_SCHEDULE for each in error.problems):
                raise
            content = json.loads(text)
            dag = cls.parse({k: v for k, v in content.items() if k not in _OF_SCHEDULE}, source)
            ignoring(f"{error}; its schedule is ignored, the run goes on")
            return dag

    def check(self) -> Self:
        """Check a DAG that is being built; raises `InvalidDag` with all its problems."""
        read(self.to_dict(), f"Dag({self.dag_id!r})")
        return self

    def to_dict(self) -> dict[str, Any]:
        """The DAG in our own form, as values of JSON without defaults; `parse` reads it again."""
        content = _changed(self, _DAG_DEFAULTS)
        content["tasks"] = [_task_dict(task, self.retries) for task in self.tasks.values()]
        return content

    def to_json(self) -> str:
        """`to_dict` as text: what a run keeps. `InvalidDag` if it is too long."""
        if not self._finished:
            self.check()
        text = json.dumps(
            self.to_dict(), ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
        if (size := len(text.encode())) > limits.DAG_BYTES:
            raise InvalidDag([Problem(f"Dag({self.dag_id!r})", None, None, too_long(size))])
        return text

    @property
    def downstream(self) -> dict[str, tuple[str, ...]]:
        """For each task the ids of those that depend on it directly, in file order."""
        return self._graph.downstream

    @property
    def teardowns(self) -> dict[str, list[str]]:
        """For each teardown the tasks between its setup and it, parents first."""
        pairs = [(t.teardown_of, t.task_id) for t in self.tasks.values() if t.teardown_of]
        found = between(self._graph, pairs) if pairs else []
        return {name: tasks or [] for (_, name), tasks in zip(pairs, found, strict=True)}

    def waits_for(self) -> dict[str, list[str]]:
        """What each task waits for: dependencies, and for a teardown all tasks after its setup."""
        found = {task_id: task.dependencies for task_id, task in self.tasks.items()}
        for task_id, tasks in self.teardowns.items():
            found[task_id] = list(dict.fromkeys([*found[task_id], *tasks]))
        return found

    def walk(self) -> tuple[str, ...]:
        """The ids in file order, except that upstream tasks come first."""
        return self._graph.order

    def levels(self) -> list[list[str]]:
        """The ids by level: a task's level is the longest path of edges that leads to it."""
        return self._graph.levels()

    def remaining_path(self, durations: Mapping[str, float] | None = None) -> dict[str, float]:
        """For each task the longest path from it to the end, itself included.

        `durations` are of tasks, in any one unit; a task that isn't in them counts 1.
        """
        return self._graph.remaining_path(durations)

    def critical_path(
        self, durations: Mapping[str, float] | None = None
    ) -> tuple[float, list[str]]:
        """The longest path, the least that a run can take: its length and its tasks' ids."""
        return self._graph.critical_path(durations)

    @property
    def _graph(self) -> Graph:
        if self._finished:
            return self._finished
        self.check()
        return Graph({task.task_id: task.dependencies for task in self.tasks.values()})

    def task(
        self,
        task_id: str,
        operator: str,
        params: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Node:
        """Add a task; `fields` are those of `Task`. Raises `InvalidDag` for the task's own."""
        return self._add(
            {"task_id": task_id, "operator": operator, "params": params or {}} | fields
        )

    def script(
        self,
        task_id: str,
        path: str,
        params: dict[str, Any] | str | None = None,
        **fields: Any,
    ) -> Node:
        """Add a task that runs a script, such as ``gcs.bucket.folder.bq.name``."""
        return self._add({"task_id": task_id, "script": path, "params": params or {}} | fields)

    def _add(self, raw: dict[str, Any]) -> Node:
        self._refuse_if_finished()
        source = f"Dag({self.dag_id!r})"
        task = read_task(raw, source, self.retries)
        if task.task_id in self.tasks:
            raise InvalidDag([Problem(source, task.task_id, "task_id", "is there already")])
        self.tasks[task.task_id] = task
        return Node(self, task.task_id)

    def _connect(self, upstream: Iterable[Node], downstream: Iterable[Node]) -> None:
        self._refuse_if_finished()
        parents = list(upstream)
        for child in downstream:
            for parent in parents:
                if parent.dag is not self or child.dag is not self:
                    raise PydagError(f"{parent!r} >> {child!r}: the tasks are of two DAGs")
                self.tasks[child.task_id].dependencies.append(parent.task_id)

    def _refuse_if_finished(self) -> None:
        if self._finished:
            raise PydagError(f"DAG {self.dag_id} is finished: change it inside its with block")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self._finished = self._graph


NodeOrNodes = TypeVar("NodeOrNodes", "Node", list["Node"])


class Node:
    """A task of a DAG that is being built: ``a >> b`` makes b depend on a.

    Either side may be a list: ``a >> [b, c]``, ``[a, b] >> c``. The value is the right side, so
    that ``a >> b >> c`` is a chain.
    """

    __slots__ = ("dag", "task_id")

    def __init__(self, dag: Dag, task_id: str) -> None:
        self.dag = dag
        self.task_id = task_id

    def __rshift__(self, downstream: NodeOrNodes) -> NodeOrNodes:
        self.dag._connect([self], _nodes(downstream))
        return downstream

    def __rrshift__(self, upstream: Iterable[Node]) -> Node:
        self.dag._connect(upstream, [self])
        return self

    def __repr__(self) -> str:
        return f"Node({self.dag.dag_id}.{self.task_id})"


def _nodes(value: Node | Iterable[Node]) -> Iterable[Node]:
    return [value] if isinstance(value, Node) else value


def _defaults(of: object) -> list[tuple[str, Any]]:
    """The fields of a thing in which nothing but its id is given."""
    return [(name, getattr(of, name)) for name in field_names(of)]


_DAG_DEFAULTS = _defaults(DagFields(""))
_TASK_DEFAULTS = [
    (name, default)
    for name, default in _defaults(Task(""))
    # These depend on another field, or are no JSON as they are.
    if name not in {"task_id", "operator", "script", "queue", "retries", "expand", "allow_failure"}
]


def _changed(thing: Any, defaults: list[tuple[str, Any]]) -> dict[str, Any]:
    return {n: value for n, default in defaults if (value := getattr(thing, n)) != default}


def _task_dict(task: Task, retries: int) -> dict[str, Any]:
    content: dict[str, Any] = {"task_id": task.task_id}
    if task.script:
        content["script"] = task.script.path
    else:
        content["operator"] = task.operator
    content |= _changed(task, _TASK_DEFAULTS)
    if task.expand:
        content["expand"] = {"over": task.expand.over}
    if task.queue != family(task.operator):
        content["queue"] = task.queue
    if task.allow_failure != (task.teardown_of is not None):
        content["allow_failure"] = task.allow_failure
    if task.retries != retries:
        content["retries"] = task.retries
    return content
