from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import TaskFailed
from workers.operators.script.fill import check_safe_in_python, fill

VALUES = {"table": "t1", "GCP_service-account": "/keys/k.json", "*year": 2022, "text": "{table}"}


def filled(text):
    return fill(text, VALUES, script="gcs.b.f.bq.s")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1", "SELECT 1"),
        ("FROM {table}, {table}", "FROM t1, t1"),
        ('r"{GCP_service-account}"', 'r"/keys/k.json"'),
        ("{*year} {year}", "2022 2022"),
        ('{{"a": "{table}"}}', '{"a": "t1"}'),
        ("{{{table}}}", "{t1}"),
        ("{{table}}", "{table}"),
        ("{text}", "{table}"),
    ],
)
def test_names_are_filled_and_doubled_braces_are_braces(text, expected):
    assert filled(text) == expected


@pytest.mark.parametrize(
    "placeholder",
    ["{table.__class__}", "{table[0]}", "{0}", "{}", "{table!r}", "{table:>9}", "{", "}"],
)
def test_nothing_but_a_name_is_filled(placeholder):
    with pytest.raises(TaskFailed) as failed:
        filled(f"ok\n{placeholder} x")
    assert f"only {{name}} is filled in, not {placeholder!r} in line 2" in str(failed.value)


def test_all_problems_at_once():
    with pytest.raises(TaskFailed) as failed:
        filled("{a} {b} {a} {table.x} {0}")
    said = str(failed.value)
    assert said.startswith("script gcs.b.f.bq.s: ")
    assert "missing parameters: a, b (given: *year, GCP_service-account, table, text)" in said
    assert "'{table.x}'" in said
    assert "'{0}'" in said


def test_a_parameter_wins_over_a_variable_of_its_name():
    assert fill("{a}{*a}", {"a": 1, "*a": 2}, script="s") == "12"


@given(st.text(alphabet="ab{}", max_size=12), st.text(max_size=5), st.text(max_size=5))
def test_it_fills_what_format_fills(text, a, b):
    values = {"a": a, "b": b}
    try:
        expected = text.format_map(values)
    except (KeyError, ValueError, IndexError):
        expected = None
    try:
        assert fill(text, values, script="s") == expected
    except TaskFailed:
        assert expected is None


@pytest.mark.parametrize(
    "value",
    [
        '"); import os; ("',
        "x'",
        "a\\",
        "a\nimport os",
        "f(1)",
        "a[0]",
        "a;b",
        "#",
        ["a"],
        {"a": 1},
    ],
)
def test_a_value_that_could_be_code_is_refused(value):
    with pytest.raises(TaskFailed, match="parameters bad would be filled into Python text"):
        check_safe_in_python({"good": "x", "bad": value}, script="s")


def test_values_of_infrastructure_are_let_through():
    values = {"cluster": "cluster-dataproc-pydag-2022", "n": 2, "uri": "gs://b/f/x.py", "é": "é à"}
    check_safe_in_python(values, script="s")
