"""DAG files by a client that goes by REST."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pydag_dist import Client
from pydag_dist.cli import pydag
from pydag_dist.dag.editing.edits import RemoveTask, RenameTask, SetField
from pydag_dist.errors import ChangedMeanwhile, EngineError, InvalidDag, PydagError, ServiceRefused
from tests.support.service import served
from tests.support.web import Web

TASK = {"task_id": "a", "operator": "python.call", "params": {"callable": "m:f"}}
DAG = json.dumps({"dag_id": "d", "tasks": [TASK]}, indent=3)


@pytest.fixture
def web(connection, tmp_path, monkeypatch):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path / "home"))
    (tmp_path / "dags").mkdir()
    return Web(mode="tokens", requests_per_second=1e6, files=tmp_path / "dags")


@pytest.fixture
def address(web):
    with served(web) as found:
        yield found


@pytest.fixture
def files(web, address):
    return Client(address, token=web.site.tokens.add("ada", "editor", "test")).files


def test_a_file_is_made_read_changed_and_deleted(files, tmp_path):
    made = files.save("team/a b.json", DAG)
    assert files.all() == ["team/a b.json"]
    assert files.read("team/a b.json") == made
    changed = files.save(made.path, DAG + "\n", etag=made.etag)
    for save in (
        lambda: files.save(made.path, "{}", etag=made.etag, allow_problems=True),
        lambda: files.save(made.path, DAG),
        lambda: files.delete(made.path, made.etag),
    ):
        with pytest.raises(ChangedMeanwhile):
            save()
    with pytest.raises(InvalidDag) as refused:
        files.save(made.path, "{}", etag=changed.etag)
    assert len(refused.value.problems) == 2
    files.save(made.path, "{}", etag=changed.etag, allow_problems=True)
    files.delete(made.path, files.read(made.path).etag)
    assert files.all() == []
    with pytest.raises(EngineError, match="no file team/a b"):
        files.read(made.path)
    with pytest.raises(PydagError, match="no git work tree"):
        files.save("b.json", DAG, message="why")


def test_a_save_whose_answer_was_lost_is_no_change_of_somebody_else(files):
    made = files.save("a.json", DAG)
    assert files.save("a.json", DAG) == made
    changed = files.save("a.json", DAG + " ", etag=made.etag)
    assert files.save("a.json", DAG + " ", etag=made.etag) == changed


def test_an_edit_is_made_whoever_else_saves(files, tmp_path, monkeypatch):
    files.save("a.json", DAG)
    read, others = files.read, iter(("x", "y"))

    def reading(path):
        found = read(path)
        if (owner := next(others, None)) is not None:
            (tmp_path / "dags/a.json").write_text(DAG.replace('"d",', f'"d", "owner": "{owner}",'))
        return found

    monkeypatch.setattr(files, "read", reading)
    done = files.edit("a.json", [RenameTask("a", "b"), SetField(("retries",), 2, "b")])
    assert done.text == DAG.replace('"d",', '"d", "owner": "y",').replace('"a"', '"b"').replace(
        '"m:f"\n         }', '"m:f"\n         },\n         "retries": 2'
    )
    with pytest.raises(PydagError, match="no task of this DAG"):
        files.edit("a.json", [RemoveTask("a")])


def test_who_may_only_read_saves_nothing(web, address):
    viewer, editor = (
        Client(address, token=web.site.tokens.add(role, role, "test")).files
        for role in ("viewer", "editor")
    )
    editor.save("a.json", DAG)
    assert viewer.read("a.json").text == DAG
    with pytest.raises(ServiceRefused, match="needs the role editor"):
        viewer.save("b.json", DAG)


def test_without_the_service_there_are_no_files(connection):
    with pytest.raises(PydagError, match="set PYDAG_URL"):
        _ = Client().files


def test_files_are_listed_printed_and_saved_in_a_terminal(web, address, tmp_path, monkeypatch):
    monkeypatch.setenv("PYDAG_URL", address)
    monkeypatch.setenv("PYDAG_TOKEN", web.site.tokens.add("ada", "editor", "test"))
    source = tmp_path / "mine.json"
    source.write_bytes(f"\ufeff{DAG}\r\n".encode())

    def typed(*arguments, code=0):
        done = CliRunner().invoke(pydag, ["files", *arguments])
        assert done.exit_code == code, done.output
        return done

    assert "saved" in typed("a.json", "--save", str(source)).stdout
    assert typed().stdout == "a.json\n"
    assert typed("a.json").stdout_bytes == source.read_bytes()
    etag = json.loads(typed("a.json", "--json").stdout)["etag"]
    refused = typed("a.json", "--save", str(source.with_name("none")), code=2)
    assert "can't be read" in refused.stderr
    source.write_text(DAG)
    assert "has its etag" in typed("a.json", "--save", str(source), code=2).stderr
    source.write_text("{}")
    assert "dag_id" in typed("a.json", "--save", str(source), "--etag", etag, code=2).stderr
    typed("a.json", "--save", str(source), "--etag", etag, "--allow-problems")
    assert typed("a.json").stdout == "{}"


def test_an_estimate_is_asked_of_the_service(web, address, tmp_path, monkeypatch):
    file = tmp_path / "d.json"
    file.write_text(DAG)
    monkeypatch.setenv("PYDAG_URL", address)
    monkeypatch.setenv("PYDAG_TOKEN", web.site.tokens.add("ada", "editor", "test"))
    asked = []
    found = {
        "dag_id": "d", "bytes": 2**40, "billed": 2**40, "budget": 5, "unknown": [],
        "tasks": {"a": {"bytes": 2**40, "billed": 2**40, "note": "", "wrong": False}},
    }  # fmt: skip

    def ask(_, *given):
        asked.append(given)
        return found

    monkeypatch.setattr("pydag_dist.engine.celery.estimates.ask", ask)
    info = {"queues": ["bigquery"], "imports": [], "slots": 1}
    web.site.engine.membership.register("workers", "w@h", "one", json.dumps(info), busy=0)
    typed = ["estimate", str(file), "--price", "5", "--param", "n=1", "--logical-date"]
    done = CliRunner().invoke(pydag, [*typed, "2026-01-31"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[1:] == [
        "a       1.1 TB  1.1 TB  5.0000",
        "in all  1.1 TB  1.1 TB  5.0000",
        "More than the DAG's budget_bytes, 5 B.",
    ]
    assert json.loads(asked[0][0])["dag_id"] == "d"
    assert asked[0][1:] == ({"n": 1}, "2026-01-31T00:00:00+00:00")
    found["tasks"]["a"]["wrong"] = True
    assert CliRunner().invoke(pydag, [*typed, "2026-01-31", "--json"]).exit_code == 1
