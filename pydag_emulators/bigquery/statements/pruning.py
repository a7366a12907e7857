"""Tables with `require_partition_filter`: what reads them must say of which partitions.

Rules: https://cloud.google.com/bigquery/docs/querying-partitioned-tables#require_a_partition_filter
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sqlglot import exp

from pydag_emulators.bigquery.errors import ApiError, invalid_query, unimplemented
from pydag_emulators.bigquery.names import TableRef
from pydag_emulators.bigquery.storage.catalog import Resource
from pydag_emulators.bigquery.storage.layout import pseudo_columns

Variables = Mapping[str, object]
"""The variables of a script, by their names in lower case."""

_KEY = "partition_filter"
_COMPARED = (exp.EQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ)
_SAME_ORDER = (exp.Paren, exp.Date, exp.TsOrDsToDate, exp.Cast)


def note_filter(table: exp.Table, ref: TableRef, resource: Resource) -> None:
    """Note in the tree that this table must be filtered, if it must."""
    layout = resource.get("timePartitioning") or resource.get("rangePartitioning") or {}
    is_required = resource.get("requirePartitionFilter") or layout.get("requirePartitionFilter")
    if is_required:
        pseudo = [field["name"] for field in pseudo_columns(resource)]
        table.meta[_KEY] = (pseudo or [str(layout["field"])], ".".join(ref))


def check_filters(tree: exp.Expression, variables: Variables) -> None:
    """Refuse a query that reads such a table without a filter; `variables` are of its script.

    Raises:
        ApiError: `invalidQuery`; `notImplemented` if it isn't clear whether BigQuery would.
    """
    for table in tree.find_all(exp.Table):
        select = table.find_ancestor(exp.Select)
        if _KEY in table.meta and select is not None:
            columns, _ = table.meta[_KEY]
            alias = table.alias_or_name
            if not any(_is_filtered(select, column, alias, variables) for column in columns):
                is_inner = select.find_ancestor(exp.Select, exp.With) is not None
                raise _refused(table, _conditions_around(select), is_inner=is_inner)


def require_filter(table: exp.Expression, condition: exp.Expression, variables: Variables) -> None:
    """Refuse a DML statement that reads such a table by a condition that is no filter of it.

    Raises:
        ApiError: see `check_filters`.
    """
    if _KEY in table.meta:
        columns, _ = table.meta[_KEY]
        alias, parts = table.alias_or_name, list(_parts([condition]))
        if not any(_filters(part, one, alias, variables) for part in parts for one in columns):
            raise _refused(table, [condition])


def _is_filtered(select: exp.Select, column: str, alias: str, known: Variables) -> bool:
    """Whether a condition of the query, or of one that only passes its rows on, is a filter."""
    if any(_filters(part, column, alias, known) for part in _parts(_conditions(select))):
        return True
    outer = select.parent
    above = outer.find_ancestor(exp.Select) if isinstance(outer, exp.Subquery) else None
    if outer is None or above is None or not isinstance(outer.parent, exp.From | exp.Join):
        return False
    if any(select.args.get(key) for key in ("group", "limit", "qualify", "distinct", "having")):
        return False
    name = next((n for n in (_passed(one, column) for one in select.expressions) if n), None)
    return name is not None and _is_filtered(above, name, outer.alias_or_name, known)


def _passed(item: exp.Expr, column: str) -> str | None:
    """The name that a column has behind this item of a SELECT list, if it is that column."""
    if isinstance(item, exp.Star):
        return None if any(item.args.values()) else column
    value = item.unalias()
    is_it = isinstance(value, exp.Column) and value.name.lower() == column.lower()
    return str(item.alias_or_name) if is_it else None


def _conditions(select: exp.Select) -> list[exp.Expression]:
    where = select.args.get("where")
    joins = [join.args.get("on") for join in select.args.get("joins") or []]
    return [one for one in [None if where is None else where.this, *joins] if one is not None]


def _conditions_around(select: exp.Select) -> list[exp.Expression]:
    found: list[exp.Expression] = []
    node: exp.Select | None = select
    while node is not None:
        found += _conditions(node)
        node = node.find_ancestor(exp.Select)
    with_ = select.find_ancestor(exp.With)
    return found if with_ is None or with_.parent is None else [*found, *_conditions_below(with_)]


def _conditions_below(with_: exp.With) -> list[exp.Expression]:
    parent = with_.parent
    selects = [] if parent is None else parent.find_all(exp.Select)
    return [one for select in selects for one in _conditions(select)]


def _parts(conditions: Iterable[exp.Expr]) -> Iterator[exp.Expr]:
    """What must all be true."""
    for condition in conditions:
        node = condition.unnest()
        if isinstance(node, exp.And):
            yield from _parts([node.this, node.expression])
        else:
            yield node


def _filters(node: exp.Expr, column: str, alias: str, known: Variables) -> bool:
    """Whether a condition compares that column with something that is known before it is read."""
    if isinstance(node, exp.Paren):
        return _filters(node.this, column, alias, known)
    if isinstance(node, exp.Or):
        return all(_filters(side, column, alias, known) for side in (node.this, node.expression))
    pairs: list[tuple[exp.Expr, list[exp.Expr]]] = []
    if isinstance(node, exp.Between):
        pairs = [(node.this, [node.args["low"], node.args["high"]])]
    elif isinstance(node, exp.In) and node.expressions:
        pairs = [(node.this, node.expressions)]
    elif isinstance(node, _COMPARED):
        pairs = [(node.this, [node.expression]), (node.expression, [node.this])]
    return any(
        _is_it(one, column, alias) and all(_is_constant(other, known) for other in others)
        for one, others in pairs
    )


def _is_it(node: exp.Expr, column: str, alias: str) -> bool:
    while isinstance(node, _SAME_ORDER):
        node = node.this
    if not isinstance(node, exp.Column) or node.name.lower() != column.lower():
        return False
    return not node.table or str(node.parts[0].name).lower() == alias.lower()


def _is_constant(node: exp.Expr, known: Variables) -> bool:
    if node.find(exp.Query) is not None:
        return False
    return all(one.parts[0].name.lower() in known for one in node.find_all(exp.Column))


def _refused(
    table: exp.Expression, conditions: Iterable[exp.Expr], *, is_inner: bool = False
) -> ApiError:
    columns, name = table.meta[_KEY]
    column = "', '".join(columns)
    unclear = [
        part
        for part in _parts(conditions)
        if is_inner or any(_mentions(part, one) for one in columns)
    ]
    if unclear:
        text = " AND ".join(one.sql(dialect="bigquery") for one in unclear)[:100]
        return unimplemented(
            f"{text} as the filter that {name} requires over the column {column}: compare the "
            "column with constants, beside the table"
        )
    return invalid_query(
        f"Cannot query over table '{name}' without a filter over column(s) '{column}' that can be "
        "used for partition elimination"
    )


def _mentions(node: exp.Expr, column: str) -> bool:
    """Whether it might be a filter of that column: an OR is none if one side is none."""
    if isinstance(node, exp.Or):
        return all(_mentions(side, column) for side in (node.this, node.expression))
    return any(one.name.lower() == column.lower() for one in node.find_all(exp.Column))
