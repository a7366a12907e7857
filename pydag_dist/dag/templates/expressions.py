"""The language of templates: the expressions that Jinja2's parser reads, over values of JSON.

There are values of JSON, operators, filters and tests; no statements, calls or methods. A dot
reaches keys only, never an attribute of a Python object, so ``tasks.x.result.items`` is the key
``items``. Of Jinja2 only the parser is used: its compiler computes constants at once, and nothing
in it counts what an expression costs (see `evaluation`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

from jinja2 import Environment, TemplateSyntaxError, nodes

from pydag_dist.dag.templates import filters
from pydag_dist.dag.templates.evaluation import ALLOWED, Evaluation
from pydag_dist.dag.templates.operations import TESTS
from pydag_dist.dag.templates.rendering import MAX_BITS, MAX_TEXT, Rendering
from pydag_dist.dag.templates.texts import Place, as_template
from pydag_dist.dag.text.messages import did_you_mean
from pydag_dist.dag.text.quote import quote, with_article

NAMES: Final = (
    "tasks",
    "params",
    "run_id",
    "dag_id",
    "task_id",
    "try_number",
    "logical_date",
    "ds",
    "data_interval_start",
    "data_interval_end",
    "item",
    "index",
    "secrets",
)

MAX_LEVELS: Final = 40  # of an expression: it must be computed from any depth of a stack
MAX_BRACKETS: Final = 20  # in each other: likewise for Jinja2's parser
MAX_NODES: Final = 2_000  # of a template

_MAX_TOKENS: Final = 5 * MAX_NODES  # before they become nodes
_MAX_ERROR: Final = 1_000  # characters of an error, which may quote a text
_REMEMBERED: Final = 2_000  # characters: a tree takes hundreds of times its text
_TOO_MUCH: Final = (
    f"has more than {MAX_LEVELS} levels or {MAX_NODES:,} parts: "
    "compute it in a task, and take the task's result"
)
_FUNCTIONS: Final = {"filter": filters.FILTERS, "test": TESTS}
# The place of the name of a test among a filter's arguments.
_TESTING: Final = {"select": 0, "reject": 0, "selectattr": 1, "rejectattr": 1}

_LINE_END: Final = re.compile(r"\r\n|\r")
_ONE: Final = re.compile(r"\r\n|.", re.DOTALL)
# As variables of a shell are called, without small letters that some systems don't tell apart.
_SECRET: Final = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
NAMED_SO: Final = "has a name of up to 100 of A-Z, 0-9 and _, and begins with a letter"

_ENVIRONMENT: Final = Environment(keep_trailing_newline=True)  # noqa: S701  it only parses


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
    secrets: frozenset[str]
    size: int  # parts of its expressions

    def render(self, names: Mapping[str, Any], rendering: Rendering | None = None) -> Any:
        """A text; or, if the template is one expression only, the value of that expression.

        In a text, other values are written as JSON. Raises `BadTemplate` if a value is missing, or
        if it costs more than what is left of the `rendering`.
        """
        rendering = rendering or Rendering()
        evaluation = Evaluation(names, rendering)
        try:
            values = [
                part if isinstance(part, str) else evaluation.known(part) for part in self.parts
            ]
            if len(values) == 1:
                return rendering.plain(values[0])
            return rendering.join(values)
        except Exception as error:  # noqa: BLE001  whatever operators and filters raise
            raise BadTemplate(f"{quote(self.text)}: {str(error)[:_MAX_ERROR]}") from None


def parse(text: str) -> Template:
    """The template; raises `BadTemplate`, whose message says what is wrong with it."""
    return _parse_again(text) if len(text) <= _REMEMBERED else _parse_once(text)


def _parse_once(text: str) -> Template:
    try:
        return _parse(text)
    except TemplateSyntaxError as error:
        raise BadTemplate(f"{quote(text)}: {(error.message or '')[:_MAX_ERROR]}") from None
    except RecursionError:
        raise BadTemplate(f"{quote(text)}: nested too deeply") from None
    except ValueError as error:
        raise BadTemplate(f"{quote(text)}: {error}") from None


_parse_again = lru_cache(maxsize=128)(_parse_once)


def _parse(text: str) -> Template:
    _check_size(text)
    parts: list[str | nodes.Expr] = []
    seen = _Seen()
    for statement in _ENVIRONMENT.parse(text).body:
        if not isinstance(statement, nodes.Output):
            raise BadTemplate("has a statement, {% … %}: templates have expressions only, {{ … }}")
        for node in statement.nodes:
            if isinstance(node, nodes.TemplateData):
                parts.append(node.data)
            else:
                if not seen.is_secret(node):
                    seen.look_at(node)
                parts.append(node)
    if all(isinstance(part, str) for part in parts):
        raise BadTemplate("has no expression")
    params = None if seen.all_params else frozenset(seen.params)
    names, tasks = frozenset(seen.names), frozenset(seen.tasks)
    return Template(text, tuple(parts), names, tasks, params, frozenset(seen.secrets), seen.size)


def _check_size(text: str) -> None:
    """Check the size before Jinja2's parser reads it, since the parser has no limits."""
    if len(text) > MAX_TEXT:
        raise BadTemplate(f"is longer than {MAX_TEXT:,} characters")
    if len(text) <= _MAX_TOKENS and sum(map(text.count, "([{")) <= MAX_BRACKETS:
        return
    depth = tokens = 0
    for _, kind, value in _ENVIRONMENT.lex(text):
        tokens += kind not in ("whitespace", "data")
        if tokens > _MAX_TOKENS:
            raise BadTemplate(_TOO_MUCH)
        if kind == "operator":
            depth += (value in "([{") - (value in ")]}")
            if depth > MAX_BRACKETS:
                raise BadTemplate(f"has more than {MAX_BRACKETS} brackets in each other")


def tokens(text: str) -> Iterator[tuple[int, str, str]]:
    """The tokens of a template: where each begins, its kind and its text.

    They leave out what ``{{-`` strips.
    """
    starts = [found.start() for found in _ONE.finditer(text)]
    plain = _LINE_END.sub("\n", text)
    at = 0
    for _, kind, value in _ENVIRONMENT.lex(text):
        at = plain.index(value, at)
        if value:
            yield starts[at], kind, value
        at += len(value)


def list_place(over: str) -> Place:
    """``tasks.LIST.result.files`` or ``params.LIST.files`` as a place.

    Raises `BadTemplate` for anything else.
    """
    wrong = BadTemplate(
        'must be "tasks.LIST.result" or "params.LIST", or a path below it, or a list, '
        f"not {quote(over)}"
    )
    try:
        [part] = parse(as_template(over)).parts
    except ValueError:
        raise wrong from None
    root, keys = _chain(part) if isinstance(part, nodes.Node) else (None, [])
    if not isinstance(root, nodes.Name) or root.name not in {"tasks", "params"} or not keys:
        raise wrong
    name, *path = map(_constant, keys)
    if root.name == "tasks":
        del path[0]  # "result"
    if not isinstance(name, str) or not all(isinstance(key, str | int) for key in path):
        raise wrong
    return Place(root.name, name, tuple(path))


class _Seen:
    """Checks expressions, and gathers what they name."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.tasks: set[str] = set()
        self.params: set[str] = set()
        self.secrets: set[str] = set()
        self.all_params = False
        self.size = 0

    def is_secret(self, node: nodes.Node) -> bool:
        """Note a whole expression that is the value of a secret."""
        root, keys = _chain(node)
        name = _constant(keys[0]) if len(keys) == 1 else None
        if not isinstance(root, nodes.Name) or root.name != "secrets" or not isinstance(name, str):
            return False
        if not _SECRET.fullmatch(name):
            raise BadTemplate(f"secret {quote(name)}: {NAMED_SO}")
        self.size += 2
        self.names.add("secrets")
        self.secrets.add(name)
        return True

    def look_at(self, node: nodes.Node, level: int = 1) -> None:
        self.size += 1
        root, keys = _chain(node)
        if level + len(keys) > MAX_LEVELS or self.size > MAX_NODES:
            raise BadTemplate(_TOO_MUCH)
        if isinstance(node, nodes.Call):
            raise BadTemplate(
                "has a call or method: templates have filters instead, as in {{ ds | add_days(1) }}"
            )
        if type(node) not in ALLOWED:
            raise BadTemplate(
                f"has {with_article(type(node).__name__)}, which templates can't have"
            )
        if isinstance(node, nodes.Filter | nodes.Test):
            _check_function(node)
        if isinstance(node, nodes.Const):
            _check_constant(node.value)
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
        if name == "secrets":
            raise BadTemplate(
                "a secret stands alone, as in {{ secrets.NAME }}: what is computed of it could not "
                "be hidden in logs"
            )
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
    known = _FUNCTIONS[kind]
    if node.name not in known:
        hint = did_you_mean(node.name, known) or f"; there are {', '.join(sorted(known))}"
        raise BadTemplate(f"unknown {kind} {quote(node.name)}{hint}")
    if node.dyn_args or node.dyn_kwargs:
        raise BadTemplate(f"{kind} {node.name} has * or **: write its arguments one by one")
    named: dict[Any, Any] = {pair.key: pair.value for pair in node.kwargs}
    try:
        _signature(known[node.name]).bind(None, None, *node.args, **named)
    except TypeError as error:
        raise BadTemplate(f"{kind} {node.name}: {error}") from None
    constants = [_constant(argument) for argument in node.args]
    if node.name == "map" and constants and constants[0] not in filters.OF_MAP:
        raise BadTemplate(f"map takes an attribute or one of {', '.join(filters.OF_MAP)}")
    place = _TESTING.get(node.name, len(constants))
    if place < len(constants) and constants[place] not in TESTS:
        raise BadTemplate(f"{node.name} takes one of the tests {', '.join(sorted(TESTS))}")


_signature = cache(inspect.signature)


def _check_constant(value: Any) -> None:
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise BadTemplate("has a number that is too large")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadTemplate("has half a character") from None


def _chain(node: nodes.Node) -> tuple[nodes.Node, list[Any]]:
    """``a.b[c]`` as `a` and its keys: attributes are texts, what is in brackets are nodes."""
    keys: list[Any] = []
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        keys.append(node.attr if isinstance(node, nodes.Getattr) else node.arg)
        node = node.node
    return node, keys[::-1]


def _constant(key: Any) -> Any:
    return key.value if isinstance(key, nodes.Const) else key
