"""A text gets another value, and nothing else in it changes."""

from __future__ import annotations

import json
import os
from random import Random

import pytest

from pydag_dist.dag.editing.changes import applied, inverse
from pydag_dist.dag.editing.rewriting import rewritten, same
from pydag_dist.dag.text.places import place
from pydag_dist.errors import PydagError
from tests.support.documents import ROOT
from tests.unit.dag.editing.support import FILES, random_edit, styles, text_of

EDITS = int(os.environ.get("PYDAG_TEST_EXAMPLES", "0")) or 1  # of each file in each style


def check_edit(text, path, value):
    """The value is right, nothing outside of what was edited has changed, undo is exact."""
    changes = rewritten(text, value)
    made = applied(text, changes)
    assert same(json.loads(made.removeprefix("\ufeff")), value)
    begin, end = place(text, path)
    assert all(begin <= change.begin and change.end <= end for change in changes)
    assert applied(made, inverse(text, changes)) == text
    assert applied(text, inverse(made, inverse(text, changes))) == made


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_random_edits_in_all_styles(file):
    random = Random(file.name)
    for text in styles(text_of(file)):
        value = json.loads(text.removeprefix("\ufeff"))
        for _ in range(EDITS):
            check_edit(text, *random_edit(value, random))


def changed(text, value):
    return applied(text, rewritten(text, value))


def test_what_is_the_same_is_not_touched():
    text = '{ "a" : [1,2 ,3], "b": "\\u00e9" }'
    assert rewritten(text, {"b": "é", "a": [1, 2, 3]}) == []
    assert changed('{"a": 1}', {"a": True}) == '{"a": true}'
    assert changed('{"a": 1}', {"a": 1.0}) == '{"a": 1.0}'


def test_of_a_string_only_what_differs_changes():
    text = '{"sql": "SELECT \\u00e9, a\\nFROM t"}'
    [change] = rewritten(text, {"sql": "SELECT é, ab\nFROM t"})
    assert change == (text.index("\\nFROM"), text.index("\\nFROM"), "b")
    assert changed('["a"]', ["é\u2028"]) == '["é\u2028"]'
    assert changed('["\\u00fc", "a"]', ["ü", "é"]) == '["\\u00fc", "\\u00e9"]'


def test_a_new_item_is_written_as_its_neighbours():
    lines = '{\n   "a": {"x": 1}\n ,  "b": 2\n}\n'
    assert changed(lines, {"a": {"x": 1, "y": [1, 2]}, "b": 2}) == (
        '{\n   "a": {"x": 1, "y": [1, 2]}\n ,  "b": 2\n}\n'
    )
    tasks = '{"tasks": [\n  {"task_id": "a",\n   "x": [1]},\n  {"task_id": "b",\n   "x": [2]}\n]}'
    new = {"task_id": "c", "x": [3], "y": {"z": 1}}
    assert changed(tasks, {"tasks": [*json.loads(tasks)["tasks"], new]}) == tasks.replace(
        "\n]}", ',\n  {"task_id": "c",\n   "x": [3],\n   "y": {"z": 1}}\n]}'
    )
    wide = json.dumps({"a": [{"b": [1]}]}, indent="\t")
    assert changed(wide, {"a": [{"b": [1]}, {"b": [1, 2]}]}) == json.dumps(
        {"a": [{"b": [1]}, {"b": [1, 2]}]}, indent="\t"
    )
    assert changed('{"a":[]}', {"a": [{"b": 1}]}) == '{"a":[{"b":1}]}'


def test_a_file_of_wide_lists_gets_wide_ones():
    text = json.dumps({"a": {"b": 1}}, indent=4)
    value = {"a": {"b": 1}, "c": {"d": [1, {"e": 2}], "f": []}}
    assert changed(text, value) == json.dumps(value, indent=4)


def test_of_a_key_that_is_there_twice_the_last_one_counts():
    assert changed('{"a": 1, "b": 2, "a": 3}', {"a": 4, "b": 2}) == '{"a": 1, "b": 2, "a": 4}'
    assert changed('{"a": 1, "b": 2, "a": 3}', {"b": 2}) == '{"b": 2}'


@pytest.mark.parametrize("value", [float("nan"), {1}, {"a": object()}])
def test_what_no_json_has_is_refused(value):
    with pytest.raises(PydagError, match="can't be written"):
        rewritten('{"a": 1}', {"a": value})
