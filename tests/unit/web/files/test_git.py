"""Commits of single files, and a repository whose settings are an attack."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.support.web import OURS, Web

NEW = {"If-None-Match": "*"}


def dag(name):
    task = {"task_id": "a", "operator": "python.call", "params": {"callable": "m:f"}}
    return json.dumps({"dag_id": name, "tasks": [task]})


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    made = tmp_path / "repository"
    (made / "dags").mkdir(parents=True)
    git(made, "init", "-q", "-b", "main")
    return made


def git(repository, *arguments):
    who = ["-c", "user.name=Ana", "-c", "user.email=ana@example.com"]
    return subprocess.run(
        ["git", *who, *arguments], cwd=repository, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def web(connection, tmp_path, repository, monkeypatch):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path / "home"))
    return Web(files=repository / "dags")


def put(web, path, text, headers=NEW, message="", **options):
    body = {"text": text, "message": message}
    return web.ask("PUT", f"/api/v1/files/{path}", headers=OURS | headers, json=body, **options)


def test_a_save_with_a_message_is_a_commit_of_that_file_alone(web, repository):
    first = put(web, "a.json", dag("one"), message="The first")
    assert first.json()["commit_problem"] is None
    (repository / "other.txt").write_text("staged")
    git(repository, "add", "other.txt")
    second = put(web, "a.json", dag("two"), {"If-Match": first.headers["ETag"]}, message="2\n\nwhy")
    assert git(repository, "status", "--porcelain") == "A  other.txt\n"
    assert git(repository, "show", "--name-only", "--format=%s|%an|%cn", "HEAD").split("\n") == [
        "2|" + git(repository, "log", "-1", "--format=%an").strip() + "|pydag web", "",
        "dags/a.json", "",
    ]  # fmt: skip
    found = web.get("/api/v1/files/a.json/history").json()
    assert [commit["message"] for commit in found["commits"]] == ["2", "The first"]
    assert found["commits"][0]["commit"] == second.json()["commit"]
    past = web.get(f"/api/v1/files/a.json/history/{first.json()['commit']}")
    assert past.json()["text"] == dag("one")
    assert web.get("/api/v1/files/a.json/history/0123456789").status_code == 404
    assert web.get("/api/v1/files/a.json/history/HEAD").status_code == 422
    gone = web.ask("DELETE", "/api/v1/files/a.json?message=Gone", headers=OURS | {"If-Match": "*"})
    assert gone.status_code == 204
    assert git(repository, "ls-tree", "-r", "--name-only", "HEAD") == ""
    assert [c["message"] for c in web.get("/api/v1/files/a.json/history").json()["commits"]] == [
        "Gone", "2", "The first",
    ]  # fmt: skip


def test_a_save_without_a_message_is_no_commit(web, repository):
    put(web, "a.json", dag("one"))
    assert web.get("/api/v1/files").json()["is_git"] is True
    assert git(repository, "status", "--porcelain", "-uall") == "?? dags/a.json\n"


def test_a_folder_in_no_work_tree_commits_nothing(connection, tmp_path, monkeypatch):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    (tmp_path / "dags").mkdir()
    web = Web(files=tmp_path / "dags")
    assert web.get("/api/v1/files").json()["is_git"] is False
    assert put(web, "a.json", dag("one"), message="x").status_code == 409
    assert [each.name for each in (tmp_path / "dags").iterdir()] == []


def test_a_repository_can_run_nothing(web, repository, tmp_path):
    put(web, "a.json", dag("one"), message="first")
    ran = tmp_path / "ran"
    attack = repository / "attack.sh"
    attack.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    attack.chmod(0o755)
    hooks = repository / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for hook in (
        "pre-commit", "commit-msg", "post-commit", "reference-transaction", "post-index-change",
        "prepare-commit-msg", "post-rewrite",
    ):  # fmt: skip
        (hooks / hook).write_text(attack.read_text())
        (hooks / hook).chmod(0o755)
    for name in (
        "core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "core.askPass",
        "diff.external", "gpg.program", "filter.x.clean", "filter.x.smudge", "filter.x.process",
        "diff.x.textconv", "diff.x.command", "alias.log", "alias.rev-parse", "core.gitProxy",
        "credential.helper", "pager.log", "trailer.x.command",
    ):  # fmt: skip
        git(repository, "config", name, str(attack))
    for name in ("commit.gpgSign", "log.showSignature", "core.hooksPath"):
        value = str(hooks) if name == "core.hooksPath" else "true"
        git(repository, "config", name, value)
    (repository / "dags/.gitattributes").write_text("* filter=x diff=x\n")
    read = web.get("/api/v1/files/a.json")
    saved = put(web, "a.json", dag("two"), {"If-Match": read.headers["ETag"]}, message="second")
    assert saved.json()["commit_problem"] is None
    found = web.get("/api/v1/files/a.json/history").json()
    assert [commit["message"] for commit in found["commits"]] == ["second", "first"]
    assert web.get("/api/v1/files").json()["is_git"] is True
    assert not ran.exists()


def test_a_file_is_saved_though_it_can_not_be_committed(web, repository):
    first = put(web, "a.json", dag("one"), message="first")
    (repository / ".git/index.lock").touch()
    (repository / ".git/HEAD.lock").touch()
    saved = put(web, "a.json", dag("two"), {"If-Match": first.headers["ETag"]}, message="second")
    assert saved.status_code == 200
    assert saved.json()["commit"] is None
    assert "lock" in saved.json()["commit_problem"]
    assert (repository / "dags/a.json").read_text() == dag("two")


@pytest.mark.parametrize("message", ["-m evil", "--amend", "\n", "a\x00b", "x" * 5000, "ü\u202e"])
def test_any_message_is_but_a_message(web, repository, message):
    saved = put(web, "a.json", dag("one"), message=message)
    assert saved.status_code == 201
    problem = saved.json()["commit_problem"]
    assert problem or git(repository, "log", "--format=%B").strip() == message.strip()
