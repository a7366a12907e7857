"""Two people's changes of one file: other tasks merge, the same field asks."""

from __future__ import annotations

import json
from random import Random

import pytest

from pydag_dist.dag.editing.changes import applied
from pydag_dist.dag.editing.edits import (
    AddDependency,
    AddTask,
    RemoveDependency,
    RemoveField,
    RemoveTask,
    RenameTask,
    SetField,
    edited,
)
from pydag_dist.dag.editing.merging import Conflict, merged
from pydag_dist.dag.editing.rewriting import same
from pydag_dist.errors import PydagError
from tests.support.documents import ROOT
from tests.unit.dag.editing.support import FILES, styles, text_of

BASE = json.dumps(
    {
        "dag_id": "d",
        "retries": 1,
        "tasks": [
            {"task_id": "a", "script": "s", "params": "{'x':'1', 'y':'2'}"},
            {"task_id": "b", "params": {"x": 1, "y": [1]}, "dependencies": ["a"]},
            {"task_id": "c", "dependencies": ["a"]},
        ],
    },
    indent=2,
)


def after(*edits, text=BASE):
    return applied(text, edited(text, edits))


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (SetField(("retries",), 2), SetField(("weight",), 2)),
        (SetField(("params", "x"), 2, "b"), SetField(("params", "y"), [2], "b")),
        (SetField(("params", "x"), "3", "a"), SetField(("params", "z"), "it's", "a")),
        (AddDependency("c", "b"), RemoveDependency("c", "a")),
        (AddTask({"task_id": "n"}, "a"), AddTask({"task_id": "m"}, "a")),
        (AddTask({"task_id": "n"}, "c"), RemoveTask("b")),
        (RemoveField(("params",), "b"), SetField(("queue",), "q", "b")),
        (RemoveTask("b"), RemoveTask("b")),
        (SetField(("retries",), 2, "c"), SetField(("retries",), 2, "c")),
        (RenameTask("c", "z"), SetField(("params", "x"), 5, "b")),
    ],
)
def test_changes_of_other_fields_are_both_there(mine, theirs):
    text, conflicts = merged(BASE, after(mine), after(theirs))
    assert conflicts == []
    other, _ = merged(BASE, after(theirs), after(mine))
    by_id = [
        {task["task_id"]: task for task in json.loads(each)["tasks"]} for each in (text, other)
    ]
    assert by_id[0] == by_id[1] or mine == SetField(("params", "x"), "3", "a")
    if mine != theirs:
        wanted = after(theirs, text=after(mine))
        assert {t["task_id"] for t in json.loads(wanted)["tasks"]} == set(by_id[0])


@pytest.mark.parametrize(
    ("mine", "theirs", "conflict"),
    [
        (SetField(("retries",), 2), SetField(("retries",), 3), Conflict(None, "retries", 1, 2, 3)),
        (
            SetField(("retries",), 2),
            RemoveField(("retries",)),
            Conflict(None, "retries", 1, 2, None),
        ),
        (
            SetField(("params", "x"), 2, "b"),
            SetField(("params", "x"), True, "b"),
            Conflict("b", "params.x", 1, 2, True),
        ),
        (
            SetField(("params", "x"), "7", "a"),
            SetField(("params", "x"), "8", "a"),
            Conflict("a", "params.x", "1", "7", "8"),
        ),
        (
            RemoveTask("c"),
            SetField(("retries",), 9, "c"),
            Conflict(
                "c",
                "",
                {"task_id": "c", "dependencies": ["a"]},
                None,
                {"task_id": "c", "dependencies": ["a"], "retries": 9},
            ),
        ),
        (
            AddTask({"task_id": "n", "retries": 1}),
            AddTask({"task_id": "n", "retries": 2}),
            Conflict("n", "retries", None, 1, 2),
        ),
    ],
)
def test_the_same_field_asks_with_both_values(mine, theirs, conflict):
    text, conflicts = merged(BASE, after(mine), after(theirs))
    assert conflicts == [conflict]
    assert same(json.loads(text), json.loads(after(theirs)))
    text, conflicts = merged(BASE, after(mine), after(theirs), "mine")
    assert conflicts == []
    assert same(json.loads(text), json.loads(after(mine)))


def test_what_only_they_have_changed_stays_to_the_byte():
    theirs = BASE.replace('"retries": 1', '"retries"  :  5').replace("\n", "\r\n")
    text, conflicts = merged(BASE, after(SetField(("queue",), "q", "c")), theirs)
    assert conflicts == []
    [before, behind] = text.split(',\r\n      "queue": "q"')
    assert before + behind == theirs


@pytest.mark.parametrize("wrong", ["{", "[]", "", "7"])
def test_what_is_no_dag_is_refused(wrong):
    with pytest.raises(PydagError):
        merged(BASE, wrong, after(SetField(("retries",), 3)))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_random_changes_of_different_tasks_merge(file):
    random = Random(file.name)
    for text in styles(text_of(file)):
        try:
            tasks = json.loads(text.removeprefix("\ufeff"))
            tasks = tasks.get("dag", tasks)["tasks"]
            names = [task["task_id"] for task in tasks]
            if len(set(names)) < len(names):
                continue
            one, other = random.sample(names, 2)
            edits = [
                random.choice([
                    SetField(("description",), "x", name), SetField(("params",), {"q": 1}, name),
                    SetField(("retries",), 7, name), AddTask({"task_id": f"{name}_x"}, name),
                ])
                for name in (one, other)
            ]  # fmt: skip
            both = after(*edits, text=text)
        except (ValueError, LookupError, TypeError, AttributeError, PydagError):
            continue  # not two tasks with ids of their own
        made, conflicts = merged(text, after(edits[0], text=text), after(edits[1], text=text))
        assert conflicts == []
        assert same(
            json.loads(made.removeprefix("\ufeff")), json.loads(both.removeprefix("\ufeff"))
        )
