"""What a statement needs to run: its transaction, its job's configuration, its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from sqlglot import exp

from pydag_emulators.bigquery.jobs.job import Job, JobKey
from pydag_emulators.bigquery.names import TableRef
from pydag_emulators.bigquery.sql.lower import to_duckdb
from pydag_emulators.bigquery.sql.typing.queries import scope_of
from pydag_emulators.bigquery.sql.typing.scope import Scope, Variable
from pydag_emulators.bigquery.statements.paths import Paths
from pydag_emulators.bigquery.statements.pruning import check_filters
from pydag_emulators.bigquery.statements.tables import Tables
from pydag_emulators.bigquery.storage.contents import Contents, Sizes
from pydag_emulators.bigquery.storage.information_schema import relation
from pydag_emulators.bigquery.storage.store import Cursor, fetch_one


@dataclass(frozen=True)
class Names:
    """What the statements of a script can name besides tables of datasets."""

    variables: Mapping[str, Variable] = field(default_factory=dict)
    tables: Mapping[str, TableRef] = field(default_factory=dict)
    """Temporary ones."""

    def is_temporary(self, table: exp.Table) -> bool:
        """Whether a path names a temporary table."""
        return len(table.parts) == 1 and table.name in self.tables


NO_NAMES = Names()


@dataclass
class Context:
    """One statement in one transaction; `check` raises when the job is to stop."""

    cursor: Cursor
    sizes: Sizes
    key: JobKey
    config: dict[str, Any]
    paths: Paths
    check: Callable[[], None]
    scope: Scope | None = None
    """The names that parts of the statement can use: a script's variables, and see `know`."""
    defines_view: bool = False
    """Whether the statement makes a view, and reads no rows."""
    _around: Scope | None = None
    _known: dict[TableRef, Contents] = field(default_factory=dict)
    """What tables held before the statement."""

    @classmethod
    def of(cls, cursor: Cursor, sizes: Sizes, job: Job, names: Names = NO_NAMES) -> Self:
        """The context of a statement of that job."""
        config = job.configuration[job.kind]
        paths = Paths.of(job.key.project, config, names.tables)
        scope = Scope(variables=names.variables) if names.variables else None
        return cls(cursor, sizes, job.key, config, paths, job.control.check, scope)

    @property
    def variables(self) -> Mapping[str, Variable]:
        """The variables of the script that the statement is in."""
        around = self._around or self.scope
        return {} if around is None else around.variables

    @cached_property
    def tables(self) -> Tables:
        """The resolver of the statement's table names."""
        return Tables(
            self.cursor,
            self.paths,
            self.key.location,
            lambda view, dataset: relation(self.cursor, view, dataset),
        )

    def translate(self, tree: exp.Expression) -> str:
        """The DuckDB SQL of a part of the statement; its tables count as read from now on.

        Raises:
            ApiError: `notFound`, `invalidQuery`, `notImplemented`.
        """
        return self.lowered(self.tables.bind(tree))

    def condition(self, tree: exp.Expression, what: str) -> str:
        """`translate` of a part that must be a BOOL; `what` is its name."""
        return self.lowered(self.tables.bind(tree), what)

    def lowered(self, bound: exp.Expression, condition: str = "") -> str:
        """The DuckDB SQL of a part whose tables are bound already."""
        if not self.defines_view:
            check_filters(bound, self.variables)
        nan_names = [name for contents in self._contents() for name in contents.nan_names]
        return to_duckdb(bound, frozenset(nan_names), self.scope, condition)

    def constant(self, node: exp.Expression) -> Any:
        """The value of a constant expression, as in OPTIONS.

        Raises:
            ApiError: `invalidQuery`, `notImplemented`.
        """
        row = fetch_one(self.cursor, to_duckdb(exp.select(node.copy()), scope=self.scope), [])
        return None if row is None else row[0]

    def know(self, *relations: exp.Expression) -> None:
        """From now on, parts of the statement can name the columns of these bound relations."""
        self._around = self._around or self.scope
        self.scope = scope_of(relations, self._around)

    def bytes_of_tables(self) -> list[int]:
        """The logical bytes of each table that the statement reads."""
        return [contents.bytes for contents in self._contents()]

    def _contents(self) -> list[Contents]:
        referenced = self.tables.referenced
        for ref in referenced.keys() - self._known.keys():
            self._known[ref] = self.sizes.of(self.cursor, ref, referenced[ref])
        return [self._known[ref] for ref in referenced]
