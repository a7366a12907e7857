from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydag_dist.dag.params.single_quoted import read_params
from pydag_dist.dag.script import PATTERN, ScriptPath
from tests.unit.dag.strategies import json_values, scripts, texts


@given(scripts)
def test_a_path_is_its_five_parts(path):
    script = ScriptPath.parse(path)

    assert script.path == str(script) == path
    assert [script.storage, script.bucket, script.folder, script.engine, script.name] == (
        path.split(".")
    )


PART = st.sampled_from(["x", "a/b", "/a", "a//b", "a\\b", "", " ", "a\nb", "ü-1"])


@given(
    st.tuples(
        st.sampled_from(["gcs", "local", "s3", "database", "ftp", ""]),
        PART,
        PART,
        st.sampled_from(["bq", "spark", "iac", "sh"]),
        PART,
    )
    | st.lists(PART, max_size=7)
)
def test_the_schemas_pattern_and_the_parser_agree(parts):
    path = ".".join(parts)
    try:
        ScriptPath.parse(path)
    except ValueError:
        assert not re.search(PATTERN, path)
    else:
        assert re.search(PATTERN, path)


@pytest.mark.parametrize(("engine", "suffix"), [("bq", ".sql"), ("spark", ".py"), ("iac", ".iac")])
def test_the_engine_says_the_objects_suffix(engine, suffix):
    assert ScriptPath.parse(f"gcs.b.f.{engine}.n").object_name == f"f/n{suffix}"


def test_all_wrong_parts_are_named():
    with pytest.raises(
        ValueError, match=r"storage.*engine.*bucket is empty.*folder.*name"
    ) as caught:
        ScriptPath.parse("ftp../etc.sh. ")
    assert str(caught.value).count(";") == 4


@given(st.dictionaries(texts, json_values, max_size=4))
def test_params_written_as_json_or_as_python_are_the_same(params):
    assert read_params(json.dumps(params)) == params
    assert read_params(repr(params)) == params


@given(
    st.dictionaries(
        st.from_regex(r"[a-zäö_*-]{1,5}", fullmatch=True),
        st.from_regex(r"[a-z0-9, äö:{}\[\]]*", fullmatch=True) | st.integers() | st.booleans(),
    )
)
def test_params_are_read_as_pydag_read_them(params):
    text = json.dumps(params).replace('"', "'")

    assert read_params(text) == json.loads(text.replace("'", '"'))


def test_escapes_of_json_and_of_python_are_read():
    text = r"""{'a': '\u00001234', 'b': '\x41\U0001f600', 'c': "\u00e4\"\'", 'd': '\\'}"""

    assert read_params(text) == {"a": "\x001234", "b": "A\U0001f600", "c": "\xe4\"'", "d": "\\"}


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_an_empty_text_is_no_params(text):
    assert read_params(text) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5", "must be an object"),
        ("nothing", "must be an object, or the text of one in single quotes; not JSON: Expecting"),
        ("{'a': (1, 2)}", "single quotes"),
        (r"{'a': '\d'}", r"not JSON: Invalid \escape"),
        ("{'a': NaN}", "a must be a number, not nan"),
        ("{'a': 1, 'b': {'c': 1, 'c': 2}, 'a': 3}", "a is there more than once; b.c is there"),
        ("{'a':" * 5000, "nested deeper than 100 levels"),
    ],
)
def test_a_text_that_is_no_object_says_why(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_params(text)
