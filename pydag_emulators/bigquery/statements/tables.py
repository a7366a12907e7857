"""Which tables a statement names, and their DuckDB names in its tree."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, not_found, unimplemented
from pydag_emulators.bigquery.names import DatasetRef, TableRef
from pydag_emulators.bigquery.schema import Field
from pydag_emulators.bigquery.sql.parse import parse_one
from pydag_emulators.bigquery.sql.temporary import function_of
from pydag_emulators.bigquery.statements.paths import Paths
from pydag_emulators.bigquery.statements.sources import alias_of, physical, set_sample, wildcard
from pydag_emulators.bigquery.storage.catalog import (
    Resource,
    find_dataset,
    get_table,
    list_tables,
)
from pydag_emulators.bigquery.storage.routines import STATEMENT, find_routine
from pydag_emulators.bigquery.storage.store import Cursor
from pydag_emulators.bigquery.storage.table_details import TABLES

_TABLE_ARGS = frozenset({"this", "db", "catalog", "alias", "joins", "pivots", "sample"})
_TARGET_ARGS = frozenset({"this", "db", "catalog", "alias"})
_MAX_VIEW_DEPTH = 16
_OWN_NAMESPACES = ("KEYS", "AEAD", "NET", "HLL_COUNT", "KLL_QUANTILES", "ML", "AI", "OBJ")
Names = frozenset[str]
InformationSchema = Callable[[str, DatasetRef], tuple[str, list[Field]]]


class Tables:
    """Finds the tables that one statement names, and remembers them.

    `information_schema` makes a DuckDB relation of a view of `INFORMATION_SCHEMA` and returns its
    name and columns.
    """

    def __init__(
        self,
        cursor: Cursor,
        paths: Paths,
        location: str,
        information_schema: InformationSchema,
    ) -> None:
        self._cursor = cursor
        self._paths = paths
        self._location = location
        self._information_schema = information_schema
        self.referenced: dict[TableRef, Resource] = {}

    def bind(self, tree: exp.Expression) -> exp.Expression:
        """Replace every table name in a query, or in the sources of a DML statement."""
        holder = exp.Paren(this=tree)
        self._write_out_functions(holder, 0)
        self._visit(holder.this, frozenset(), frozenset(), 0)
        bound: exp.Expression = holder.this
        bound.pop()
        return bound

    def bind_target(self, ref: TableRef, table: exp.Table, *, reads: bool) -> Resource:
        """Replace the name of the table `ref` that a DML statement writes to; returns what it is.

        `reads` says whether the statement looks at the table's rows, too.

        Raises:
            ApiError: `notFound`, or `invalidQuery` for a view.
        """
        resource = self._get(ref)
        if resource["type"] != "TABLE":
            raise invalid_query(f"Cannot modify {ref}: it is a {resource['type']}, not a table.")
        if extra := {key for key, value in table.args.items() if value} - _TARGET_ARGS:
            raise invalid_query(f"Syntax error: Unexpected {min(extra)} behind {ref}")
        if reads:
            self.referenced[ref] = resource
        table.replace(physical(ref, table.alias or ref.table, resource))
        return resource

    def _write_out_functions(self, tree: exp.Expression, depth: int) -> None:
        """Replace calls of the functions of datasets, `dataset.f(x)`, by their bodies."""
        for call in reversed(list(tree.find_all(exp.Anonymous))):
            whole: exp.Expression = call
            path = [call.name]
            if isinstance(call.parent, exp.Dot) and call.arg_key == "expression":
                whole = call.parent
                path = [*(part.name for part in whole.this.find_all(exp.Identifier)), call.name]
            if whole is call and "." not in call.name:
                continue
            if depth >= _MAX_VIEW_DEPTH:
                raise invalid_query(f"Functions are nested too deep at {call.name}")
            if path[0].upper() in _OWN_NAMESPACES:
                raise unimplemented(f"the function {'.'.join(path).upper()}")
            quoted = ".".join(f"`{part}`" for part in path)
            ref = self._paths.table(exp.to_table(quoted, dialect="bigquery"))
            routine = find_routine(self._cursor, ref)
            if routine is None or routine["routineType"] != "SCALAR_FUNCTION":
                raise invalid_query(f"Function not found: {'.'.join(path)}")
            made = parse_one(routine[STATEMENT])
            body = exp.Paren(this=function_of(made).called(call))
            self._write_out_functions(body, depth + 1)
            whole.replace(body)

    def _get(self, ref: TableRef) -> Resource:
        resource = get_table(self._cursor, ref, self._location)
        if resource["location"].upper() != self._location.upper():
            raise not_found("Dataset", str(ref.in_dataset), self._location)
        return resource

    def _visit(self, node: exp.Expression, ctes: Names, ranges: Names, depth: int) -> None:
        with_ = node.args.get("with_")
        if with_ is not None:
            ctes = self._visit_ctes(with_, ctes, ranges, depth)
        if isinstance(node, exp.Table):
            self._visit_table(node, ctes, ranges, depth)
            return
        sources = []
        if isinstance(node, exp.Select):
            from_ = node.args.get("from_")
            sources = [from_.this] if from_ is not None else []
            sources += [join.this for join in node.args.get("joins") or []]
        for source in sources:
            name = _range_name(source)
            self._visit(source, ctes, ranges, depth)
            ranges |= {name}
        done = {id(source) for source in sources}
        for child in list(node.iter_expressions()):
            if child is with_ or id(child) in done:
                continue
            if isinstance(child, exp.From | exp.Join) and sources:
                for part in list(child.iter_expressions()):
                    if part.arg_key != "this":
                        self._visit(part, ctes, ranges, depth)
                continue
            self._visit(child, ctes, ranges, depth)

    def _visit_ctes(self, with_: exp.With, ctes: Names, ranges: Names, depth: int) -> Names:
        names = {cte.alias.lower() for cte in with_.expressions}
        for position, cte in enumerate(with_.expressions):
            later = {other.alias.lower() for other in with_.expressions[position + 1 :]}
            if with_.args.get("recursive") and later & _bare_names(cte.this):
                raise unimplemented(f"WITH RECURSIVE {cte.alias} that names a later query")
            visible = ctes | names if with_.args.get("recursive") else ctes
            self._visit(cte.this, visible, ranges, depth)
            ctes |= {cte.alias.lower()}
        return ctes

    def _visit_table(self, node: exp.Table, ctes: Names, ranges: Names, depth: int) -> None:
        if isinstance(node.this, exp.Func):
            raise unimplemented(f"table functions ({node.this.sql()})")
        extra = {key for key, value in node.args.items() if value} - _TABLE_ARGS
        if extra:
            raise unimplemented(f"{', '.join(sorted(extra))} on the table {node.name}")
        for join in node.args.get("joins") or []:
            self._visit(join, ctes, ranges, depth)
        parts = [part.name for part in node.parts]
        if len(parts) == 1 and parts[0].lower() in ctes:
            if node.args.get("sample"):
                raise invalid_query("TABLESAMPLE can only be applied directly to a table")
            return
        if len(parts) > 1 and parts[0].lower() in ranges:
            # `FROM t, t.items` is `FROM t, UNNEST(t.items)`
            column = exp.column(*[exp.to_identifier(part, quoted=True) for part in parts[::-1]][:3])
            alias = node.args.get("alias") or exp.TableAlias(
                this=exp.to_identifier(parts[-1], quoted=True)
            )
            node.replace(exp.Unnest(expressions=[column], alias=alias))
            return
        source = self._source(node, depth)
        if (sample := node.args.get("sample")) is not None:
            set_sample(source, sample)
        if node.args.get("pivots"):
            source.set("pivots", node.args["pivots"])
        node.replace(source)

    def _source(self, node: exp.Table, depth: int) -> exp.Expression:
        parts = [part.name for part in node.parts]
        head, _, view = parts[-1].upper().partition(".")
        if head in ("INFORMATION_SCHEMA", TABLES):
            view = view or head
            relation, fields = self._information_schema(view, self._dataset_of(parts[:-1]))
            shown = exp.Table(
                this=exp.to_identifier(relation, quoted=True), alias=alias_of(node.alias or view)
            )
            shown.meta["fields"] = fields
            return shown
        if parts[-1].endswith("*"):
            return self._wildcard(node)
        ref = self._paths.table(node)
        resource = self._get(ref)
        alias = node.alias or ref.table
        if resource["type"] == "VIEW":
            return self._view(ref, resource, alias, depth)
        self.referenced[ref] = resource
        source = physical(ref, alias, resource)
        if node.args.get("joins"):
            source.set("joins", node.args["joins"])
        return source

    def _wildcard(self, node: exp.Table) -> exp.Expression:
        stem = node.name[:-1]
        named = node.copy()
        named.set("this", exp.to_identifier(f"{stem}x"))
        dataset = self._paths.table(named).in_dataset
        found = [
            (name[len(stem) :], self._get(TableRef(*dataset, name)))
            for resource in list_tables(self._cursor, dataset)
            if (name := resource["tableReference"]["tableId"]).startswith(stem)
        ]
        if not found:
            raise invalid_query(f"{dataset}.{node.name} does not match any table.")
        self.referenced |= {TableRef(*dataset, f"{stem}{end}"): each for end, each in found}
        return wildcard(dataset, stem, found, node.alias or node.name)

    def _dataset_of(self, parts: list[str]) -> DatasetRef:
        if not parts:
            raise unimplemented("INFORMATION_SCHEMA and __TABLES__ without a dataset")
        ref = DatasetRef(*parts) if len(parts) == 2 else DatasetRef(self._paths.project, parts[0])
        if find_dataset(self._cursor, ref) is None:
            if parts[-1].lower().startswith("region-"):
                raise unimplemented("INFORMATION_SCHEMA of a region")
            raise not_found("Dataset", str(ref), self._location)
        return ref

    def _view(self, ref: TableRef, resource: Resource, alias: str, depth: int) -> exp.Expression:
        if depth >= _MAX_VIEW_DEPTH:
            raise invalid_query(f"View nesting is too deep at {ref}")
        query = exp.Subquery(this=parse_one(resource["view"]["query"]), alias=alias_of(alias))
        paths, self._paths = self._paths, Paths(ref.project)
        try:
            self._write_out_functions(query, depth)
            self._visit(query, frozenset(), frozenset(), depth + 1)
        finally:
            self._paths = paths
        return query


def _bare_names(tree: exp.Expression) -> Names:
    return frozenset(
        table.name.lower() for table in tree.find_all(exp.Table) if len(table.parts) == 1
    )


def _range_name(source: exp.Expr) -> str:
    """The name by which a query calls a table, a query or an UNNEST in its FROM."""
    pivots, alias = source.args.get("pivots"), source.args.get("alias")
    if isinstance(source, exp.Unnest) and alias is not None and alias.args.get("columns"):
        return str(alias.args["columns"][0].name).lower()
    return str(pivots[-1].alias if pivots else source.alias_or_name).lower()
