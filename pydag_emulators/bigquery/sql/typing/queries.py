"""The columns of each query and their types."""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.pivots import written_out
from pydag_emulators.bigquery.sql.typing.expressions import visit
from pydag_emulators.bigquery.sql.typing.nan import order_with_nan
from pydag_emulators.bigquery.sql.typing.results import check_condition
from pydag_emulators.bigquery.sql.typing.scope import Scope
from pydag_emulators.bigquery.sql.typing.sets import set_operation
from pydag_emulators.bigquery.sql.typing.types import (
    INT64,
    JSON,
    Columns,
    Type,
    type_of_field,
)


class Typer:
    """Visits a bound query, in which tables have their fields in `meta`, and coerces operands."""

    def visit(self, node: exp.Expr, scope: Scope) -> Type | None:
        """The type of an expression, in which operands have been coerced; None if unknown."""
        return visit(self, node, scope)

    def query(self, node: exp.Expr, outer: Scope | None) -> Columns | None:
        """The columns of a query; None if they are not known."""
        scope = Scope(outer)
        with_ = node.args.get("with_")
        if with_ is not None:
            self._ctes(with_, scope)
        if isinstance(node, exp.Subquery | exp.Paren):
            columns = self.query(node.this, scope)
            for part in list(node.iter_expressions()):
                if part.arg_key not in ("this", "with_", "alias", "joins", "pivots"):
                    self.clause(part, Scope(scope, values=dict(columns or ())))
            return columns
        if isinstance(node, exp.SetOperation):
            return set_operation(self, node, scope)
        if isinstance(node, exp.Select):
            return self._select(node, scope)
        return None

    def clause(self, node: exp.Expr, scope: Scope) -> None:
        """Visit the expressions of a clause: WHERE, ORDER BY, a window."""
        if isinstance(node, exp.Order):
            order_with_nan(node, [self._ordered(key, scope) for key in list(node.expressions)])
        elif isinstance(node, exp.Where | exp.Having | exp.Qualify):
            check_condition(self.visit(node.this, scope), f"{node.key.upper()} clause")
        elif isinstance(node, exp.Group):
            for key in list(node.iter_expressions()):
                self._group_key(key, scope)
        elif isinstance(node, _CLAUSES):
            for child in list(node.iter_expressions()):
                self.clause(child, scope)
        elif not isinstance(node, exp.Identifier):
            self.visit(node, scope)

    def _group_key(self, key: exp.Expr, scope: Scope) -> None:
        if isinstance(key, _CLAUSES):
            self.clause(key, scope)
        elif self.visit(key, scope) == JSON:
            raise invalid_query("Grouping by expressions of type JSON is not allowed")

    def _ordered(self, key: exp.Expr, scope: Scope) -> Type | None:
        type_ = self.visit(key.this, scope)
        if type_ is not None and type_.kind in ("ARRAY", "STRUCT", "JSON"):
            raise invalid_query(f"ORDER BY does not support expressions of type {type_}")
        return type_

    def _ctes(self, with_: exp.Expr, scope: Scope) -> None:
        for cte in with_.expressions:
            if with_.args.get("recursive"):
                scope.ctes[cte.alias.lower()] = None
            columns = self.query(cte.this, scope)
            names = cte.args["alias"].args.get("columns") or []
            if columns is not None and len(names) == len(columns):
                columns = tuple((n.name, t) for n, (_, t) in zip(names, columns, strict=True))
            scope.ctes[cte.alias.lower()] = columns

    def _select(self, node: exp.Select, scope: Scope) -> Columns | None:
        self._from(node, scope)
        if node.meta.get("isolated"):
            scope = Scope(ranges=scope.ranges)
        columns: list[tuple[str, Type | None]] = []
        known = True
        if str(node.args.get("kind")).upper() == "STRUCT":
            self._expand(node, scope)
        for column in list(node.expressions):
            given = self._selected(column, scope)
            known = known and given is not None
            columns += given or ()
        if node.meta.get("value") and (columns[0][1] is None or columns[0][1].kind == "STRUCT"):
            raise unimplemented("SELECT AS VALUE of a struct that isn't written out")
        aliases = Scope(scope, values={n.lower(): t for n, t in columns})
        for part in list(node.iter_expressions()):
            if part.arg_key in ("where", "group"):
                self.clause(part, scope)
            elif part.arg_key in ("having", "qualify", "windows"):
                self.clause(part, Scope(scope, values=aliases.values))
            elif part.arg_key == "order":
                self.clause(part, aliases)
        return tuple(columns) if known else None

    def _from(self, node: exp.Select, scope: Scope) -> None:
        """Add the relations of a query to the scope."""
        from_ = node.args.get("from_")
        if from_ is not None:
            self.source(from_.this, scope)
        for join in node.args.get("joins") or []:
            self._join(join, scope)

    def _selected(self, column: exp.Expr, scope: Scope) -> Columns | None:
        """The columns that one item of the SELECT list gives."""
        star = column if isinstance(column, exp.Star) else column.find(exp.Star)
        is_path = isinstance(column, exp.Column) and isinstance(column.this, exp.Star)
        if isinstance(column, exp.Star) or is_path:
            name = column.table if isinstance(column, exp.Column) else None
            return self._star(star, scope, name)
        type_ = self.visit(column.this if isinstance(column, exp.Alias) else column, scope)
        if isinstance(column, exp.Dot) and star is not None:
            return None
        return ((column.alias_or_name, type_),)

    def _expand(self, node: exp.Select, scope: Scope) -> None:
        """Write out `SELECT AS STRUCT *`, since DuckDB has no `*` in a struct."""
        for column in list(node.expressions):
            star = column.this if isinstance(column, exp.Column) else column
            if not isinstance(star, exp.Star):
                continue
            name = column.table if isinstance(column, exp.Column) else None
            columns = scope.star(name)
            if columns is None or star.args.get("rename"):
                raise unimplemented("SELECT AS STRUCT * of unknown columns")
            without = {part.name.lower() for part in star.args.get("except_") or ()}
            replaced = {p.alias.lower(): p.this for p in star.args.get("replace") or ()}
            named = [(n, exp.column(n, table=name, quoted=True)) for n, _ in columns]
            column.replace(
                [
                    exp.alias_(replaced.get(n.lower(), value), n, quoted=True)
                    for n, value in named
                    if n.lower() not in without
                ]
            )

    def _star(self, star: exp.Expr | None, scope: Scope, name: str | None) -> Columns | None:
        columns = scope.star(name)
        if star is not None and scope.hidden:
            hidden = [exp.to_identifier(each, quoted=True) for each in scope.hidden_in(name)]
            star.set("except_", [*(star.args.get("except_") or ()), *hidden])
        if star is None or columns is None:
            return columns
        without = {part.name.lower() for part in star.args.get("except_") or ()}
        replaced = {}
        for part in star.args.get("replace") or ():
            replaced[part.alias.lower()] = self.visit(part.this, scope)
        renamed = {part.this.name.lower(): part.alias for part in star.args.get("rename") or ()}
        unknown = {*replaced, *renamed} - {name.lower() for name, _ in columns}
        if unknown:
            raise invalid_query(f"Column {min(unknown)} does not exist")
        return tuple(
            (renamed.get(name.lower(), name), replaced.get(name.lower(), type_))
            for name, type_ in columns
            if name.lower() not in without
        )

    def source(self, node: exp.Expr, scope: Scope) -> None:
        """Add a relation of a FROM clause to the scope."""
        while node.args.get("pivots"):
            query = written_out(node, self._before_pivot(node, scope))
            node.replace(query)
            node = query
        alias = node.alias_or_name.lower()
        if isinstance(node, exp.Table):
            scope.ranges[alias] = self._table(node, scope)
            scope.hidden |= node.meta.get("hidden") or set()
            for join in node.args.get("joins") or []:
                self._join(join, scope)
        elif isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table):
            self.source(node.this, scope)  # a join in parentheses
        elif isinstance(node, exp.Subquery):
            columns = self.query(node, Scope(scope.outer, ctes=_visible(scope)))
            scope.hidden |= node.meta.get("hidden") or set()
            scope.ranges[alias or f"\0{len(scope.ranges)}"] = columns
            for join in node.args.get("joins") or []:
                self._join(join, scope)
        elif isinstance(node, exp.Unnest):
            self._unnest(node, scope)
        else:
            scope.ranges[alias or f"\0{len(scope.ranges)}"] = None

    def _before_pivot(self, node: exp.Expr, scope: Scope) -> Columns | None:
        plain = exp.From(this=node.copy()).this
        plain.set("pivots", None)
        before = Scope(scope.outer, ctes=_visible(scope))
        self.source(plain, before)
        return before.star()

    def _table(self, node: exp.Table, scope: Scope) -> Columns | None:
        fields = node.meta.get("fields")
        if fields is not None:
            return tuple((field["name"], type_of_field(field)) for field in fields)
        if not node.args.get("db"):
            return scope.cte(node.name)[1]
        return None

    def _unnest(self, node: exp.Unnest, scope: Scope) -> None:
        types = [self.visit(item, scope) for item in list(node.expressions)]
        alias = node.args.get("alias")
        names = [] if alias is None else alias.args.get("columns") or []
        name = names[0].name if names else node.alias
        array = types[0] if types else None
        if array is not None and array.kind not in ("ARRAY", "NULL"):
            raise invalid_query(
                "Values referenced in UNNEST must be arrays. UNNEST contains expression of type "
                f"{array}"
            )
        item = array.item if array is not None and array.kind == "ARRAY" else None
        key = (name or f"\0{len(scope.ranges)}").lower()
        if item is None:
            scope.ranges[key] = None
        elif item.kind == "STRUCT":
            scope.ranges[key] = item.members
        else:
            scope.ranges[key] = ((name or "f0_", item),)
            scope.items.add(key)
        offset = node.args.get("offset")
        if offset is not None and offset is not False:
            label = offset.name if isinstance(offset, exp.Expression) else "offset"
            columns = scope.ranges[key]
            if columns is not None:
                scope.ranges[key] = (*columns, (label or "offset", INT64))

    def _join(self, join: exp.Expr, scope: Scope) -> None:
        self.source(join.this, scope)
        condition = join.args.get("on")
        if condition is not None:
            check_condition(self.visit(condition, scope), "JOIN ON clause")
        scope.merged |= {name.name.lower() for name in join.args.get("using") or []}


def scope_of(relations: Iterable[exp.Expr], outer: Scope | None = None) -> Scope:
    """The scope of the parts of a DML statement with these bound relations."""
    scope = Scope(outer)
    for relation in relations:
        holder = exp.From(this=relation.copy())
        Typer().source(holder.this, scope)
    return scope


_CLAUSES = (
    exp.Where, exp.Group, exp.Having, exp.Qualify, exp.Order, exp.Ordered, exp.WindowSpec,
    exp.Window, exp.Rollup, exp.Cube, exp.GroupingSets, exp.Tuple,
)  # fmt: skip


def _visible(scope: Scope) -> dict[str, Columns | None]:
    return scope.ctes
