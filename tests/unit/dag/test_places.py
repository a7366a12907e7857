"""Where values stand in a JSON text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydag_dist.dag.text.places import items, place

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


def paths(value, path=()):
    yield path, value
    pairs = value.items() if isinstance(value, dict) else ()
    pairs = enumerate(value) if isinstance(value, list) else pairs
    for key, inner in pairs:
        yield from paths(inner, (*path, key))


@given(VALUES, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_each_value_stands_where_its_path_says(value, indent, ascii_only):
    text = f" \n{json.dumps(value, indent=indent, ensure_ascii=ascii_only)} "
    for path, found in paths(value):
        begin, end = place(text, path)
        assert json.loads(text[begin:end]) == found
        if isinstance(found, list):
            assert [json.loads(text[a:b]) for a, b in items(text, path)] == found


@pytest.mark.parametrize("text", ["", "{", '{"a" 1}', "[1,", '{"a": }', "[" * 100_000])
def test_what_is_no_json_has_no_places(text):
    assert place(text, ["a"]) is None
    assert items(text, ["a"]) == []


def test_what_is_not_there_has_no_place():
    assert place('{"a": [1]}', ["b"]) is None
    assert place('{"a": [1]}', ["a", 1]) is None
    assert place('{"a": 1}', ["a", "b"]) is None
    assert place('{"a": 1, "a": 22}', ["a"]) == (14, 16)
