"""Arithmetic and numeric functions."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.sql.functions.build import (
    Kinds,
    Lowering,
    Node,
    binary,
    macro,
    number,
    only,
    refused,
    unary,
)

KEEP: Kinds = (
    exp.Abs, exp.BitwiseAnd, exp.BitwiseNot, exp.BitwiseOr, exp.Coalesce, exp.Greatest, exp.If,
    exp.IsInf, exp.IsNan, exp.Least, exp.Rand,
)  # fmt: skip


def _round(node: exp.Round) -> Node:
    only(node, "this", "decimals")
    digits = node.args.get("decimals")
    return macro("round", node.this) if digits is None else macro("round_to", node.this, digits)


def _trunc(node: exp.Trunc) -> Node:
    only(node, "this", "decimals")
    digits = node.args.get("decimals")
    return macro("trunc", node.this) if digits is None else macro("trunc_to", node.this, digits)


def _log(node: exp.Log) -> Node:
    # sqlglot puts the base first.
    if node.expression is None:
        return macro("ln", node.this)
    return macro("log", node.expression, node.this)


def _generate_array(node: exp.GenerateSeries) -> Node:
    bounds = [node.args.get(name) for name in ("start", "end", "step")]
    if any(isinstance(bound, exp.Interval) for bound in bounds):
        raise refused(node)
    return macro("generate_array", *[b if b is not None else number(1) for b in bounds])


_REAL = (
    exp.Acos, exp.Acosh, exp.Asin, exp.Asinh, exp.Atan, exp.Atanh, exp.Cbrt, exp.Cos, exp.Cosh,
    exp.Cot, exp.Sin, exp.Sinh, exp.Tan, exp.Tanh,
)  # fmt: skip


LOWER: Lowering = {
    **{kind: unary(kind.__name__.lower()) for kind in _REAL},
    exp.Atan2: binary("atan2"),
    exp.BitwiseCount: unary("bit_count"),
    exp.BitwiseLeftShift: binary("shift_left"),
    exp.BitwiseRightShift: binary("shift_right"),
    exp.BitwiseXor: binary("bit_xor"),
    exp.ParseNumeric: unary("parse_numeric"),
    exp.Add: binary("add"),
    exp.Sub: binary("subtract"),
    exp.Mul: binary("multiply"),
    exp.Div: binary("divide"),
    exp.IntDiv: binary("div"),
    exp.Mod: binary("mod"),
    exp.SafeDivide: binary("safe_divide"),
    exp.Pow: binary("pow"),
    exp.Round: _round,
    exp.Trunc: _trunc,
    exp.Ceil: unary("ceil"),
    exp.Floor: unary("floor"),
    exp.Sign: unary("sign"),
    exp.Sqrt: unary("sqrt"),
    exp.Exp: unary("exp"),
    exp.Ln: unary("ln"),
    exp.Log: _log,
    exp.GenerateSeries: _generate_array,
}
