"""The files of a folder by REST: read, saved, deleted, and nothing outside of the folder."""

from __future__ import annotations

import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from pydag_dist.errors import InvalidSettings
from pydag_dist.web.folder import folder as folder_module
from pydag_dist.web.folder.folder import etag_of
from pydag_dist.web.settings import WebSettings
from tests.support.web import OURS, Web

DAG = json.dumps(
    {
        "dag_id": "d",
        "tasks": [{"task_id": "a", "operator": "python.call", "params": {"callable": "m:f"}}],
    }
)
NEW = {"If-None-Match": "*"}


@pytest.fixture
def root(tmp_path):
    made = tmp_path / "dags"
    made.mkdir()
    return made


@pytest.fixture
def web(connection, tmp_path, root, monkeypatch):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path / "home"))
    return Web(files=root)


def put(web, path, text=DAG, headers=NEW, query="", **body):
    body |= {"text": text}
    return web.ask("PUT", f"/api/v1/files/{path}{query}", headers=OURS | headers, json=body)


def match(answer):
    return {"If-Match": answer.headers["ETag"]}


def test_a_file_is_made_read_changed_and_deleted(web, root):
    made = put(web, "team/nightly.json")
    assert (made.status_code, made.json()["problems"]) == (201, [])
    assert (root / "team/nightly.json").read_text() == DAG
    read = web.get("/api/v1/files/team/nightly.json")
    assert read.json() == {"path": "team/nightly.json", "text": DAG, "etag": made.json()["etag"]}
    assert read.headers["ETag"] == made.headers["ETag"]
    changed = put(web, "team/nightly.json", "\ufeff" + DAG + "\r\n", match(read))
    assert changed.status_code == 200
    assert (root / "team/nightly.json").read_bytes() == f"\ufeff{DAG}\r\n".encode()
    [item] = web.get("/api/v1/files").json()["items"]
    assert (item["path"], item["bytes"]) == ("team/nightly.json", len(DAG) + 5)
    assert web.ask(
        "DELETE", "/api/v1/files/team/nightly.json", headers=OURS | match(changed)
    ).status_code == 204  # fmt: skip
    assert web.get("/api/v1/files/team/nightly.json").status_code == 404
    facts = web.get("/api/v1/files/team/nightly.json/history").json()["saves"]
    assert [fact["kind"] for fact in facts] == ["delete", "save", "save"]
    assert facts[1]["before"] == facts[2]["after"] == made.json()["etag"]
    assert len({fact["by"] for fact in facts}) == 1
    assert [each.name for each in (root / "team").iterdir()] == []


def test_nobody_overwrites_what_has_changed(web, root):
    made = put(web, "a.json")
    assert put(web, "a.json", headers={}).status_code == 428
    assert put(web, "a.json").status_code == 412
    assert put(web, "b.json", headers=match(made)).status_code == 412
    (root / "a.json").write_text("{}")
    assert put(web, "a.json", headers=match(made)).status_code == 412
    assert web.ask("DELETE", "/api/v1/files/a.json", headers=OURS | match(made)).status_code == 412
    assert web.ask("DELETE", "/api/v1/files/a.json", headers=OURS).status_code == 428
    assert (root / "a.json").read_text() == "{}"


def test_of_many_who_save_at_once_one_does(web, root):
    made = put(web, "a.json")
    texts = [DAG.replace('"d"', f'"d{n}"') for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda text: put(web, "a.json", text, match(made)).status_code, texts))
    assert sorted(done) == [200] + [412] * 7
    assert (root / "a.json").read_text() == texts[done.index(200)]


def test_what_has_problems_is_saved_only_when_asked(web, root):
    for wrong in ('{"dag_id": "d", "tasks": []}', "{", ""):
        refused = put(web, "a.json", wrong)
        assert (refused.status_code, refused.json()["type"]) == (
            422,
            "urn:pydag:problem:invalid-dag",
        )
        assert refused.json()["errors"]
    assert not (root / "a.json").exists()
    saved = put(web, "a.json", "{", query="?allow_problems=true")
    assert saved.status_code == 201
    assert saved.json()["problems"][0]["offset"] == 1
    assert web.get("/api/v1/files/a.json/history").json()["saves"][0]["problems"] == 1


OUTSIDE = [
    "..%2Fx.json", "%2e%2e/x.json", "a/..%2f..%2fx.json", "%2Fetc%2Fpasswd.json", "a%00.json",
    "a%5C..%5Cx.json", "C:x.json", "C%3A%5Cx.json", "CON.json", "aux.json", "a/NUL.b.json",
    "lpt1.json", ".git/config.json", ".x.json", "a/.hidden/x.json", "x.json.", "x.json%20",
    "a%20/x.json", "a%0Ab.json", "x.py", "x", "x.JSON", "a~1.json", "a%E2%80%AEb.json",
    "%CC%81a.json", "a%CC%81.json", "x.json::$DATA", "a//b.json", "a%2F%2Fb.json", "%7E/x.json",
    "a*.json", "a%22b.json", f"{'a' * 101}.json", f"{'a/' * 10}x.json", "%FF.json",
]  # fmt: skip


@pytest.mark.parametrize("path", OUTSIDE)
def test_no_path_leads_outside_or_means_two_things(web, root, path):
    (root.parent / "x.json").write_text("outside")
    before = sorted(root.parent.rglob("*"))
    for answer in (
        put(web, path),
        web.get(f"/api/v1/files/{path}"),
        web.get(f"/api/v1/files/{path}/history"),
        web.ask("DELETE", f"/api/v1/files/{path}", headers=OURS | {"If-Match": "*"}),
        web.ask("POST", f"/api/v1/files/{path}/merge", headers=OURS, json={"base": "", "text": ""}),
    ):
        assert answer.status_code in {404, 405, 422}, answer.text
        assert "outside" not in answer.text
    assert sorted(root.parent.rglob("*")) == before


def test_links_and_what_is_no_file_are_not_followed(web, root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.json").write_text(DAG)
    (root / "link.json").symlink_to(outside / "x.json")
    (root / "folder").symlink_to(outside)
    (root / "round").symlink_to(root)
    os.mkfifo(root / "pipe.json")
    (root / "dir.json").mkdir()
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(root / "socket.json"))
    for path in (
        "link.json",
        "folder/x.json",
        "round/a.json",
        "pipe.json",
        "dir.json",
        "socket.json",
    ):
        assert web.get(f"/api/v1/files/{path}").status_code in {404, 409}, path
        assert put(web, path, headers={"If-Match": "*"}).status_code in {404, 409}, path
        assert put(web, path).status_code in {404, 409, 412}, path
    server.close()
    assert web.get("/api/v1/files").json()["items"] == []
    assert (outside / "x.json").read_text() == DAG
    assert [each.name for each in (outside).iterdir()] == ["x.json"]


def test_names_that_some_systems_take_for_the_same_are_refused(web):
    put(web, "Team/a.json")
    assert put(web, "team/b.json").status_code == 409
    assert put(web, "Team/A.json").status_code == 409
    assert put(web, "Team/ö.json").status_code == 201


def test_a_save_that_fails_leaves_the_file_as_it_was(web, root, monkeypatch):
    made = put(web, "a.json")
    (root / "a.json").chmod(0o640)

    def fails(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_module.os, "fsync", fails)
    refused = put(web, "a.json", DAG + " ", match(made))
    assert refused.status_code in {409, 503}
    monkeypatch.undo()
    assert (root / "a.json").read_text() == DAG
    assert [each.name for each in (root).iterdir()] == ["a.json"]
    assert put(web, "a.json", DAG + " ", match(made)).status_code == 200
    assert (root / "a.json").stat().st_mode & 0o777 == 0o640


def test_nothing_is_saved_that_can_not_be_noted(web, root, tmp_path):
    made = put(web, "a.json")
    [journal] = (tmp_path / "home").glob("files-*.jsonl")
    journal.unlink()
    journal.mkdir()
    assert put(web, "a.json", DAG + " ", match(made)).status_code == 503
    assert (root / "a.json").read_text() == DAG


def test_a_file_that_is_not_utf8_is_not_shown(web, root):
    (root / "a.json").write_bytes(b'{"\xff"}')
    answer = web.get("/api/v1/files/a.json")
    assert (answer.status_code, answer.json()["detail"]) == (409, "a.json is not UTF-8: byte 2")


def test_without_a_folder_there_are_no_files(connection, tmp_path, monkeypatch):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    assert Web().get("/api/v1/files").status_code == 404
    with pytest.raises(InvalidSettings, match="no such folder"):
        WebSettings(files=tmp_path / "nothing").check()


def test_two_who_edit_other_tasks_are_merged_and_one_field_asks(web, root):
    base = json.dumps(
        {"dag_id": "d", "tasks": [*json.loads(DAG)["tasks"], {"task_id": "b", "retries": 1}]},
        indent=1,
    )
    (root / "a.json").write_text(base.replace("m:f", "m:theirs"))

    def merge(text, **body):
        body |= {"base": base, "text": text}
        return web.ask("POST", "/api/v1/files/a.json/merge", headers=OURS, json=body).json()

    found = merge(base.replace('"retries": 1', '"retries": 2'))
    both = base.replace("m:f", "m:theirs").replace('"retries": 1', '"retries": 2')
    assert found == {"text": both, "etag": etag_of((root / "a.json").read_bytes()), "conflicts": []}
    found = merge(base.replace("m:f", "m:mine"))
    assert found["conflicts"] == [
        {
            "task": "a",
            "field": "params.callable",
            "base": "m:f",
            "mine": "m:mine",
            "theirs": "m:theirs",
        }
    ]
    assert merge(base.replace("m:f", "m:mine"), prefer="mine")["text"] == base.replace(
        "m:f", "m:mine"
    )
    both = base.replace("m:f", "m:mine").replace('"d"', '"mine"')
    (root / "a.json").write_text(base.replace("m:f", "m:theirs").replace('"d"', '"theirs"'))
    chosen = {"task": "a", "field": "params.callable", "side": "mine"}
    found = merge(both, choices=[chosen])
    assert found["text"] == base.replace("m:f", "m:mine").replace('"d"', '"theirs"')
    assert [(each["task"], each["field"]) for each in found["conflicts"]] == [(None, "dag_id")]
    chosen = [chosen, {"task": None, "field": "dag_id", "side": "theirs"}]
    assert merge(both, choices=chosen) == {**found, "conflicts": []}
    wrong = web.ask(
        "POST", "/api/v1/files/a.json/merge", headers=OURS, json={"base": base, "text": "{"}
    )
    assert wrong.status_code == 422
