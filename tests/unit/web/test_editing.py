"""Edits of a text by REST."""

from __future__ import annotations

import json

import pytest

from tests.support.web import OURS, Web

TEXT = '{"dag_id": "d \U0001f600", "tasks": [{"task_id": "a"}]}'


@pytest.fixture
def web(connection, tmp_path, monkeypatch):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    return Web()


def asked(web, text, *edits):
    return web.ask("POST", "/api/v1/edit", headers=OURS, json={"text": text, "edits": edits})


def applied(text, changes):
    for change in reversed(changes):
        text = text[: change["begin"]] + change["text"] + text[change["end"] :]
    return text


def test_a_text_is_edited_and_given_back(web):
    edits = [
        {"edit": "rename_task", "task": "a", "to": "b"},
        {"edit": "set", "path": ["params", "args", 0], "value": 7, "task": "b"},
        {"edit": "set", "path": ["retries"], "value": 1},
        {"edit": "add_task", "task": {"task_id": "c"}, "after": "b"},
        {"edit": "add_dependency", "task": "c", "upstream": "b"},
        {"edit": "remove_dependency", "task": "c", "upstream": "b"},
        {"edit": "remove", "path": ["dependencies"], "task": "c"},
        {"edit": "remove_task", "task": "c"},
    ]
    wrong = asked(web, TEXT, *edits)
    assert (wrong.status_code, wrong.json()["detail"]) == (
        422,
        "params.args.0: there is no such place",
    )
    edits[1] = {"edit": "set", "path": ["params", "n"], "value": 7, "task": "b"}
    found = asked(web, TEXT, *edits).json()
    made = applied(TEXT, found["changes"])
    assert json.loads(made) == {
        "dag_id": "d \U0001f600",
        "retries": 1,
        "tasks": [{"task_id": "b", "params": {"n": 7}}],
    }
    assert applied(made, found["undo"]) == TEXT


@pytest.mark.parametrize(
    "edit",
    [
        {"edit": "nothing"},
        {"edit": "set", "value": 1},
        {"edit": "set", "path": [], "value": 1},
        {"edit": "set", "path": [True], "value": 1},
        {"edit": "rename_task", "task": "a", "to": "x y"},
        {"edit": "remove_task", "task": "a", "more": 1},
    ],
)
def test_what_is_no_edit_is_refused(web, edit):
    assert asked(web, TEXT, edit).status_code == 422
