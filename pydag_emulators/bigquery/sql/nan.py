"""NaN: GoogleSQL compares and orders it differently, so such queries are refused.

In GoogleSQL every comparison with NaN is false, and in an order it comes before all numbers. In
DuckDB it equals itself and is the largest number. Which expressions may be NaN is found by names:
those of columns that hold NaN, and aliases of expressions that contain such a name.
"""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import unimplemented

_SENSITIVE = (
    exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.In, exp.NullSafeEQ,
    exp.NullSafeNEQ, exp.Ordered, exp.Min, exp.Max, exp.Greatest, exp.Least, exp.Nullif,
    exp.PercentileCont, exp.PercentileDisc, exp.HavingMax, exp.ArgMax, exp.ArgMin,
    exp.ApproxQuantiles, exp.RangeBucket,
)  # fmt: skip


def check_nan(tree: exp.Expression, names: frozenset[str]) -> None:
    """Refuse a query that compares or orders what may be NaN, where its type isn't known.

    `names` are the columns, in lower case, that hold NaN in the tables of the query.

    Raises:
        ApiError: `notImplemented`.
    """
    makes_nan = any(_makes_nan(node) for node in tree.walk())
    if not names and not makes_nan:
        return
    tainted = _spread(tree, set(names))
    for node in tree.find_all(*_SENSITIVE):
        if node.meta.get("typed"):
            continue
        if _is_tainted(node, tainted) or _orders_by_position(node, tainted):
            raise unimplemented(
                "comparing or ordering columns that hold NaN (DuckDB and BigQuery differ): "
                f"{node.sql(dialect='bigquery')[:100]}"
            )
    for join in tree.find_all(exp.Join):
        if any(name.name.lower() in tainted for name in join.args.get("using") or []):
            raise unimplemented("joining by columns that hold NaN")


def _makes_nan(node: exp.Expr) -> bool:
    if isinstance(node, exp.Anonymous):
        return node.name.upper() == "IEEE_DIVIDE"
    is_literal = isinstance(node, exp.Cast | exp.TryCast) and isinstance(node.this, exp.Literal)
    return is_literal and node.this.name.strip().lower() == "nan"


def _spread(tree: exp.Expression, tainted: set[str]) -> set[str]:
    """These names, and all aliases of expressions that contain one of them."""
    before = -1
    while len(tainted) != before:
        before = len(tainted)
        for alias in tree.find_all(exp.Alias):
            if _is_tainted(alias.this, tainted):
                tainted.add(alias.alias.lower())
        for unnest in tree.find_all(exp.Unnest):
            table = unnest.args.get("alias")
            if table is not None and any(_is_tainted(e, tainted) for e in unnest.expressions):
                tainted |= {name.name.lower() for name in [table, *table.args.get("columns", [])]}
        for union in tree.find_all(exp.SetOperation):
            names = [column.alias_or_name.lower() for column in union.left.selects]
            for name, column in zip(names, union.right.selects, strict=False):
                if _is_tainted(column, tainted):
                    tainted.add(name)
    return tainted


def _is_tainted(node: exp.Expr, tainted: set[str]) -> bool:
    return any(
        _makes_nan(part) or (isinstance(part, exp.Column) and part.name.lower() in tainted)
        for part in node.walk()
    )


def _orders_by_position(node: exp.Expr, tainted: set[str]) -> bool:
    if not isinstance(node, exp.Ordered) or not isinstance(node.this, exp.Literal):
        return False
    query = node.find_ancestor(exp.Query)
    columns = query.selects if query is not None else []
    position = int(node.this.name) - 1 if node.this.is_int else -1
    return 0 <= position < len(columns) and _is_tainted(columns[position], tainted)
