"""Operators of Airflow that check what is in tables of BigQuery."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from pydag_dist.dag.airflow.arguments import Arguments, NotTaken
from pydag_dist.dag.airflow.bigquery import Made, full_name, place, sql_of

_COMPARED: Final = {
    "equal_to": "=", "greater_than": ">", "less_than": "<", "geq_to": ">=", "leq_to": "<=",
}  # fmt: skip
_COLUMN: Final = {
    "null_check": "COUNTIF({0} IS NULL)",
    "distinct_check": "COUNT(DISTINCT {0})",
    "unique_check": "COUNT({0}) - COUNT(DISTINCT {0})",
    "min": "MIN({0})",
    "max": "MAX({0})",
}


def _check(a: Arguments) -> Made:
    sql = sql_of(a, a.needs("sql"))
    if a.take("use_legacy_sql", default=True) is True:
        a.note("it is legacy SQL, unless that is what the connection says: look at it")
    return "bigquery.check", place(a) | {"sql": sql}


def _value_check(a: Arguments) -> Made:
    value, tolerance = a.needs("pass_value"), a.take("tolerance")
    operator, params = _check(a)
    inner = params["sql"].strip().rstrip(";")
    literal = value if isinstance(value, int | float) else repr(str(value))
    test = f"({inner}) = {literal}"
    if tolerance is not None:
        low, high = f"{literal} * (1 - {tolerance})", f"{literal} * (1 + {tolerance})"
        test = f"({inner}) BETWEEN {low} AND {high}"
    return operator, params | {"sql": f"SELECT {test}"}


def _checked(a: Arguments) -> tuple[str, str]:
    """The table that is checked, and which of its rows."""
    clause = a.take("partition_clause")
    a.ignore("use_legacy_sql", "accept_none", "encryption_configuration")
    table = full_name(a, a.needs("table"))
    return f"FROM `{table}`", f" WHERE {clause}" if clause else ""


def _table_check(a: Arguments) -> Made:
    tests, (table, where) = a.needs("checks"), _checked(a)
    lines = []
    for name, check in tests.items():
        clause = check.get("partition_clause")
        rows = f"{where} {'AND' if where else 'WHERE'} {clause}" if clause else where
        inner = f"SELECT IF({check['check_statement']}, 1, 0) AS result {table}{rows}"
        lines.append(f"  (SELECT MIN(result) = 1 FROM ({inner})) AS {name}")  # noqa: S608  names
    return "bigquery.check", place(a) | {"sql": "SELECT\n" + ",\n".join(lines)}


def _column_check(a: Arguments) -> Made:
    columns, (table, where) = a.needs("column_mapping"), _checked(a)
    lines = []
    for column, checks in columns.items():
        for name, check in checks.items():
            if name not in _COLUMN or set(check) - {*_COMPARED, "tolerance"}:
                raise NotTaken(f"its check {name} of {column} is of no kind that is known")
            if check.get("tolerance") is not None:
                raise NotTaken(f"its check {name} of {column} has a tolerance")
            value = _COLUMN[name].format(f"`{column}`")
            tests = (f"{value} {_COMPARED[how]} {number!r}" for how, number in check.items())
            lines.append(f"  {' AND '.join(tests)} AS {column}_{name}")
    sql = "SELECT\n" + ",\n".join(lines) + f"\n{table}{where}"
    return "bigquery.check", place(a) | {"sql": sql}


CHECKS: Final[Mapping[str, Callable[[Arguments], Made]]] = {
    "BigQueryCheckOperator": _check,
    "BigQueryValueCheckOperator": _value_check,
    "BigQueryTableCheckOperator": _table_check,
    "BigQueryColumnCheckOperator": _column_check,
}
