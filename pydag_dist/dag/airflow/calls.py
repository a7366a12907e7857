"""What calls and edges of an Airflow file make: DAGs, groups, tasks, and what waits for what."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from pydag_dist.dag.airflow.functions import NotPure, pure
from pydag_dist.dag.airflow.things import (
    AirflowDag,
    Bound,
    Function,
    Group,
    Named,
    Note,
    Result,
    Task,
    Unknown,
    tasks_of,
)
from pydag_dist.dag.airflow.values import Values

MOST_TASKS: Final = 10_000
MOST_EDGES: Final = 100_000
MOST_CALLS: Final = 50  # of functions within functions
_EDGES: Final = {"set_downstream": True, "set_upstream": False}


class Calls(Values):
    """Computes expressions that make DAGs and tasks."""

    def __init__(self, module: str) -> None:
        super().__init__({})
        self.module = module
        self.dags: list[AirflowDag] = []
        self.notes: list[Note] = []
        self.inside: list[AirflowDag] = []
        self.groups: list[Group] = []
        self._calls = self._edges = 0

    @abstractmethod
    def follow(self, statements: Sequence[ast.stmt]) -> Any:
        """Follow statements in order; the value of a `return`."""

    def note(self, node: ast.AST, text: str, task: str | None = None) -> None:
        """Say what did not come over."""
        self.notes.append(Note(getattr(node, "lineno", 0), task, text))

    # Edges

    def edge(self, left: Any, right: Any, *, down: bool) -> Any:
        """Let the right side wait for the left one (`down`), or the other way round."""
        if isinstance(right, Named | Unknown) or isinstance(left, Named | Unknown):
            raise TypeError
        first, second = (left, right) if down else (right, left)
        above, below = tasks_of(first, first=False), tasks_of(second, first=True)
        if isinstance(left, int) and isinstance(right, int):
            raise TypeError  # numbers that are shifted
        if above is None or below is None:
            if left == [] or right == []:
                return right
            raise TypeError
        self._connect(above, below)
        return right

    def _connect(self, above: Sequence[Task], below: Sequence[Task]) -> None:
        self._edges += len(above) * len(below)
        self.spend(len(above) * len(below))
        if self._edges > MOST_EDGES:
            raise ValueError
        for task in below:
            task.upstream += [each for each in above if each not in task.upstream]

    def _binop(self, node: ast.BinOp) -> Any:
        if not isinstance(node.op, ast.RShift | ast.LShift):
            return super()._binop(node)
        try:
            return super()._binop(node)
        except TypeError:
            right = self.value(node.right)
            if isinstance(right, Bound) and right.name == "Label":
                return self.value(node.left)
            self.note(node, "an edge to or from something that is no task here: left out")
            return right if tasks_of(right, first=True) is not None else self.value(node.left)

    # Calls

    def keywords(self, node: ast.Call) -> dict[str, Any]:
        """The arguments of a call that are given by name."""
        given: dict[str, Any] = {}
        for each in node.keywords:
            value = self.value(each.value)
            if each.arg is not None:
                given[each.arg] = value
            elif isinstance(value, dict):
                given |= value
            else:
                self.note(node, "arguments that are known only when the file runs: left out")
        return given

    def call(self, node: ast.Call) -> Any:
        """What a call makes: a DAG, a task, an edge, a date, or something unknown."""
        function = self.value(node.func)
        given = self.keywords(node)
        positional = [self.value(e) for e in node.args if not isinstance(e, ast.Starred)]
        for each in node.args:
            if isinstance(each, ast.Starred) and isinstance(found := self.value(each.value), list):
                positional += found
        match function:
            case Named():
                return self._call_named(function, positional, given, node)
            case Function():
                return self._call_function(function, positional, given, node)
            case Bound():
                return self._call_bound(function, positional, given, node)
            case _:
                return self.unknown(node)

    def _call_named(
        self, function: Named, positional: list[Any], given: dict[str, Any], node: ast.Call
    ) -> Any:
        last = function.last
        made = pure(function, positional, given)
        if made is not NotPure:
            return made
        match last:
            case "DAG":
                return self._dag(positional, given, node)
            case "TaskGroup":
                return self._group(given.get("group_id", (positional or [""])[0]))
            case "Label":
                return Bound(None, "Label")
            case "chain" | "chain_linear":
                for above, below in pairwise(positional):
                    self._chain(above, below, all_to_all=last == "chain_linear", node=node)
            case "cross_downstream":
                self.edge(*(positional + list(given.values()))[:2], down=True)
            case _:
                return self._call_other(function, positional, given, node)
        return None

    def _call_other(
        self, function: Named, positional: list[Any], given: dict[str, Any], node: ast.Call
    ) -> Any:
        name = function.name
        if name.endswith(("environ.get", "getenv")) and positional:
            return self._from_outside(f"the variable {positional[0]}", positional, given, node)
        if name.endswith("Variable.get") and positional:
            return self._param(str(positional[0]), given.get("default_var", given.get("default")))
        if name == "str" and positional:
            return self.text(positional[0])
        if "task_id" in given or function.last.endswith(("Operator", "Sensor")):
            return self._task(function.last, given, node)
        return self.unknown(node)

    def _from_outside(
        self, what: str, positional: list[Any], given: dict[str, Any], node: ast.Call
    ) -> Any:
        default = given.get("default", positional[1] if len(positional) > 1 else None)
        if isinstance(default, str):
            self.note(node, f"{what} of the environment: its default, {default!r}, is taken")
            return default
        return Unknown(str(positional[0]), is_named=True)

    def _param(self, name: str, default: Any) -> Any:
        if default is not None and not isinstance(default, Unknown | Named):
            self.defaults[name] = default
        return Unknown(name, is_named=True)

    def _dag(self, positional: list[Any], given: dict[str, Any], node: ast.AST) -> AirflowDag:
        names = ("dag_id", "description", "schedule_interval", "start_date", "end_date")
        arguments = dict(zip(names, positional, strict=False)) | given
        dag_id = arguments.get("dag_id")
        made = AirflowDag(
            dag_id if isinstance(dag_id, str) else self.module,
            arguments,
            node.lineno,  # type: ignore[attr-defined]
        )
        self.dags.append(made)
        return made

    def _group(self, name: Any) -> Group:
        before = f"{self.groups[-1].name}." if self.groups else ""
        return Group(f"{before}{name if isinstance(name, str) else 'group'}")

    def _task(self, operator: str, given: dict[str, Any], node: ast.AST) -> Task:
        dag = given.pop("dag", None)
        group = given.pop("task_group", None)
        if not isinstance(dag, AirflowDag):
            dag = self.inside[-1] if self.inside else None
        defaults = dag.arguments.get("default_args") if dag else None
        arguments = {**(defaults if isinstance(defaults, dict) else {}), **given}
        task_id = arguments.pop("task_id", None)
        name = task_id if isinstance(task_id, str) else f"task_{getattr(node, 'lineno', 0)}"
        groups = [*self.groups, *([group] if isinstance(group, Group) else [])]
        if groups:
            name = f"{groups[-1].name}.{name}"
        task = Task(name, operator, arguments, getattr(node, "lineno", 0))
        if dag is None:
            self.note(node, f"the task {name} is in no DAG: left out")
            return task
        number = 1
        while task.task_id in dag.tasks:
            task.task_id, number = f"{name}__{number}", number + 1
        dag.tasks[task.task_id] = task
        if len(dag.tasks) > MOST_TASKS:
            raise ValueError
        for each in groups:
            each.tasks.append(task)
        self._connect([found.task for found in _results(arguments)], [task])
        return task

    def _chain(self, above: Any, below: Any, *, all_to_all: bool, node: ast.AST) -> None:
        if isinstance(above, list) and isinstance(below, list) and not all_to_all:
            for one, other in zip(above, below, strict=True):
                self.edge(one, other, down=True)
            return
        try:
            self.edge(above, below, down=True)
        except TypeError:
            if not (isinstance(above, Bound) or isinstance(below, Bound)):  # Label
                self.note(node, "an edge to or from something that is no task here: left out")

    def _call_bound(
        self, function: Bound, positional: list[Any], given: dict[str, Any], node: ast.Call
    ) -> Any:
        owner, name = function.owner, function.name
        if name in _EDGES and positional:
            self.edge(owner, positional[0], down=_EDGES[name])
            return None
        if isinstance(owner, list) and name in {"append", "extend"}:
            owner += positional if name == "append" else positional[0]
            return None
        if isinstance(owner, Task) and name in {"as_teardown", "as_setup"}:
            setup = given.get("setups")
            owner.setup = setup if isinstance(setup, Task) else None
            return owner
        if isinstance(owner, Function) and owner.kind:
            return self._call_decorated(owner, name, given, node)
        return self.unknown(node)

    def _call_decorated(
        self, function: Function, name: str, given: dict[str, Any], node: ast.Call
    ) -> Any:
        if name in {"partial", "override"}:
            field = {"partial": "given", "override": "options"}[name]
            merged = {**dict(getattr(function, field)), **given}
            return Function(**{**vars(function), field: tuple(merged.items())})
        if name == "expand" and len(given) == 1:
            [(argument, over)] = given.items()
            task = self._task_of(function, [], dict(function.given), node)
            task.over = over
            task.arguments["op_kwargs"] = {**task.arguments["op_kwargs"], argument: "{{ item }}"}
            self._connect([found.task for found in _results(over)], [task])
            return Result(task)
        return self.unknown(node)

    def _call_function(
        self, function: Function, positional: list[Any], given: dict[str, Any], node: ast.Call
    ) -> Any:
        match function.kind:
            case "dag":
                dag = self._dag([], {"dag_id": function.name, **dict(function.options)}, node)
                self.inside.append(dag)
                try:
                    return self._run(function, positional, given)
                finally:
                    self.inside.pop()
            case "group":
                options = dict(function.options)
                group = self._group(options.get("group_id", function.name))
                self.groups.append(group)
                try:
                    self._run(function, positional, given)
                finally:
                    self.groups.pop()
                return group
            case "":
                return self._run(function, positional, given)
            case _:
                return Result(self._task_of(function, positional, given, node))

    def _task_of(
        self, function: Function, positional: list[Any], given: dict[str, Any], node: ast.AST
    ) -> Task:
        options = {"task_id": function.name, **dict(function.options)}
        plain = Function(function.module, function.name)
        options |= {"python_callable": plain, "op_args": positional, "op_kwargs": given}
        return self._task(f"@{function.kind}", options, node)

    def _run(self, function: Function, positional: list[Any], given: dict[str, Any]) -> Any:
        """Follow a function's body with these arguments."""
        self._calls += 1
        if self._calls > MOST_CALLS:
            self._calls -= 1
            raise ValueError
        kept = dict(self.names)
        arguments = function.node.args
        names = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
        defaults = [self.value(each) for each in arguments.defaults]
        self.names |= dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
        self.names |= dict(zip(names, positional, strict=False)) | given
        try:
            return self.follow(function.node.body)
        finally:
            self._calls -= 1
            self.names.clear()
            self.names.update(kept)


def _results(value: Any) -> list[Result]:
    """The results of other tasks that are named in arguments."""
    match value:
        case Result():
            return [value]
        case dict():
            return [found for each in value.values() for found in _results(each)]
        case list():
            return [found for each in value for found in _results(each)]
        case _:
            return []
