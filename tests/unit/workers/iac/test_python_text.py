"""Parameters in Python text: whatever they are, they stay what they are and become no code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.iac.python_text import CodeRefused, parsed
from workers.operators.script.fill import marked


def value_of(expression, /, **values):
    """The value of a script's variable `made`."""
    found = marked(f"made = {expression}", values, script="s")
    names = {}
    exec(compile(parsed(found.text, "s.iac", found.marks), "s.iac", "exec"), names)
    return names["made"]


QUOTED = [
    ("'{x}'", "{}"),
    ('"{x}"', "{}"),
    ("'''{x}'''", "{}"),
    ('"""a\n{x}\n"""', "a\n{}\n"),
    ("r'{x}'", "{}"),
    ("'a' '{x}' \"b\"", "a{}b"),
    ("f'{x}'", "{}"),
    ("f'{{1 + 1}}{x}'", "2{}"),
    ("rf'''{{'{x}'}}'''", "{}"),
    ("['{x}'][0]", "{}"),
    ("'{x}' # {x}", "{}"),
]
BREAKING = ["'", '"', "\\", "'''", '"""', "\n", "{1}", "{{", "\\'"]


@pytest.mark.parametrize(("expression", "form"), QUOTED)
@given(value=st.text() | st.sampled_from(BREAKING))
def test_a_text_stays_a_text_in_any_quotes(expression, form, value):
    assert value_of(expression, x=value) == form.replace("{}", value)


def test_bytes_get_a_text_as_utf_8():
    assert value_of("b'{x}'", x="é'") == "é'".encode()
    assert value_of("br'{x}'", x="\\") == b"\\"


def test_no_value_is_filled_into_another():
    assert value_of("'{x}{y}'", x="{y}", y="{x}") == "{y}{x}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3, 3), (-2.5, -2.5), (True, True), ("3", 3), ("-2.5", -2.5), ("False", False), ("08", 8)],
)
def test_numbers_and_booleans_may_stand_outside_of_quotes(value, expected):
    assert value_of("{x}", x=value) == expected
    assert value_of("[0, {x}][1]", x=value) == expected
    assert value_of("dict(k={x})['k']", x=value) == expected
    assert value_of("f'{{{x}}}'", x=value) == str(expected)


@pytest.mark.parametrize(
    "value",
    [
        "os",
        "1 + 1",
        "print",
        "x.y",
        "None",
        None,
        "",
        "1_0",
        "1e9",
        "٣",
        "nan",
        ["a"],
        {"a": 1},
        "-",
    ],
)
def test_nothing_else_may(value):
    with pytest.raises(CodeRefused, match="parameter x is filled into code in line 1: outside of"):
        value_of("{x}", x=value)
    with pytest.raises(CodeRefused, match="parameter x is filled into code"):
        value_of("f'{{{x}}}'", x=value)


@pytest.mark.parametrize(
    "text",
    [
        *("a_{x} = 1", "{x} = 1", "a.{x}", "import {x}", "from {x} import y", "import y as {x}"),
        *("class {x}: pass", "def {x}(): pass", "def f({x}): pass", "f({x}=1)", "del {x}"),
        *("global {x}", "lambda {x}: 1", "for {x} in []: pass", "try: pass\nexcept E as {x}: pass"),
        *("match 1:\n case {x}: pass", "[1 for {x} in []]", "({x} := 1)"),
    ],
)
def test_no_parameter_becomes_a_name(text):
    found = marked(text, {"x": 3}, script="s")
    with pytest.raises(CodeRefused, match=r"parameter x is filled into (a name|code)"):
        parsed(found.text, "s.iac", found.marks)


def test_tracebacks_have_the_script_as_it_stands():
    found = marked("a = '{x}'\nb = {{}}", {"x": "long " * 99}, script="s")
    assert found.shown == "a = '{x}'\nb = {}"
    assert found.text.count("\n") == 1
