"""Edits of tasks and fields: small in the text, and followed wherever a task is named."""

from __future__ import annotations

import json

import pytest

from pydag_dist import Dag
from pydag_dist.dag.editing.changes import applied, inverse
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
from pydag_dist.dag.params.single_quoted import read_params
from pydag_dist.dag.templates.parsing import parsed
from pydag_dist.dag.templates.texts import templates
from pydag_dist.errors import InvalidDag, PydagError
from tests.support.documents import ROOT
from tests.unit.dag.editing.support import FILES, styles, text_of

OURS = """{
  "dag_id": "d",
  "processors": 4,
  "tasks": [
    {
      "task_id": "a",
      "operator": "python.call",
      "params": {"callable": "m:f"}
    },
    {
      "task_id": "b",
      "operator": "python.call",
      "params": {"callable": "m:f", "args": ["{{ tasks.a.result.rows }}"]},
      "dependencies": ["a"]
    }
  ]
}
"""
MADE = """{
  "dag_id": "sales",
  "tasks": [
    {
      "task_id": "make",
      "operator": "bigquery.query",
      "params": {"sql": "SELECT 1"}
    },
    {
      "task_id": "tell",
      "operator": "python.call",
      "params": {"callable": "etl:tell", "args": ["x", 1]},
      "dependencies": ["make"]
    }
  ]
}
"""
NEW = """    {
      "task_id": "c",
      "operator": "branch",
      "params": {"callable": "m:h"}
    },
"""
PYDAG = """{"dag": {"dag_id": "TEST_DAG", "processors": 4, "retries": 0,
  "tasks": [
    {"task_id": "create_1",
     "script": "gcs.bucket.folder.bq.create",
     "params": "{'project':'p', 'dataset':'it',  'n':1}",
     "dependencies": []},
    {"task_id": "ingest",   "script": "gcs.bucket.folder.bq.ingest",
     "params": "{'day':'{{ tasks.create_1.result }}'}",
     "dependencies": ["create_1"]}
  ]}}"""
NEW_OF_PYDAG = """    {"task_id": "x",
     "script": "s",
     "dependencies": []}
"""


def after(text, *edits):
    changes = edited(text, edits)
    made = applied(text, changes)
    assert applied(made, inverse(text, changes)) == text
    return made


def replaced(text, *pairs):
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    ("edit", "pairs"),
    [
        (SetField(("processors",), 8), [('"processors": 4', '"processors": 8')]),
        (SetField(("retries",), 1), [("4,\n", '4,\n  "retries": 1,\n')]),
        (
            SetField(("retries",), 1, "b"),
            [('"dependencies": ["a"]\n', '"dependencies": ["a"],\n      "retries": 1\n')],
        ),
        (SetField(("params", "callable"), "m:g", "a"), [('m:f"}\n', 'm:g"}\n')]),
        (SetField(("params", "args", 1), "x", "b"), [('rows }}"]', 'rows }}", "x"]')]),
        (RemoveField(("processors",)), [('  "processors": 4,\n', "")]),
        (RemoveField(("params", "args", 0), "b"), [('["{{ tasks.a.result.rows }}"]', "[]")]),
        (RemoveField(("params", "args"), "b"), [(', "args": ["{{ tasks.a.result.rows }}"]', "")]),
        (RemoveDependency("b", "a"), [('["a"]', "[]")]),
        (
            AddDependency("a", "b"),
            [
                (
                    '"params": {"callable": "m:f"}\n',
                    '"params": {"callable": "m:f"},\n      "dependencies": ["b"]\n',
                )
            ],
        ),
        (
            AddTask({"task_id": "c", "operator": "branch", "params": {"callable": "m:h"}}, "a"),
            [("    },\n", f"    }},\n{NEW}")],
        ),
        (
            RenameTask("a", "first"),
            [
                ('"task_id": "a"', '"task_id": "first"'),
                ("tasks.a.", "tasks.first."),
                ('["a"]', '["first"]'),
            ],
        ),
        (
            RenameTask("a", "a-1"),
            [
                ('"task_id": "a"', '"task_id": "a-1"'),
                ("tasks.a.", "tasks['a-1']."),
                ('["a"]', '["a-1"]'),
            ],
        ),
    ],
    ids=lambda each: type(each).__name__ if not isinstance(each, list) else "",
)
def test_edits_of_our_form(edit, pairs):
    assert after(OURS, edit) == replaced(OURS, *pairs)


@pytest.mark.parametrize(
    ("edit", "pairs"),
    [
        (SetField(("retries",), 3, "ingest"), [('"]}', '"],\n     "retries": 3}')]),
        (SetField(("weight",), 2), [('"retries": 0,', '"retries": 0, "weight": 2,')]),
        (SetField(("params", "project"), "q", "create_1"), [("'p'", "'q'")]),
        (SetField(("params", "n"), None, "create_1"), [("'n':1", "'n':null")]),
        (
            SetField(("params", "table"), "it's \"x\"", "create_1"),
            [("'n':1", "'n':1, 'table':'it\\\\u0027s \\\\u0022x\\\\u0022'")],
        ),
        (RemoveField(("params", "dataset"), "create_1"), [(", 'dataset':'it'", "")]),
        (AddDependency("create_1", "ingest"), [("[]", '["ingest"]')]),
        (
            AddTask({"task_id": "x", "script": "s", "dependencies": []}),
            [('"]}\n', f'"]}},\n{NEW_OF_PYDAG}')],
        ),
        (
            RenameTask("create_1", "z"),
            [
                ('"task_id": "create_1"', '"task_id": "z"'),
                ("tasks.create_1.", "tasks.z."),
                ('["create_1"]', '["z"]'),
            ],
        ),
    ],
    ids=lambda each: type(each).__name__ if not isinstance(each, list) else "",
)  # fmt: skip
def test_edits_of_pydags_form(edit, pairs):
    assert after(PYDAG, edit) == replaced(PYDAG, *pairs)


def test_a_file_that_is_made_of_edits_looks_as_a_person_writes_it():
    text = '{\n  "dag_id": "sales",\n  "tasks": []\n}\n'
    for edit in (
        AddTask({"task_id": "make", "operator": "bigquery.query", "params": {}}),
        SetField(("params", "sql"), "SELECT 1", "make"),
        AddTask({"task_id": "tell", "operator": "python.call", "params": {}}),
        SetField(("params", "callable"), "etl:tell", "tell"),
        SetField(("params", "args"), ["x", 1], "tell"),
        AddDependency("tell", "make"),
    ):
        text = after(text, edit)
    assert text == MADE


def test_a_text_of_params_stays_one_whatever_it_is_given():
    for given in ('{"a": 1}', "{'a': 'it is'}", """{'a': "it's", 'b': True}""", "", "{}"):
        text = json.dumps({"dag_id": "d", "tasks": [{"task_id": "t", "params": given}]})
        for value in ("'", '"', '\\"', "\\", "\n", {"k": ["'"]}, 7, "\U0001f600"):
            made = json.loads(after(text, SetField(("params", "new"), value, "t")))
            params = made["tasks"][0]["params"]
            assert isinstance(params, str)
            assert read_params(params) == read_params(given) | {"new": value}
        whole = json.loads(after(text, SetField(("params",), {"x": 1}, "t")))["tasks"][0]["params"]
        assert isinstance(whole, str)
        assert read_params(whole) == {"x": 1}


def test_several_edits_are_one_change_of_the_text():
    edits = [
        AddTask({"task_id": "c", "operator": "python.call", "params": {"callable": "m:f"}}),
        AddDependency("c", "b"),
        RenameTask("b", "bb"),
    ]
    dag = Dag.parse(after(OURS, *edits))
    assert dag.tasks["c"].dependencies == ["bb"]


BRANCH = json.dumps(
    {
        "dag_id": "d",
        "tasks": [
            {"task_id": "n", "operator": "python.call", "params": {"callable": "m:f"}},
            {
                "task_id": "x",
                "operator": "branch",
                "params": {
                    "when": "tasks.n.result.n > 1 and tasks['n'].result.tasks.n",
                    "then": ["yes"],
                    "else": "n-o",
                },
                "dependencies": ["n"],
            },
            {
                "task_id": "yes",
                "operator": "python.call",
                "params": {
                    "callable": "m:f",
                    "args": ["n {{- tasks . n .result }} n\r\n{{ 'n' }}"],
                },
                "dependencies": ["x", "n"],
                "teardown_of": "n",
                "expand": {"over": "tasks.n.result.n"},
            },
            {
                "task_id": "n-o",
                "operator": "python.call",
                "params": {
                    "callable": "m:f",
                    "args": ["{{ tasks['n-o'].n", "{{ params.tasks.n }}"],
                },
                "dependencies": ["x"],
            },
        ],
    },
    indent=2,
)


def test_a_rename_follows_wherever_the_task_is_named():
    made = after(BRANCH, RenameTask("n", "m"))
    assert made == replaced(
        BRANCH,
        ('"task_id": "n"', '"task_id": "m"'),
        ("tasks.n.result.n > 1 and tasks['n'].", "tasks.m.result.n > 1 and tasks.m."),
        ('"dependencies": [\n        "n"', '"dependencies": [\n        "m"'),
        ("tasks . n .", "tasks .m ."),
        ('"x",\n        "n"', '"x",\n        "m"'),
        ('"teardown_of": "n"', '"teardown_of": "m"'),
        ('"over": "tasks.n.', '"over": "tasks.m.'),
    )
    made = after(BRANCH, RenameTask("yes", "ja"), RenameTask("n-o", "nein"))
    params = json.loads(made)["tasks"][1]["params"]
    assert (params["then"], params["else"]) == (["ja"], "nein")


def test_a_task_that_is_removed_takes_its_edges_along():
    made = json.loads(after(BRANCH, RemoveTask("n-o"), RemoveTask("n")))
    assert [task["task_id"] for task in made["tasks"]] == ["x", "yes"]
    assert made["tasks"][0]["dependencies"] == []
    assert "else" not in made["tasks"][0]["params"]
    assert "teardown_of" not in made["tasks"][1]
    assert made["tasks"][1]["dependencies"] == ["x"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (RenameTask("a", "b"), "is the id of another task"),
        (RenameTask("a", "b c"), "must be of the characters"),
        (RenameTask("a", "b\n"), "must be of the characters"),
        (RenameTask("nope", "b"), "is no task of this DAG"),
        (RemoveTask("nope"), "is no task of this DAG"),
        (AddTask({"task_id": "a"}), "is the id of another task"),
        (AddTask({"operator": "x"}), "has no task_id"),
        (AddTask({"task_id": "z"}, "nope"), "is no task of this DAG"),
        (AddDependency("a", "nope"), "is no task of this DAG"),
        (AddDependency("a", "a"), "can't wait for itself"),
        (RemoveDependency("a", "b"), "does not wait for"),
        (SetField(("tasks",), []), "name the task"),
        (SetField(("task_id",), "x", "a"), "rename the task"),
        (SetField(("params", 0), "x", "a"), "there is no such place"),
        (SetField(("params", "args", 9), "x", "b"), "there is no such place"),
        (RemoveField(("retries",), "a"), "there is no such place"),
        (RemoveField(("params", "args", -1), "b"), "there is no such place"),
        (SetField(("params", "x"), float("inf"), "a"), "can't be written"),
    ],
)
def test_what_can_not_be_done_is_refused(edit, message):
    with pytest.raises(PydagError, match=message):
        edited(OURS, [edit])


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"dag": 1}', '{"dag_id": "d", "tasks": 1}', "[" * 100_000]
)
def test_a_text_that_is_no_dags_is_refused(text):
    with pytest.raises(PydagError):
        edited(text, [AddTask({"task_id": "a"})])


def test_ids_that_are_there_twice_are_left_to_people():
    text = json.dumps({"dag_id": "d", "tasks": [{"task_id": "a"}, {"task_id": "a"}, 5]})
    with pytest.raises(PydagError, match="id of several tasks"):
        edited(text, [RemoveTask("a")])


def _right(file):
    try:
        return Dag.load(file)
    except InvalidDag:
        return None


@pytest.mark.parametrize(
    "file", [f for f in FILES if _right(f)], ids=lambda file: str(file.relative_to(ROOT))
)
def test_each_task_of_each_file_can_be_renamed(file):
    dag = _right(file)
    for text in styles(text_of(file)):
        for name in dag.tasks:
            made = Dag.parse(after(text, RenameTask(name, "zz-9")))
            assert list(made.tasks) == ["zz-9" if n == name else n for n in dag.tasks]
            for old, new in zip(dag.tasks.values(), made.tasks.values(), strict=True):
                assert new.dependencies == ["zz-9" if n == name else n for n in old.dependencies]
                assert _named(new) == {"zz-9" if n == name else n for n in _named(old)}


def _named(task):
    found = {n for _, text in templates(task.params_to_render) for n in parsed(text).tasks}
    return found | {task.teardown_of} | ({task.expand.task} if task.expand else set())


@pytest.mark.parametrize("depth", [90, 300, 900, 3000])
def test_what_is_nested_deeply_is_edited_or_refused(depth):
    deep = "[" * depth + '"{{ tasks.a.result }}"' + "]" * depth
    text = f'{{"tasks": [{{"task_id": "a"}}, {{"task_id": "b", "params": {{"x": {deep}}}}}]}}'
    edits = [RenameTask("a", "c"), SetField(("params", "x"), [], "b"), RemoveTask("b")]
    refused = 0
    for edit in edits:
        try:
            assert after(text, edit) != text
        except PydagError:
            refused += 1
    assert refused == 0 or depth > 90
