"""The language of templates: Jinja2's expressions over JSON, in a sandbox without Python in it.

There are values of JSON, operators, filters and tests; no statements, calls or methods. A dot
reaches keys only, never an attribute of a Python object, so ``tasks.x.result.items`` is the key
``items``. No operator or filter makes a text longer than `MAX_TEXT`, whatever it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from pydag_dist.dag import filters
from pydag_dist.dag.messages import did_you_mean
from pydag_dist.dag.script import quote
from pydag_dist.dag.templates import as_template

NAMES: Final = (
    "tasks",
    "params",
    "run_id",
    "dag_id",
    "task_id",
    "try_number",
    "logical_date",
    "ds",
    "item",
    "index",
)
OF_A_CHILD: Final = frozenset({"item", "index"})

MAX_LEVELS: Final = 40  # of an expression: what Python compiles has at most 200 parentheses
MAX_BRACKETS: Final = 20  # in each other: Jinja2's parser must not run out of stack in any process
MAX_NODES: Final = 2_000  # of a template

_ALLOWED: Final = (
    nodes.Add,
    nodes.And,
    nodes.Compare,
    nodes.Concat,
    nodes.CondExpr,
    nodes.Const,
    nodes.Dict,
    nodes.Div,
    nodes.Filter,
    nodes.FloorDiv,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Keyword,
    nodes.List,
    nodes.Mod,
    nodes.Mul,
    nodes.Name,
    nodes.Neg,
    nodes.Not,
    nodes.Operand,
    nodes.Or,
    nodes.Pair,
    nodes.Pos,
    nodes.Slice,
    nodes.Sub,
    nodes.Test,
    nodes.Tuple,
)


class BadTemplate(ValueError):
    """A template that no worker could render, or could not render with the values it got."""


@dataclass(frozen=True)
class Template:
    """A parsed template, and what it names."""

    text: str
    parts: tuple[str | nodes.Expr, ...]
    names: frozenset[str]
    tasks: frozenset[str]  # whose results it names
    params: frozenset[str] | None  # None: any of them

    def render(self, names: Mapping[str, Any]) -> Any:
        """A text; of a template that is nothing but one expression, the expression's value.

        In a text, values other than texts stand as JSON writes them. Raises `BadTemplate` if a
        value is missing or the result too long.
        """
        try:
            values = self._values(names)
            if len(self.parts) == 1 and not isinstance(self.parts[0], str):
                return filters.plain(values[0])
            return filters.join(
                part if isinstance(part, str) else values.pop(0) for part in self.parts
            )
        except Exception as error:  # noqa: BLE001  whatever operators and filters raise
            raise BadTemplate(f"{quote(self.text)}: {error}") from None

    def _values(self, names: Mapping[str, Any]) -> list[Any]:
        context = self._code.new_context(dict(names))
        for _ in self._code.root_render_func(context):
            raise AssertionError  # it only assigns
        return list(context.vars.values())

    @cached_property
    def _code(self) -> Any:
        expressions = [part for part in self.parts if not isinstance(part, str)]
        body: list[nodes.Node] = [
            nodes.Assign(nodes.Name(f"value{k}", "store"), expression, lineno=1)
            for k, expression in enumerate(expressions)
        ]
        return _ENVIRONMENT.from_string(nodes.Template(body, lineno=1))


@lru_cache(maxsize=1_000)
def parse(text: str) -> Template:
    """The template; raises `BadTemplate`, whose message says what is wrong with it."""
    try:
        return _parse(text)
    except TemplateSyntaxError as error:
        raise BadTemplate(f"{quote(text)}: {error.message}") from None
    except RecursionError:
        raise BadTemplate(f"{quote(text)}: nested too deeply") from None
    except BadTemplate as error:
        raise BadTemplate(f"{quote(text)}: {error}") from None


def _parse(text: str) -> Template:
    _check_brackets(text)
    parts: list[str | nodes.Expr] = []
    seen = _Seen()
    for statement in _ENVIRONMENT.parse(text).body:
        if not isinstance(statement, nodes.Output):
            raise BadTemplate("has a statement, {% … %}: templates have expressions only, {{ … }}")
        for node in statement.nodes:
            if isinstance(node, nodes.TemplateData):
                parts.append(node.data)
            else:
                seen.look_at(node)
                parts.append(_Joined().visit(node))
    if all(isinstance(part, str) for part in parts):
        raise BadTemplate("has no expression")
    params = None if seen.all_params else frozenset(seen.params)
    return Template(text, tuple(parts), frozenset(seen.names), frozenset(seen.tasks), params)


def _check_brackets(text: str) -> None:
    if sum(map(text.count, "([{")) <= MAX_BRACKETS:
        return
    depth = 0
    for _, kind, value in _ENVIRONMENT.lex(text):
        if kind == "operator":
            depth += (value in "([{") - (value in ")]}")
            if depth > MAX_BRACKETS:
                raise BadTemplate(f"has more than {MAX_BRACKETS} brackets in each other")


def list_path(over: str) -> tuple[str, tuple[str | int, ...]]:
    """``tasks.LIST.result.files`` as the task and the path in its result.

    Raises `BadTemplate` for anything else.
    """
    wrong = BadTemplate(f'must be "tasks.LIST.result" or a path below it, not {quote(over)}')
    try:
        [part] = parse(as_template(over)).parts
    except ValueError:
        raise wrong from None
    root, keys = _chain(part) if isinstance(part, nodes.Node) else (None, [])
    if not isinstance(root, nodes.Name) or root.name != "tasks":
        raise wrong
    task, _, *path = map(_constant, keys)
    if not all(isinstance(key, str | int) for key in path):
        raise wrong
    return task, tuple(path)


class _Seen:
    """Checks expressions, and gathers what they name."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.tasks: set[str] = set()
        self.params: set[str] = set()
        self.all_params = False
        self._nodes = 0

    def look_at(self, node: nodes.Node, level: int = 1) -> None:
        self._nodes += 1
        root, keys = _chain(node)
        if level + len(keys) > MAX_LEVELS or self._nodes > MAX_NODES:
            raise BadTemplate(
                f"has more than {MAX_LEVELS} levels or {MAX_NODES:,} parts: "
                "compute it in a task, and take the task's result"
            )
        if isinstance(node, nodes.Call):
            raise BadTemplate(
                "has a call or method: templates have filters instead, as in {{ ds | add_days(1) }}"
            )
        if not isinstance(node, _ALLOWED):
            raise BadTemplate(f"has a {type(node).__name__}, which templates can't have")
        if isinstance(node, nodes.Filter | nodes.Test):
            _check_function(node)
        if isinstance(root, nodes.Name):
            self._note(root.name, keys)
        elif keys:
            self.look_at(root, level + len(keys))
        for child in keys or node.iter_child_nodes():
            if isinstance(child, nodes.Node):
                self.look_at(child, level + 1)

    def _note(self, name: str, keys: list[Any]) -> None:
        if name not in NAMES:
            hint = did_you_mean(name, NAMES) or f"; there are {', '.join(NAMES)}"
            raise BadTemplate(f"unknown name {quote(name)}{hint}")
        self.names.add(name)
        first, second = ([_constant(key) for key in keys] + [None, None])[:2]
        if name == "tasks":
            if not isinstance(first, str) or second != "result":
                raise BadTemplate(
                    'tasks have their results only: write tasks.ID.result, or tasks["ID"].result '
                    'if the id has "." or "-" in it'
                )
            self.tasks.add(first)
        elif name == "params":
            if isinstance(first, str):
                self.params.add(first)
            else:
                self.all_params = True


def _check_function(node: nodes.Filter | nodes.Test) -> None:
    kind = type(node).__name__.lower()
    known = _ENVIRONMENT.filters if kind == "filter" else _ENVIRONMENT.tests
    if node.name not in known:
        hint = did_you_mean(node.name, known) or f"; there are {', '.join(sorted(known))}"
        raise BadTemplate(f"unknown {kind} {quote(node.name)}{hint}")
    if node.name == "map":
        # Of a long list, a filter that makes texts longer would make too much of it.
        mapped = node.args[0].value if node.args and isinstance(node.args[0], nodes.Const) else None
        if node.args and mapped not in filters.OF_MAP:
            raise BadTemplate(f"map takes an attribute or one of {', '.join(filters.OF_MAP)}")


def _chain(node: nodes.Node) -> tuple[nodes.Node, list[Any]]:
    """``a.b[c]`` as a and its keys: texts of attributes, nodes of what stands in brackets."""
    keys: list[Any] = []
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        keys.append(node.attr if isinstance(node, nodes.Getattr) else node.arg)
        node = node.node
    return node, keys[::-1]


def _constant(key: Any) -> Any:
    return key.value if isinstance(key, nodes.Const) else key


class _Joined(NodeTransformer):
    """``a ~ b`` joins like all else here: up to the longest text, and with values as JSON."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802  Jinja2's name
        items = nodes.List([self.visit(item) for item in node.nodes], lineno=node.lineno)
        return nodes.Filter(items, "join", [], [], None, None, lineno=node.lineno)


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox, and in it nothing but values of JSON."""

    intercepted_binops = frozenset({"+", "*", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        try:
            if isinstance(obj, Mapping if isinstance(argument, str) else list | tuple | str):
                return obj[argument]
        except (LookupError, TypeError):
            pass
        if isinstance(obj, Undefined):
            filters.fail(obj)
        return self.undefined(f"{filters.shape(obj)} has no {quote(argument)}")

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002  Jinja2's signature
        return filters.BINARY[operator](left, right)


def _environment() -> _Environment:
    environment = _Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    environment.globals.clear()
    environment.filters = dict(filters.FILTERS)
    return environment


_ENVIRONMENT: Final = _environment()
