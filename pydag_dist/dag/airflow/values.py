"""The values of expressions, as far as the file's text tells them."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

from pydag_dist.dag.airflow import operations
from pydag_dist.dag.airflow.operations import LONGEST, PLAIN, plain
from pydag_dist.dag.airflow.templates import expression_of, param_name
from pydag_dist.dag.airflow.things import (
    Bound,
    Date,
    Function,
    Group,
    Named,
    Result,
    Task,
    Unknown,
)

MOST_STEPS: Final = 200_000


class TooMuch(Exception):
    """The file computes more than is read here."""


class Values(ABC):
    """Computes expressions; subclasses know what calls and edges do."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names
        self._steps = MOST_STEPS
        self.defaults: dict[str, Any] = {}  # of params of the DAG, by their names

    def spend(self, steps: int = 1) -> None:
        """Count work; raises `TooMuch`."""
        self._steps -= steps
        if self._steps < 0:
            raise TooMuch

    def value(self, node: ast.AST | None) -> Any:
        """The value of an expression, `Unknown` if the text does not tell it."""
        self.spend()
        compute = getattr(self, f"_{type(node).__name__.lower()}", None)
        if compute is None:
            return self.unknown(node)
        try:
            return self._bounded(compute(node), node)
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError):
            return self.unknown(node)

    def _bounded(self, value: Any, node: Any) -> Any:
        if isinstance(value, str | list | dict):
            self.spend(len(value) >> 6)
            if len(value) > LONGEST:
                return self.unknown(node)
        return value

    def unknown(self, node: ast.AST | None) -> Unknown:
        """A value with a name that a person recognizes, of where it is."""
        name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
        return Unknown(name or f"value_{getattr(node, 'lineno', 0)}")

    def call(self, node: ast.Call) -> Any:
        """The value of a call that is none of a constant's."""
        return self.unknown(node)

    @abstractmethod
    def edge(self, left: Any, right: Any, *, down: bool) -> Any:
        """What `a >> b` (`down`) or `a << b` is."""

    def _constant(self, node: ast.Constant) -> Any:
        return node.value if isinstance(node.value, PLAIN) else self.unknown(node)

    def _name(self, node: ast.Name) -> Any:
        if node.id in self.names:
            return self.names[node.id]
        return Named(node.id)

    def _list(self, node: ast.List | ast.Tuple | ast.Set) -> Any:
        found: list[Any] = []
        for each in node.elts:
            value = self.value(each.value if isinstance(each, ast.Starred) else each)
            if isinstance(each, ast.Starred):
                found += value if isinstance(value, list) else [self.unknown(each)]
            else:
                found.append(value)
        return found

    _tuple = _set = _list

    def _dict(self, node: ast.Dict) -> Any:
        made: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                made |= self.value(value)
            else:
                name = self.value(key)
                made[name if isinstance(name, str) else str(name)] = self.value(value)
        return made

    def _joinedstr(self, node: ast.JoinedStr) -> Any:
        return "".join(self._part(part) for part in node.values)

    def _part(self, node: ast.expr) -> str:
        if not isinstance(node, ast.FormattedValue):
            return str(self.value(node))
        value = self.value(node.value)
        if isinstance(value, str | int | float) and node.format_spec is not None:
            return format(value, operations.narrow(self.value(node.format_spec)))
        return self.text(value)

    def text(self, value: Any) -> str:
        """A value within a text: what is not known becomes a template."""
        match value:
            case bool() | None | str() | int() | float():
                return str(value)
            case Result():
                return f"{{{{ {expression_of(value)} }}}}"
            case Unknown():
                return f"{{{{ params.{param_name(value.name)} }}}}"
            case Date():
                return value.text
            case Named() if value.name.startswith("airflow"):
                return value.last
            case _:
                raise TypeError

    def _binop(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(node.op, ast.RShift | ast.LShift):
            return self.edge(left, right, down=isinstance(node.op, ast.RShift))
        if isinstance(node.op, ast.Add) and isinstance(left, str) != isinstance(right, str):
            return self.text(left) + self.text(right)
        return operations.combined(node.op, left, right)

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            return not plain(value)
        if not isinstance(value, int | float):
            raise TypeError
        return -value if isinstance(node.op, ast.USub) else value

    def _boolop(self, node: ast.BoolOp) -> Any:
        value = None
        for each in node.values:
            value = self.value(each)
            if isinstance(value, Unknown) and isinstance(node.op, ast.Or):
                continue  # as in os.environ.get("NAME") or "default"
            if bool(plain(value)) == isinstance(node.op, ast.Or):
                return value
        return value

    def _ifexp(self, node: ast.IfExp) -> Any:
        return self.value(node.body if plain(self.value(node.test)) else node.orelse)

    def _compare(self, node: ast.Compare) -> Any:
        left = self.value(node.left)
        for kind, each in zip(node.ops, node.comparators, strict=True):
            right = self.value(each)
            if not operations.compares(kind, left, right):
                return False
            left = right
        return True

    def _subscript(self, node: ast.Subscript) -> Any:
        owner = self.value(node.value)
        if isinstance(node.slice, ast.Slice):
            ends = (node.slice.lower, node.slice.upper, node.slice.step)
            return plain(owner)[slice(*(end and self.value(end) for end in ends))]
        key = self.value(node.slice)
        if isinstance(owner, Result) and isinstance(key, str | int):
            return Result(owner.task, (*owner.path, key))
        if isinstance(owner, Named) and owner.name.endswith("environ") and isinstance(key, str):
            return Unknown(key, is_named=True)
        return plain(owner)[key]

    def _attribute(self, node: ast.Attribute) -> Any:
        owner = self.value(node.value)
        match owner:
            case Named():
                return self._member(owner, node.attr)
            case Task() if node.attr == "output":
                return Result(owner)
            case Result() | Task() | Group() | Function() | str() | list() | dict():
                return Bound(owner, node.attr)
            case _ if isinstance(node.value, ast.Name) and not isinstance(owner, Unknown):
                return Bound(owner, node.attr)
            case _:
                return self.unknown(node)

    def _member(self, owner: Named, name: str) -> Any:
        if owner.last == "TriggerRule":
            return name.lower()
        if owner.last in {"WeightRule", "WriteDisposition"}:
            return name
        return Named(f"{owner.name}.{name}")

    def _listcomp(self, node: ast.ListComp) -> Any:
        [loop] = node.generators
        found, kept = [], dict(self.names)
        for item in self.items(loop.iter):
            self.bind(loop.target, item)
            if all(plain(self.value(test)) for test in loop.ifs):
                found.append(self.value(node.elt))
        self.names.clear()
        self.names.update(kept)
        return found

    def items(self, node: ast.AST) -> Sequence[Any]:
        """What a loop goes over; raises ValueError if that is not known."""
        value = self.value(node)
        if isinstance(value, dict | str):
            return list(value)
        if not isinstance(value, list):
            raise ValueError  # noqa: TRY004  as whatever can't be computed
        return value

    def bind(self, target: ast.AST, value: Any) -> None:
        """Give names values, as an assignment does."""
        if isinstance(target, ast.Name):
            is_new = isinstance(value, Unknown) and not value.is_named
            self.names[target.id] = Unknown(target.id) if is_new else value
        elif isinstance(target, ast.Tuple | ast.List):
            values = value if isinstance(value, list) else [value] * len(target.elts)
            for each, one in zip(target.elts, values, strict=False):
                self.bind(each, one)
        elif isinstance(target, ast.Subscript):
            owner = self.value(target.value)
            if isinstance(owner, dict):
                owner[str(self.value(target.slice))] = value

    def _call(self, node: ast.Call) -> Any:
        function = node.func
        if isinstance(function, ast.Attribute):
            owner = self.value(function.value)
            if isinstance(owner, str) and function.attr in operations.TEXT_METHODS:
                return self._of_text(owner, function.attr, node)
            if isinstance(owner, dict) and function.attr in operations.DICT_METHODS:
                arguments = [self.value(each) for each in node.args]
                return operations.of_dict(owner, function.attr, arguments)
        return self.call(node)

    def _of_text(self, text: str, name: str, node: ast.Call) -> Any:
        arguments = [self.value(each) for each in node.args]
        if name == "format":
            given = {each.arg or "": self.text(self.value(each.value)) for each in node.keywords}
            return operations.formatted(text, list(map(self.text, arguments)), given)
        if name == "join":
            arguments = [list(map(self.text, arguments[0]))]
        self.spend(len(text) >> 6)
        return operations.of_text(text, name, arguments)
