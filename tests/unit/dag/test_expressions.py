"""The language of templates: what it says, what it refuses, and that it stays within bounds."""

from __future__ import annotations

import json
import tracemalloc
from contextlib import contextmanager, suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pydag_dist.dag.templates import rendering
from pydag_dist.dag.templates.expressions import BadTemplate, list_place, parse
from pydag_dist.dag.templates.filters import FILTERS, OF_MAP
from pydag_dist.dag.templates.rendering import MAX_TEXT, Params, Rendering
from tests.unit.dag.strategies import json_values

LONG = "x" * 60_000
NAMES = {
    "tasks": {
        "x": {"result": {"rows": 3, "items": ["a", "b"], "none": None, "long": LONG}},
        "a.b": {"result": [1, 2]},
    },
    "params": Params(day="2026-01-31", n=5, flag=True, more={"deep": [{"k": "v"}]}),
    "run_id": "run",
    "dag_id": "dag",
    "task_id": "each.2",
    "try_number": 1,
    "logical_date": "2026-11-22T18:00:00+00:00",
    "ds": "2026-11-22",
    "item": {"name": "f", "size": 2},
    "index": 2,
}


def render(text):
    return parse(text).render(NAMES)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ tasks.x.result.rows }}", 3),
        ("{{ tasks['a.b'].result }}", [1, 2]),
        ("{{ tasks.x.result.items }}", ["a", "b"]),
        ("{{ tasks.x.result.none }}", None),
        ("{{ params.more.deep[0].k }}", "v"),
        ("{{ params }}", dict(NAMES["params"])),
        ("{{ item }}", {"name": "f", "size": 2}),
        ("{{ [index, {'n': item.size}] }}", [2, {"n": 2}]),
        ("{{ index + 1 }}", 3),
        ("{{ index * item.size - 1 }}", 3),
        ("{{ 7 // 2 }}", 3),
        ("{{ 7 % 4 }}", 3),
        ("{{ -index }}", -2),
        ("{{ params.n > 3 and ds != '' }}", True),
        ("{{ 'b' in tasks.x.result['items'] }}", True),
        ("{{ 'many' if params.n > 3 else 'few' }}", "many"),
        ("{{ tasks['a.b'].result[1:] }}", [2]),
        ("{{ params.k | default(3) }}", 3),
        ("{{ params.k is defined }}", False),
        ("{{ tasks.x.result.none.k | default('none') }}", "none"),
        ("{{ ds | replace('-', '') }}", "20261122"),
        ("{{ ds | add_days(-22) }}", "2026-10-31"),
        ("{{ logical_date | add_days(0.25) }}", "2026-11-23T00:00:00+00:00"),
        ("{{ logical_date | strftime('%Y/%m/%d %H') }}", "2026/11/22 18"),
        ("{{ tasks.x.result['items'] | map('upper') | join(', ') }}", "A, B"),
        ("{{ [item, item] | map(attribute='size') | sum }}", 4),
        ("{{ [3, 1, 2, 1] | unique | sort | reverse }}", [3, 2, 1]),
        ("{{ [1, 2, 3] | select('odd') }}", [1, 3]),
        ("{{ [item] | selectattr('size', 'gt', 5) }}", []),
        ("{{ {'b': 1, 'a': 2} | items | sort }}", [["a", 2], ["b", 1]]),
        ("{{ 'a b' | split }}", ["a", "b"]),
        ("{{ '12' | int + '1.5' | float }}", 13.5),
        ("{{ 2.567 | round(1) }}", 2.6),
        ("{{ 2.567 | round }}", 3),
        ("{{ 'a' ~ index ~ none ~ true }}", "a2nulltrue"),
        ("{{ item | tojson }}", '{"name": "f", "size": 2}'),
        ("{{ '{{ ds }}' }}", "{{ ds }}"),
        ("rows: {{ tasks.x.result.rows }}", "rows: 3"),
        ("{{ index }}{{ index }}", "22"),
        ("{{ params.flag }}, {{ none }}, {{ item }}", 'true, null, {"name": "f", "size": 2}'),
        ("{{ ds }}\n", "2026-11-22\n"),
        ("{ {{ ds }} }} %", "{ 2026-11-22 }} %"),
        ("{{ run_id }}/{{ dag_id }}/{{ task_id }}/{{ try_number }}", "run/dag/each.2/1"),
    ],
)
def test_a_template_is_its_value(text, value):
    assert render(text) == value
    assert type(render(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ ds", "unexpected end of template"),
        ("{{ }}", "Expected an expression"),
        ("{{ foo }}", 'unknown name "foo"'),
        ("{{ parms.k }}", 'did you mean "params"'),
        ("{{ range(9) }}", "has a call"),
        ("{{ ds.upper() }}", "has a call or method"),
        ("{{ ''.join(['a']) }}", "has a call or method"),
        ("{{ ds | uper }}", 'unknown filter "uper" .did you mean "upper"'),
        ("{{ ds | attr('__class__') }}", 'unknown filter "attr"'),
        ("{{ ds is undefinedd }}", 'unknown test "undefinedd"'),
        ("{% for x in params %}{{ x }}{% endfor %}", "has a statement"),
        ("{% set x = ds %}{{ ds }}", "has a statement"),
        ("{# {{ ds }} #}", "has no expression"),
        ("{{ 9 ** 9 }}", "has a Pow"),
        ("{{ tasks }}", "tasks have their results only"),
        ("{{ tasks.x }}", "tasks have their results only"),
        ("{{ tasks.x.state }}", "tasks have their results only"),
        ("{{ tasks[params.k].result }}", "tasks have their results only"),
        ("{{ tasks.a-b.result }}", 'write tasks.ID.result, or tasks."ID"..result if'),
        ("{{ ['a'] | map('replace') }}", "map takes an attribute or one of abs"),
        ("{{ ['a'] | map('upper', 'a') }}", "filter map: too many positional arguments"),
        ("{{ ['a'] | map(*['replace', 'a', params.n]) }}", r"filter map has \* or \*\*"),
        ("{{ ['a'] | map(**{'function': 'tojson'}) }}", r"filter map has \* or \*\*"),
        ("{{ ['a'] | map(function='tojson') }}", "filter map: .*positional.only"),
        ("{{ 3 is divisibleby(*[3]) }}", r"test divisibleby has \* or \*\*"),
        ("{{ ds | replace('a') }}", "filter replace: missing a required argument: 'new'"),
        ("{{ ds | indent(9) }}", 'unknown filter "indent"'),
        ("{{ [1] | select('callable') }}", "select takes one of the tests"),
        ("{{ [item] | selectattr('size', ds) }}", "selectattr takes one of the tests"),
        ("{{ 0x" + "f" * 2_000 + " }}", "a number that is too large"),
        ("{{ '\\ud800' }}", "has half a character"),
        ("{{ " + "1 + " * 3_000 + "1 }}", "2,000 parts"),
        ("x" * 1_000_000 + "{{ ds }}", "is longer than 1,000,000 characters"),
        ("{{ ['a'] | map(ds) }}", "map takes an attribute or one of abs"),
        ("{{ " + "(" * 300 + "1" + ")" * 300 + " }}", "more than 20 brackets in each other"),
        ("{{ " + "[" * 21 + "1" + "]" * 21 + " }}", "more than 20 brackets in each other"),
        ("{{ " + "not " * 50 + "1 }}", "more than 40 levels"),
        ("{{ params" + ".a" * 50 + " }}", "more than 40 levels"),
        ("{{ [" + "1," * 2_000 + "] }}", "2,000 parts"),
    ],
)
def test_what_no_worker_could_render_is_refused(text, message):
    with pytest.raises(BadTemplate, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ params.k }}", 'params has no "k"'),
        ("{{ [params.k] }}", 'params has no "k"'),
        ("{{ params.k }} and more", 'params has no "k"'),
        ("{{ tasks.x.result.none.rows }}", 'null has no "rows"'),
        ("{{ tasks.x.result.rowz }}", 'an object of rows, items, none, long has no "rowz"'),
        ("{{ tasks['a.b'].result[5] }}", "a list of 2 has no 5"),
        ("{{ ds.__class__ }}", 'a text has no "__class__"'),
        ("{{ item.__init__ }}", 'an object of name, size has no "__init__"'),
        ("{{ [item] | map(attribute='__class__') }}", 'has no "__class__"'),
        ("{{ 'x' if params.n > 9 }}", "evaluated to false and no else"),
        ("{{ params.n / 0 }}", "division by zero"),
        ("{{ 'x' | int }}", "invalid literal for int"),
        ("{{ item + 1 }}", "an object of name, size is no number"),
        ("{{ 1e308 * 10 }}", "inf is no number of JSON"),
    ],
)
def test_a_value_that_is_missing_or_wrong_is_told(text, message):
    with pytest.raises(BadTemplate, match=message):
        render(text)


@pytest.mark.parametrize(
    "expression",
    [
        "self",
        "lipsum.__globals__['os']",
        "cycler('a')",
        "joiner",
        "namespace()",
        "().__class__.__base__",
        "''['__class__']",
        "''['format']",
        "{}['keys']",
        "[].append",
        "params.__class__.__mro__[1]",
        "params['__init__']['__globals__']",
        "tasks.x.result.__class__",
        "ds.format",
        "[item] | map(attribute='__class__.__mro__')",
        "[item, item] | sort(attribute='__class__')",
        "[item, item] | min(attribute='__class__')",
        "[item] | selectattr('__class__')",
        "[item] | map('attr', '__class__')",
        "['a'] | map('format')",
        "item | xmlattr",
        "item | pprint",
        "'%s' | format(item)",
        "'%(a)s' % item",
        "(item | tojson).encode",
    ],
)
def test_nothing_of_python_can_be_reached(expression):
    with pytest.raises(BadTemplate):
        render(f"{{{{ {expression} }}}}")


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'x' * 10000000000 }}",
        "{{ '%10000000000d' % 1 }}",
        "{{ tasks.x.result.long | replace('x', tasks.x.result.long) }}",
        "{{ 'aaaaaaaaaa'" + " | replace('a', 'aaaaaaaaaa')" * 20 + " }}",
        "{{ tasks.x.result.long | list | join(tasks.x.result.long) }}",
        "{{ " + " ~ ".join(["tasks.x.result.long"] * 20) + " }}",
        "{{ " + " + ".join(["tasks.x.result.long"] * 20) + " }}",
        "{{ tasks.x.result.long }}" * 20,
        "{{ 9999999999" + " * 9999999999" * 30 + " * 9" * 8 + " * params.n | round(-10000000) }}",
        "{{ 1 | round(-10000000000) }}",
        "{{ [[1]] | sum }}",
    ],
)
def test_nothing_grows_without_bounds(text):
    with pytest.raises(BadTemplate, match=r"longer than|too large|is no number|at most"):
        render(text)


@pytest.mark.parametrize(
    ("form", "times"),
    [
        ("({})", 20),
        ("[{}]", 20),
        ("(not {})", 20),
        ("({} if true else 1)", 20),
        ("(1 | default({}))", 10),
        ("{{'a': {}}}", 19),
        ("[{}][0]", 19),
    ],
)
def test_what_is_nested_as_deep_as_may_be_can_be_rendered_from_a_deep_stack(form, times):
    expression = "1"
    for _ in range(times):
        expression = form.format(expression)

    def deep(levels):
        return deep(levels - 1) if levels else render(f"{{{{ {expression} }}}} ")

    assert deep(200)


def test_brackets_are_counted_in_expressions_only():
    sql = "SELECT " + "(" * 50 + "1" + ")" * 50
    assert render(sql + " = {{ '[[[' }}") == sql + " = [[["


def test_what_a_template_names_is_known_before_it_is_rendered():
    found = parse("{{ tasks.x.result[tasks['a.b'].result[0]] }} {{ params.day }} {{ item }}")

    assert found.tasks == {"x", "a.b"}
    assert found.params == {"day"}
    assert found.names == {"tasks", "params", "item"}
    assert parse("{{ params[params.day] }}").params is None
    assert parse("{{ params | tojson }}").params is None


def test_a_list_is_named_by_its_path():
    assert list_place("tasks.list.result") == ("tasks", "list", ())
    place = ("tasks", "a.b", ("files", 0, "names"))
    assert list_place("tasks['a.b'].result.files[0].names") == place
    assert list_place("params.files") == ("params", "files", ())
    assert list_place("params['a.b'].c[0]") == ("params", "a.b", ("c", 0))


@pytest.mark.parametrize(
    "over",
    [
        "",
        "list",
        "tasks.list",
        "params",
        "params[0]",
        "params[params.k]",
        "tasks.list.result | list",
        "tasks.list.result[params.k]",
        "tasks.list.result[1:]",
        "{{ tasks.list.result }}",
        "tasks.list.result }} {{ ds",
        "tasks.list.result + tasks.list.result",
    ],
)
def test_anything_else_names_no_list(over):
    with pytest.raises(BadTemplate, match=r'must be "tasks\.LIST\.result" or "params'):
        list_place(over)


@given(json_values)
def test_a_single_expression_keeps_any_value(value):
    found = parse("{{ params.k }}").render({"params": Params(k=value)})

    assert json.dumps(found) == json.dumps(value)


@given(st.text(), st.text())
@example("{{ ds }}", "{% raw %}")
def test_no_value_becomes_a_template(before, value):
    if "{" in before:
        before = ""
    text = parse(before + "{{ params.k }}!").render({"params": Params(k=value)})

    assert text.endswith(value + "!")


SMALLER = 50  # than in truth: `tracemalloc` is slow
MANY = {
    "params": Params(
        small=["y"] * 400,
        big="x" * 2_000,
        digits="9" * 1_200,
        number=int("9" * 1_200),
        objects=[{"a": number} for number in range(200)],
        empty=[[] for _ in range(600)],
    ),
    "ds": "2026-01-31",
}


@pytest.fixture(scope="module")
def smaller():
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MAX_TEXT", "MAX_CHARACTERS", "MAX_STEPS"):
            patch.setattr(rendering, name, getattr(rendering, name) // SMALLER)
        yield


@contextmanager
def little_memory():
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 200_000_000 // SMALLER
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("smaller")
@pytest.mark.parametrize(
    "expression",
    [
        "params.small | map(attribute='x', default=params.big) | tojson",
        "params.small | map(attribute='x', default=params.big) | map('upper')",
        "params.small | map(attribute='x', default=params.big) | select('eq', params.big ~ '')",
        "params.small | map(attribute='x', default=params.big) | sort | first",
        "params.small | map(attribute='x', default=params.big) | unique | length",
        "params.small * 3",
        "params.small | map(attribute='x', default=params.big) | select('lower') | list",
        "params.small | map(attribute='x', default=params.number) | map('string') | list | length",
        "params.small | map(attribute='x', default=params.digits) | map('int') | sum | tojson",
        "params.small | map(attribute='x', default=params.small) | select('eq', params.small)",
        "params.small in (params.small | map(attribute='x', default=params.small))",
        "params.small | map(attribute='" + "1." * 400 + "1', default=1) | length",
        "params.big | trim(params.big)",
        "[" + ", ".join(["params.small"] * 900) + "]",
        "[" + ", ".join(["params.big"] * 900) + "]",
        "params.number * params.number * params.number * params.number",
        "params.number | add_days(1)",
        "params.big | add_days(1)",
        "ds | strftime('%999999999Y')",
        "ds | strftime(params.big)",
        "'%999999999d' is even",
        "['%999999999d'] | select('odd')",
        "params.objects | map('tojson') | join(params.big)",
    ],
)
def test_nothing_takes_the_memory_or_the_time_of_a_worker(expression):
    template = parse(f"{{{{ {expression} }}}}")
    with little_memory(), pytest.raises(BadTemplate) as raised:
        template.render(MANY)

    assert len(str(raised.value)) < 1_500


@pytest.mark.usefixtures("smaller")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ params.empty }}", "the templates of this task take more than 20,000 steps"),
        ("{{ params.big }}", "the templates of this task make texts of more than 200,000 char"),
    ],
)
def test_all_templates_of_a_task_have_one_budget(text, message):
    of_task = Rendering()
    template = parse(text)
    for _ in range(10):
        template.render(MANY, of_task)
    with pytest.raises(BadTemplate, match=message):
        [template.render(MANY, of_task) for _ in range(100)]


ATOMS = ["ds", "params", "params.n", "tasks.x.result", "tasks.x.result.long", "item", "3", "'a'"]
ATOMS += ["none", "[1, 'b']", "{'a': 1}", "params.k"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "~", "<", "==", "and"]
EXPRESSIONS = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(OPERATORS), inner)
        | st.builds("({} | {})".format, inner, st.sampled_from(sorted(FILTERS)))
        | st.builds("({} | {}({}))".format, inner, st.sampled_from(sorted(FILTERS)), inner)
        | st.builds("({} | replace({}, {}))".format, inner, inner, inner)
        | st.builds("({} if {} else {})".format, inner, inner, inner)
        | st.builds("({}[{}])".format, inner, inner)
        | st.builds("({}).items".format, inner)
    ),
    max_leaves=8,
)


HOSTILE = [f"params.{name}" for name in MANY["params"]] + ["ds", "'%9999d'", "-9", "[params.big]"]
STEPS = [f"|{name}" for name in FILTERS] + [f"|map('{name}')" for name in OF_MAP]
STEPS += [" is even", " is lower", " is iterable"]
STEPS += [
    form.format(value)
    for value in HOSTILE
    for form in (
        *("|map(attribute='a', default={})", "|select('eq', {})", "|select('in', {})", "|join({})"),
        *("|replace('x', {})", "|split({})", "|trim({})", "|default({})", "|sort(attribute={})"),
        *("|add_days({})", "|strftime({})", "|round({})", "~{}", "+{}", "*{}", "==[{}]", "[{}]"),
    )
]
CHAINS = st.builds(
    "{}{}".format,
    st.sampled_from(HOSTILE),
    st.lists(st.sampled_from(STEPS), min_size=1, max_size=8).map("".join),
)


@pytest.mark.usefixtures("smaller")
@given(st.lists(CHAINS, min_size=1, max_size=4))
def test_no_templates_of_a_task_take_more_than_their_budget(expressions):
    of_task = Rendering()
    with little_memory():
        for expression in expressions:
            with suppress(BadTemplate):
                parse(f"{{{{ {expression} }}}}").render(MANY, of_task)


@given(EXPRESSIONS)
def test_any_expression_is_a_value_of_json_or_a_bad_template(expression):
    try:
        value = render(f"{{{{ {expression} }}}}")
    except BadTemplate:
        return
    assert len(json.dumps(value)) < 10 * MAX_TEXT


@given(st.text("{}%#ds.|[]()'\" \\\n1ab~-", max_size=30))
def test_any_text_is_a_template_or_a_bad_one(text):
    try:
        parse("{{" + text)
        parse(text + "{{ ds }}")
    except BadTemplate:
        return
