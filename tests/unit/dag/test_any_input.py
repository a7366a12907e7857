"""Whatever is given to `Dag.parse`: a DAG comes out of it, or `InvalidDag`, nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydag_dist.dag import Dag, InvalidDag
from tests.unit.dag.strategies import dags, json_values


def problems(data):
    try:
        dag = Dag.parse(data)
    except InvalidDag as error:
        found = error.problems
    else:
        assert Dag.parse(dag.to_json()) == dag
        return []
    assert found
    for problem in found:
        assert str(problem).isprintable()
    return found


@given(st.text() | st.binary())
def test_any_text(data):
    assert problems(data)


VALUES = st.recursive(
    json_values | st.text(max_size=9) | st.floats(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=3,
)


@given(
    st.lists(VALUES, max_size=3)
    | st.dictionaries(st.text(max_size=9), VALUES, max_size=3)
    | st.none()
    | st.floats()
)
def test_any_json_value(data):
    text_problems = problems(json.dumps(data))
    assert text_problems
    assert [p.message for p in problems(data)] == [p.message for p in text_problems]


@pytest.mark.big
@given(dags(), st.data())
def test_a_dag_without_something_or_with_any_value_somewhere(raw, data):
    place = data.draw(st.sampled_from([raw, *raw["tasks"]]))
    name = data.draw(st.sampled_from(sorted(place)))
    value = place.pop(name)
    problems(json.dumps(raw))

    place[name] = value
    field = data.draw(st.sampled_from(sorted(place)) | st.text())
    place[field] = data.draw(json_values | st.text() | st.integers() | st.just(raw))
    if place[field] is raw:
        place[field] = json.loads("[" * 150 + "]" * 150)

    problems(raw)
    problems(json.dumps(raw))
