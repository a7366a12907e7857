"""Operators of Airflow that check what is in tables of BigQuery."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Final

from pydag_dist.dag.airflow.operators.arguments import Arguments, NotTaken
from pydag_dist.dag.airflow.operators.bigquery import Made, full_name, place, sql_of
from pydag_dist.dag.templates.texts import as_template

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
    with contextlib.suppress(ValueError):  # Airflow compares texts of numbers as numbers
        value = float(value) if isinstance(value, str) else value
    operator, params = _check(a)
    near = {"tolerance": tolerance} if tolerance else {}
    return operator, params | {"expected": value, **near}


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
            value = _COLUMN[name].format(f"`{column}`")
            near = check.get("tolerance")
            tests = [
                _compared(value, how, number, near)
                for how, number in check.items()
                if how != "tolerance"
            ]
            lines.append(f"  {' AND '.join(tests)} AS {column}_{name}")
    sql = "SELECT\n" + ",\n".join(lines) + f"\n{table}{where}"
    return "bigquery.check", place(a) | {"sql": sql}


def _compared(value: str, how: str, number: float, near: float | None) -> str:
    if near is None:
        return f"{value} {_COMPARED[how]} {number!r}"
    low, high = f"{number!r} * (1 - {near!r})", f"{number!r} * (1 + {near!r})"
    if how == "equal_to":
        return f"{value} BETWEEN {low} AND {high}"
    return f"{value} {_COMPARED[how]} {low if _COMPARED[how][0] == '>' else high}"


def _interval_check(a: Arguments) -> Made:
    """Today's metrics beside those of some days before: how far they may be from each other."""
    metrics, days = a.needs("metrics_thresholds"), int(a.take("days_back", default=-7))
    column, formula = a.take("date_filter_column", default="ds"), a.take("ratio_formula")
    passes = "TRUE" if a.take("ignore_zero", default=True) else "FALSE"
    table, _ = _checked(a)
    names = ", ".join(f"{metric} AS m{n}" for n, metric in enumerate(metrics))
    lines = []
    for n, most in enumerate(metrics.values()):
        now, then = f"today.m{n}", f"before.m{n}"
        ratio = f"GREATEST({now}, {then}) / LEAST({now}, {then})"
        if formula == "relative_diff":
            ratio = f"ABS({now} - {then}) / {then}"
        lines.append(f"  IF({now} = 0 OR {then} = 0, {passes}, {ratio} < {most!r}) AS m{n}")
    of_day = f"SELECT {names} {table} WHERE {column} ="
    day = as_template(f"ds | add_days({-abs(days)})")
    sql = (
        f"WITH today AS ({of_day} '{as_template('ds')}'),\n  before AS ({of_day} '{day}')\n"
        "SELECT\n" + ",\n".join(lines) + "\nFROM today, before"
    )
    return "bigquery.check", place(a) | {"sql": sql}


CHECKS: Final[Mapping[str, Callable[[Arguments], Made]]] = {
    "BigQueryCheckOperator": _check,
    "BigQueryValueCheckOperator": _value_check,
    "BigQueryTableCheckOperator": _table_check,
    "BigQueryColumnCheckOperator": _column_check,
    "BigQueryIntervalCheckOperator": _interval_check,
}
