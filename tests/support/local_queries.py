"""Queries of the local BigQuery in this process, without HTTP, and tables of cases for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydag_emulators.bigquery.jobs.job import JobKey
from pydag_emulators.bigquery.names import DatasetRef
from pydag_emulators.bigquery.schema import Field, sql_type
from pydag_emulators.bigquery.sql.parse import Statement, parse_script
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.statements.execute import execute
from pydag_emulators.bigquery.statements.paths import Paths
from pydag_emulators.bigquery.statements.select import plan_select
from pydag_emulators.bigquery.statements.target import create_hidden_dataset, target_of
from pydag_emulators.bigquery.storage.catalog import create_dataset
from pydag_emulators.bigquery.storage.contents import Sizes
from pydag_emulators.bigquery.storage.duck_errors import api_error
from pydag_emulators.bigquery.storage.rows import rows_json
from pydag_emulators.bigquery.storage.store import Cursor, Store

_PROJECT = "local-project"
_DATASET = DatasetRef(_PROJECT, "ds")


@dataclass
class Answer:
    """The columns and rows of the last statement of a script; cells as the REST API has them."""

    fields: list[Field]
    rows: list[Any]


class LocalQueries:
    """A store with one dataset, `ds`, the default of all queries. `run` leaves nothing behind."""

    def __init__(self, directory: Path) -> None:
        self._store = Store(directory / "queries.duckdb")
        self._sizes = Sizes()
        self._key = JobKey(_PROJECT, "US", "job")
        self._store.transact(lambda cursor: create_dataset(cursor, _DATASET, {"location": "US"}))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    def run(self, script: str) -> Answer:
        """The answer of a script, whose effect is undone.

        Raises:
            ApiError: what the client would see.
        """

        def body(cursor: Cursor) -> Answer:
            answer = Answer([], [])
            for statement in parse_script(script):
                answer = self._statement(cursor, statement)
            return answer

        try:
            return self._store.transact(body, undo=True)
        except Exception as error:
            raise api_error(error) from error

    def _statement(self, cursor: Cursor, statement: Statement) -> Answer:
        config: dict[str, Any] = {}
        paths = Paths(_PROJECT, _DATASET)
        context = Context(cursor, self._sizes, self._key, config, paths, lambda: None)
        if statement.kind != "SELECT":
            config["defaultDataset"] = _DATASET.api()
            execute(context, statement, target_of(statement, self._key, config))
            return Answer([], [])
        target = target_of(statement, self._key, config)
        plan = plan_select(context, statement.tree.copy())
        create_hidden_dataset(cursor, target.table.in_dataset, "US")
        table = cursor.sql(plan.sql).to_arrow_table()
        return Answer(plan.fields, rows_json(table, plan.fields, int64_timestamps=False))


@dataclass(frozen=True)
class Case:
    """One line of a table: what is asked, and the answer's type and value, or its error."""

    where: str
    sql: str
    type: str
    value: str


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
    is_script = case.sql.split(maxsplit=1)[0].upper() in _STATEMENTS
    answer = queries.run(case.sql if is_script else f"SELECT {case.sql}")
    rows = [
        [_plain(cell["v"], field) for cell, field in zip(row["f"], answer.fields, strict=True)]
        for row in answer.rows
    ]
    if is_script:
        types = ", ".join(f"{field['name']} {sql_type(field)}" for field in answer.fields)
        return types, json.dumps(rows, ensure_ascii=False)
    return sql_type(answer.fields[0]), json.dumps(rows[0][0], ensure_ascii=False)


_STATEMENTS = frozenset({"SELECT", "WITH", "FROM", "CREATE"})


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
