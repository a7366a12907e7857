"""Queries of the local BigQuery in this process, without HTTP, and tables of cases for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydag_emulators.bigquery.jobs.job import JobKey, Outcome
from pydag_emulators.bigquery.names import DatasetRef
from pydag_emulators.bigquery.schema import Field, sql_type
from pydag_emulators.bigquery.sql.parse import Statement
from pydag_emulators.bigquery.sql.scripts.read import parse_steps
from pydag_emulators.bigquery.sql.typing.scope import Scope, Variable
from pydag_emulators.bigquery.statements.context import Context, Names
from pydag_emulators.bigquery.statements.execute import execute
from pydag_emulators.bigquery.statements.paths import Paths
from pydag_emulators.bigquery.statements.select import plan_select
from pydag_emulators.bigquery.statements.target import target_of
from pydag_emulators.bigquery.storage.catalog import create_dataset
from pydag_emulators.bigquery.storage.contents import Sizes
from pydag_emulators.bigquery.storage.duck_errors import api_error
from pydag_emulators.bigquery.storage.rows import rows_json
from pydag_emulators.bigquery.storage.store import Cursor, Store
from pydag_emulators.bigquery.work.scripts.interpreter import Interpreter
from pydag_emulators.bigquery.work.statement import system_variables

_PROJECT = "local-project"
_DATASET = DatasetRef(_PROJECT, "ds")
_KEY = JobKey(_PROJECT, "US", "job")


@dataclass
class Answer:
    """The columns and rows of the last statement of a script; cells as the REST API has them."""

    fields: list[Field]
    rows: list[Any]


class LocalQueries:
    """A store with one dataset, `ds`, the default of all queries. `run` leaves nothing behind."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sizes = Sizes()
        self._store.transact(lambda cursor: create_dataset(cursor, _DATASET, {"location": "US"}))

    def run(self, script: str) -> Answer:
        """The answer of a script, whose effect is undone.

        Raises:
            ApiError: what the client would see.
        """

        def body(cursor: Cursor) -> Answer:
            directly = _Directly(cursor, self._sizes)
            Interpreter(directly, _DATASET, "temp").run(parse_steps(script))
            return directly.answer

        try:
            return self._store.transact(body, undo=True)
        except Exception as error:
            raise api_error(error) from error


class _Directly:
    """Carries out the statements of a script in one transaction, without jobs."""

    def __init__(self, cursor: Cursor, sizes: Sizes) -> None:
        self._cursor, self._sizes = cursor, sizes
        self.answer = Answer([], [])

    def check(self) -> None:
        pass

    def system_variables(self) -> dict[str, Variable]:
        return system_variables(_KEY, {"defaultDataset": _DATASET.api()})

    def transaction(self, kind: str) -> None:
        raise NotImplementedError(kind)

    def execute(self, statement: Statement, names: Names) -> Outcome:
        config: dict[str, Any] = {"defaultDataset": _DATASET.api()}
        context = self._context(config, names)
        try:
            return self._execute(context, statement, config, names)
        except Exception as error:
            raise api_error(error) from error

    def _execute(
        self, context: Context, statement: Statement, config: dict[str, Any], names: Names
    ) -> Outcome:
        if statement.kind == "SELECT":
            self.answer = self._query(context, statement, int64_timestamps=False)
            return Outcome(schema=self.answer.fields)
        self.answer = Answer([], [])
        return execute(context, statement, target_of(statement, _KEY, config, names))

    def value(self, statement: Statement, names: Names) -> tuple[Field, Any]:
        answer = self._query(self._context({}, names), statement, int64_timestamps=True)
        return answer.fields[0], answer.rows[0]["f"][0]["v"]

    def rows(self, _outcome: Outcome) -> Iterable[list[Any]]:
        return [[cell["v"] for cell in row["f"]] for row in self.answer.rows]

    def _context(self, config: dict[str, Any], names: Names) -> Context:
        paths = Paths(_PROJECT, _DATASET, names.tables)
        scope = Scope(variables=names.variables) if names.variables else None
        return Context(self._cursor, self._sizes, _KEY, config, paths, lambda: None, scope)

    def _query(self, context: Context, statement: Statement, *, int64_timestamps: bool) -> Answer:
        plan = plan_select(context, statement.tree.copy())
        table = self._cursor.sql(plan.sql).to_arrow_table()
        return Answer(plan.fields, rows_json(table, plan.fields, int64_timestamps=int64_timestamps))


@dataclass(frozen=True)
class Case:
    """One line of a table: what is asked, and the answer's type and value, or its error."""

    where: str
    sql: str
    type: str
    value: str

    @property
    def is_script(self) -> bool:
        """Statements, not what one selects."""
        return self.sql.split(maxsplit=1)[0].upper() in _STATEMENTS

    @property
    def is_value(self) -> bool:
        """An expression that has a value."""
        return not self.is_script and self.type != "ERROR"


def read_cases(path: Path) -> list[Case]:
    """The cases of a file; its form is in `README.md` beside it."""
    cases = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        sql, _, rest = line.rpartition(" => ERROR")
        if sql:
            cases.append(Case(f"{path.name}:{number}", sql.strip(), "ERROR", rest.strip()))
            continue
        sql, type_, value = (part.strip() for part in line.rsplit(" => ", 2))
        cases.append(Case(f"{path.name}:{number}", sql, type_, value))
    return cases


def answer_of(queries: LocalQueries, case: Case) -> tuple[str, str]:
    """What the service says to a case, in the form of the table.

    Raises:
        ApiError: what the client would see.
    """
    answer = queries.run(case.sql if case.is_script else f"SELECT {case.sql}")
    rows = [
        [_plain(cell["v"], field) for cell, field in zip(row["f"], answer.fields, strict=True)]
        for row in answer.rows
    ]
    if case.is_script:
        types = ", ".join(f"{field['name']} {sql_type(field)}" for field in answer.fields)
        return types, json.dumps(rows, ensure_ascii=False)
    return _told(answer.fields[0], rows[0][0])


def answers_of(queries: LocalQueries, cases: list[Case]) -> list[tuple[str, str]]:
    """What it says to expressions that one query selects.

    Raises:
        ApiError: what the client would see.
    """
    answer = queries.run(f"SELECT {', '.join(f'({case.sql})' for case in cases)}")
    cells = zip(answer.rows[0]["f"], answer.fields, strict=True)
    return [_told(field, _plain(cell["v"], field)) for cell, field in cells]


def _told(field: Field, value: Any) -> tuple[str, str]:
    return sql_type(field), json.dumps(value, ensure_ascii=False)


_STATEMENTS = (
    "SELECT",
    "WITH",
    "FROM",
    "CREATE",
    "DECLARE",
    "BEGIN",
    "FOR",
    "LOOP",
    "CALL",
    "DROP",
)


def _plain(value: Any, field: Field) -> Any:
    """The REST API's cell as JSON: numbers, truth values, lists; other types as texts."""
    if field.get("mode") == "REPEATED":
        return [_plain(item["v"], {**field, "mode": "NULLABLE"}) for item in value]
    if value is None:
        return None
    if field["type"] == "RECORD":
        return [_plain(c["v"], sub) for c, sub in zip(value["f"], field["fields"], strict=True)]
    convert = _CONVERTED.get(field["type"])
    return value if convert is None else convert(value)


_CONVERTED: dict[str, Callable[[str], Any]] = {
    "INTEGER": int,
    "BOOLEAN": json.loads,
    "FLOAT": lambda text: text if text in ("NaN", "Infinity", "-Infinity") else float(text),
}
