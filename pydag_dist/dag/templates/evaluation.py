"""The value of an expression: each node of its tree is computed here, and counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from jinja2 import nodes

from pydag_dist.dag.templates import filters, operations
from pydag_dist.dag.templates.rendering import Missing, Rendering, known


class Evaluation:
    """Computes expressions with these names."""

    def __init__(self, names: Mapping[str, Any], rendering: Rendering) -> None:
        self.names = names
        self.rendering = rendering

    def known(self, node: nodes.Node) -> Any:
        """The node's value; raises ValueError if it is missing."""
        return known(self.value(node))

    def value(self, node: nodes.Node) -> Any:
        """The node's value, or `Missing`."""
        self.rendering.spend(1)
        return _RULES[type(node)](self, node)


def _name(e: Evaluation, node: nodes.Name) -> Any:
    return e.names.get(node.name, Missing(f"there is no {node.name} here"))


def _list(e: Evaluation, node: nodes.List | nodes.Tuple) -> list[Any]:
    return [e.known(item) for item in node.items]


def _dict(e: Evaluation, node: nodes.Dict) -> dict[str, Any]:
    text = e.rendering.text
    return {text(e.known(pair.key)): e.known(pair.value) for pair in node.items}


def _item(e: Evaluation, node: nodes.Getattr | nodes.Getitem) -> Any:
    value = e.known(node.node)
    if isinstance(node, nodes.Getattr):
        return operations.item(value, node.attr)
    if isinstance(node.arg, nodes.Slice):
        ends = (node.arg.start, node.arg.stop, node.arg.step)
        found = [None if end is None else e.known(end) for end in ends]
        return operations.part(e.rendering, value, slice(*found))
    return operations.item(value, e.known(node.arg))


def _binary(e: Evaluation, node: nodes.BinExpr) -> Any:
    compute = operations.BINARY[type(node).__name__.lower()]
    return compute(e.rendering, e.known(node.left), e.known(node.right))


def _unary(e: Evaluation, node: nodes.Neg | nodes.Pos) -> Any:
    number = e.rendering.number(e.known(node.node))
    return -number if isinstance(node, nodes.Neg) else number


def _and(e: Evaluation, node: nodes.And) -> Any:
    return e.known(node.left) and e.known(node.right)


def _or(e: Evaluation, node: nodes.Or) -> Any:
    return e.known(node.left) or e.known(node.right)


def _choice(e: Evaluation, node: nodes.CondExpr) -> Any:
    if e.known(node.test):
        return e.value(node.expr1)
    if node.expr2 is None:
        return Missing("its if evaluated to false and no else says what then")
    return e.value(node.expr2)


def _compare(e: Evaluation, node: nodes.Compare) -> bool:
    left = e.known(node.expr)
    for operand in node.ops:
        right = e.known(operand.expr)
        if not operations.COMPARE[operand.op](e.rendering, left, right):
            return False
        left = right
    return True


def _concat(e: Evaluation, node: nodes.Concat) -> str:
    return e.rendering.join([e.known(part) for part in node.nodes])


def _filter(e: Evaluation, node: nodes.Filter) -> Any:
    assert node.node is not None  # noqa: S101  only the statement `filter` has none
    value = e.value(node.node)
    function = filters.FILTERS[node.name]
    if function is not filters.FILTERS["default"]:
        known(value)
    return _called(e, function, value, node)


def _test(e: Evaluation, node: nodes.Test) -> bool:
    return bool(_called(e, operations.TESTS[node.name], e.value(node.node), node))


def _called(
    e: Evaluation, function: operations.Function, value: Any, node: nodes.Filter | nodes.Test
) -> Any:
    arguments = [e.known(argument) for argument in node.args]
    named: dict[Any, Any] = {pair.key: e.known(pair.value) for pair in node.kwargs}
    return function(e.rendering, value, *arguments, **named)


_RULES: Final[Mapping[type[nodes.Node], Callable[[Evaluation, Any], Any]]] = (
    {
        nodes.And: _and,
        nodes.Compare: _compare,
        nodes.Concat: _concat,
        nodes.CondExpr: _choice,
        nodes.Const: lambda _, node: node.value,
        nodes.Dict: _dict,
        nodes.Filter: _filter,
        nodes.Getattr: _item,
        nodes.Getitem: _item,
        nodes.List: _list,
        nodes.Name: _name,
        nodes.Not: lambda evaluation, node: not evaluation.known(node.node),
        nodes.Or: _or,
        nodes.Test: _test,
        nodes.Tuple: _list,
    }
    | dict.fromkeys(
        (nodes.Add, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Mul, nodes.Sub), _binary
    )
    | dict.fromkeys((nodes.Neg, nodes.Pos), _unary)
)

# What an expression may have in it.
ALLOWED: Final = frozenset((*_RULES, nodes.Keyword, nodes.Operand, nodes.Pair, nodes.Slice))
