"""The values of expressions, as far as the file's text tells them."""

from __future__ import annotations

import ast
import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pydag_dist.dag.airflow.things import (
    Bound,
    Date,
    Function,
    Group,
    Named,
    Result,
    Span,
    Task,
    Unknown,
)

MOST_STEPS: Final = 200_000
LONGEST: Final = 1_000_000  # characters of a text, items of a list
_SECONDS: Final = {
    "days": 86400, "hours": 3600, "minutes": 60, "seconds": 1, "weeks": 604800,
    "milliseconds": 0.001, "microseconds": 0.000001,
}  # fmt: skip
_TEXT_METHODS: Final = frozenset(
    {"replace", "format", "lower", "upper", "strip", "lstrip", "rstrip", "title", "join", "split",
     "rpartition", "partition", "removeprefix", "removesuffix", "startswith", "endswith"}
)  # fmt: skip
_OPERATORS: Final[Mapping[type[ast.AST], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip
_COMPARES: Final[Mapping[type[ast.AST], Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b, ast.Is: operator.is_, ast.IsNot: operator.is_not,
}  # fmt: skip
_PLAIN: Final = (str, int, float, bool, type(None), list, dict)


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
        return node.value if isinstance(node.value, _PLAIN) else self.unknown(node)

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
            return format(value, _narrow(self.value(node.format_spec)))
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
        if isinstance(node.op, ast.Mult):
            return self._product(left, right)
        if not isinstance(left, _PLAIN) or (
            not isinstance(right, _PLAIN) or (isinstance(left, str) and len(left) > LONGEST // 100)
        ):
            raise TypeError
        if isinstance(node.op, ast.Mod) and isinstance(left, str):
            return _narrow(left) % (tuple(right) if isinstance(right, list) else right)
        return _OPERATORS[type(node.op)](left, right)

    def _product(self, left: Any, right: Any) -> Any:
        if isinstance(left, Span) and isinstance(right, int | float):
            return Span(left.seconds * right)
        if isinstance(left, int | float) and isinstance(right, int | float):
            if max(abs(left), abs(right)) > 2**64:
                raise ValueError
            return left * right
        size = right if isinstance(right, int) else left
        if not isinstance(size, int) or size * len(left if size is right else right) > LONGEST:
            raise TypeError
        return left * right

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            return not self._known(value)
        if not isinstance(value, int | float):
            raise TypeError
        return -value if isinstance(node.op, ast.USub) else value

    def _known(self, value: Any) -> Any:
        if not isinstance(value, _PLAIN):
            raise TypeError
        return value

    def _boolop(self, node: ast.BoolOp) -> Any:
        value = None
        for each in node.values:
            value = self.value(each)
            if isinstance(value, Unknown) and isinstance(node.op, ast.Or):
                continue  # as in os.environ.get("NAME") or "default"
            if bool(self._known(value)) == isinstance(node.op, ast.Or):
                return value
        return value

    def _ifexp(self, node: ast.IfExp) -> Any:
        return self.value(node.body if self._known(self.value(node.test)) else node.orelse)

    def _compare(self, node: ast.Compare) -> Any:
        left = self._known(self.value(node.left))
        for compare, each in zip(node.ops, node.comparators, strict=True):
            right = self._known(self.value(each))
            if not _COMPARES[type(compare)](left, right):
                return False
            left = right
        return True

    def _subscript(self, node: ast.Subscript) -> Any:
        owner = self.value(node.value)
        if isinstance(node.slice, ast.Slice):
            ends = (node.slice.lower, node.slice.upper, node.slice.step)
            return self._known(owner)[slice(*(end and self.value(end) for end in ends))]
        key = self.value(node.slice)
        if isinstance(owner, Result) and isinstance(key, str | int):
            return Result(owner.task, (*owner.path, key))
        if isinstance(owner, Named) and owner.name.endswith("environ") and isinstance(key, str):
            return Unknown(key, is_named=True)
        return self._known(owner)[key]

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
            if all(self._known(self.value(test)) for test in loop.ifs):
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
            if isinstance(owner, str) and function.attr in _TEXT_METHODS:
                return self._of_text(owner, function.attr, node)
            if isinstance(owner, dict) and function.attr in {"items", "keys", "values", "get"}:
                return self._of_dict(owner, function.attr, node)
        return self.call(node)

    def _of_text(self, text: str, name: str, node: ast.Call) -> Any:
        if name == "format":
            given = {k.arg or "": self.text(self.value(k.value)) for k in node.keywords}
            pieces = [self.text(self.value(each)) for each in node.args]
            if re.search(r"\{[^{}]*[.\[:!]", text):
                raise ValueError  # attributes and widths
            return text.format(*pieces, **given)
        arguments = [self._known(self.value(each)) for each in node.args]
        if name == "join":
            arguments = [[self.text(each) for each in arguments[0]]]
            if sum(len(text) + len(each) for each in arguments[0]) > LONGEST:
                raise ValueError
        if name == "replace" and (len(text) + 1) * len(arguments[1]) > LONGEST:
            raise ValueError
        self.spend(len(text) >> 6)
        found = getattr(text, name)(*arguments)
        return list(found) if isinstance(found, tuple) else found

    def _of_dict(self, value: dict[Any, Any], name: str, node: ast.Call) -> Any:
        if name == "get":
            arguments = [self.value(each) for each in node.args]
            return value.get(*arguments)
        return [list(each) if isinstance(each, tuple) else each for each in getattr(value, name)()]


def _narrow(form: str) -> str:
    """A format, if none of its widths makes more than there is."""
    if re.search(r"\d{4}|\*", form):
        raise ValueError
    return form


def span_of(positional: Sequence[Any], given: Mapping[str, Any]) -> Span:
    """A `timedelta` of these arguments."""
    parts = dict(zip(("days", "seconds", "microseconds"), positional, strict=False)) | {**given}
    return Span(float(sum(_SECONDS[name] * value for name, value in parts.items())))


def date_of(positional: Sequence[Any], given: Mapping[str, Any]) -> Date:
    """A `datetime` of these arguments."""
    zone = given.get("tzinfo", given.get("tz", given.get("timezone", "")))
    zone = zone.last if isinstance(zone, Named) else zone
    parts = {k: v for k, v in given.items() if k not in {"tzinfo", "tz", "timezone"}}
    date = datetime(*positional[:7], **parts)  # noqa: DTZ001  the zone is told beside it
    day = date.date().isoformat()
    text = day if date == datetime.fromisoformat(day) else date.isoformat()
    return Date(text, "UTC" if zone in {"utc", "UTC"} else zone if isinstance(zone, str) else "")


class NotPure:
    """Stands for what is no call of a function that only computes."""


def _zipped(positional: Sequence[Any]) -> list[Any]:
    return [list(each) for each in zip(*positional, strict=False)]


_PURE: Final[Mapping[str, Callable[[list[Any], dict[str, Any]], Any]]] = {
    "timedelta": span_of,
    "datetime": date_of,
    "date": date_of,
    "days_ago": lambda *_: Unknown("start_date"),
    "today": lambda *_: Unknown("start_date"),
    "dict": lambda _, given: given,
    "list": lambda positional, _: list(positional[0]),
    "tuple": lambda positional, _: list(positional[0]),
    "range": lambda positional, _: list(range(*(min(each, 10_000) for each in positional))),
    "len": lambda positional, _: len(positional[0]),
    "enumerate": lambda positional, _: _zipped([range(len(positional[0])), positional[0]]),
    "zip": lambda positional, _: _zipped(positional),
    "Param": lambda positional, given: given.get("default", (positional or [None])[0]),
}


def pure(function: Named, positional: list[Any], given: dict[str, Any]) -> Any:
    """The value of a call of a function that only computes; `NotPure` for any other."""
    compute = _PURE.get(function.last)
    is_date = function.last in {"datetime", "date"}
    if compute is None or (is_date and not function.name.startswith(("datetime", "pendulum"))):
        return NotPure
    return compute(positional, given)


def param_name(name: str) -> str:
    """A name for a param of the DAG."""
    return re.sub(r"\W", "_", name, flags=re.ASCII) or "value"


def expression_of(result: Result) -> str:
    """A result as templates name it."""
    task = result.task.task_id
    text = f"tasks.{task}.result" if task.isidentifier() else f"tasks['{task}'].result"
    for key in result.path:
        is_word = isinstance(key, str) and key.isidentifier()
        text += f".{key}" if is_word else f"[{key!r}]"
    return text
