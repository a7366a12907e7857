"""What changed between two states of a DAG, and the text as it was."""

from __future__ import annotations

import json
import os
from random import Random

import pytest

from pydag_dist.dag import Dag
from pydag_dist.dag.editing.comparing import differences, since
from pydag_dist.errors import InvalidDag, PydagError
from tests.support.documents import ROOT
from tests.unit.dag.editing.support import FILES, styles, text_of

EDITS = int(os.environ.get("PYDAG_TEST_EXAMPLES", "0")) or 1


def task(name, *upstream, **fields):
    params = {"callable": "m:f"}
    base = {"task_id": name, "operator": "python.call", "params": params}
    return {**base, "dependencies": list(upstream), **fields}


def text(*tasks, **fields):
    return json.dumps({"dag_id": "d", **fields, "tasks": tasks})


def as_it_was(file, was):
    return since(file, Dag.parse(file), was)[0]


def test_fields_tasks_and_edges_are_compared():
    before = text(task("a"), task("b", "a"), task("c", "a", "b"), retries=1, owner="x")
    after = text(task("a", queue="q"), task("c", "a"), task("e", "c"), retries=2, owner="x")
    found = differences(before, after)
    assert found.fields == ["retries"]
    assert [(each.task, each.what, each.fields) for each in found.tasks] == [
        ("e", "added", []),
        ("b", "removed", []),
        ("a", "changed", ["queue"]),
        ("c", "changed", ["dependencies"]),
    ]
    assert [(each.upstream, each.task, each.what) for each in found.edges] == [
        ("c", "e", "added"),
        ("a", "b", "removed"),
        ("b", "c", "removed"),
    ]


@pytest.mark.parametrize("wrong", ['{"tasks": 5}', '{"tasks": [1, {"task_id": []}, {}]}', "{}"])
def test_what_is_no_task_is_not_compared(wrong):
    assert differences(wrong, wrong).tasks == []
    assert [each.what for each in differences(wrong, text(task("a"))).tasks] == ["added"]
    with pytest.raises(PydagError, match="can't be compared"):
        differences("{", wrong)


def test_what_means_the_same_stays_as_the_file_has_it():
    file = """{"dag": {"dag_id": "d", "tasks": [
  {"task_id": "a", "operator": "python.call", "retries": 0,
   "params": "{'callable': 'm:f', 'args': [1]}"}
]}}"""
    was = Dag.parse(file)
    assert as_it_was(file, was) == file
    assert as_it_was(file.replace("[1]", "[2]"), was) == file
    now = file.replace('"retries": 0', '"retries": 3')
    assert as_it_was(now, was) == file
    inherited = file.replace('"dag_id"', '"retries": 0, "dag_id"')
    twice = Dag.parse(inherited.replace('"retries": 0, "dag_id"', '"retries": 2, "dag_id"'))
    assert Dag.parse(as_it_was(inherited, twice)) == twice


def _valid(text):
    try:
        return Dag.parse(text)
    except InvalidDag:
        return None


GOOD = [file for file in FILES if _valid(text_of(file))]


def _another(dag, random):
    """The DAG with something else in it, as any version of it may have."""
    content = dag.to_dict()
    for _ in range(random.randint(1, 3)):
        tasks = content["tasks"]
        chosen = random.choice(tasks)
        match random.randint(0, 4):
            case 0 if len(tasks) > 1:
                tasks.remove(chosen)
            case 1:
                tasks.append(task(f"new_{random.randint(0, 9**9)}", chosen["task_id"]))
            case 2:
                chosen["retries"] = random.randint(0, 5)
            case 3:
                content["description"] = random.choice(["", "x", "é\n"])
            case _:
                chosen.pop("queue", None)
                content["retries"] = random.randint(0, 5)
    return _valid(json.dumps(content))


@pytest.mark.parametrize("file", GOOD, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_text_as_it_was_is_that_dag(file):
    random = Random(file.name)
    for styled in styles(text_of(file)):
        now = Dag.parse(styled)
        assert as_it_was(styled, now) == styled
        for _ in range(EDITS):
            if was := _another(now, random):
                before, found = since(styled, now, was)
                assert Dag.parse(before) == was
                assert found == differences(was.to_json(), now.to_json())
                assert bool(found.fields or found.tasks) == (was != now)
