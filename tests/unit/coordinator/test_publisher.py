"""A coordinator that publishes a folder, look by look; on fakeredis and real files."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path
from typing import ClassVar

import fakeredis
import pytest

from pydag_dist.coordinator.publisher import FolderPublisher
from pydag_dist.coordinator.recording.restore import restore_dags
from pydag_dist.dag import Dag
from pydag_dist.engine import Engine, publications
from tests.support.engine_bench import task


class Folder:
    """A folder, the installation that it is published to, and the coordinators that do it."""

    def __init__(self, path):
        self.path = path
        self.client = fakeredis.FakeRedis(decode_responses=True)
        self.client.set("p:epoch", "e")
        self.engine = Engine(self.client, "p", "coordinator")
        self.publishing = self.engine.publishing
        self.publisher = self.coordinator()

    def coordinator(self):
        engine = Engine(self.client, "p", "coordinator")
        return FolderPublisher(engine, self.path, 60, threading.Event())

    def write(self, name, dag):
        file = self.path / name
        file.parent.mkdir(exist_ok=True)
        new = file.with_suffix(".new")
        new.write_text(dag if isinstance(dag, str) else json.dumps(dag))
        new.replace(file)
        return file

    def look(self, times=1):
        for _ in range(times):
            self.publisher.step()

    @property
    def versions(self):
        return {dag.dag_id: dag.version for dag in self.publishing.dags()}

    @property
    def problems(self):
        return self.publishing.problems()


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def dag(name, **fields):
    return {"dag_id": name, "schedule_interval": "@daily", "tasks": [task("a")], **fields}


def test_what_is_in_the_folder_is_published_and_what_changes_again(folder):
    folder.write("a.json", dag("a"))
    folder.write("deep/b.json", dag("b"))
    folder.write(".hidden/c.json", dag("c"))
    folder.write("other.json", {"not": "a DAG"})
    folder.look(2)
    assert folder.versions == {"a": 1, "b": 1}
    assert folder.publishing.dag("b").source == "deep/b.json"
    folder.write("a.json", dag("a", owner="ana"))
    folder.look()
    assert folder.versions == {"a": 2, "b": 1}
    assert folder.problems == {}


def test_what_is_gone_for_two_looks_is_unpublished(folder):
    folder.write("a.json", dag("a"))
    file = folder.write("b.json", dag("b"))
    folder.look()
    file.unlink()
    folder.look()
    assert folder.versions == {"a": 1, "b": 1}  # it may be being replaced
    folder.look()
    assert folder.versions == {"a": 1}


def test_what_somebody_published_by_hand_stays(folder):
    by_hand = Dag.parse(dag("by-hand"))
    publications.publish(folder.publishing, by_hand, retention=60, by="ana@host")
    folder.write("a.json", dag("a"))
    folder.look(3)
    assert folder.versions == {"a": 1, "by-hand": 1}


def test_a_file_with_problems_leaves_the_version_that_was_there(folder, caplog):
    folder.write("a.json", dag("a"))
    folder.look()
    folder.write("a.json", dag("a", tasks=[task("a") | {"operator": "python.cal"}]))
    folder.look(3)
    assert folder.versions == {"a": 1}
    assert "python.cal" in folder.problems["a.json"]
    assert caplog.text.count("a.json is not published") == 1
    folder.write("a.json", "{")
    folder.look()
    assert "python.cal" not in folder.problems["a.json"]
    folder.write("a.json", dag("a", owner="ana"))
    folder.look()
    assert folder.versions == {"a": 2}
    assert folder.problems == {}


def test_of_two_files_with_one_id_the_second_is_a_problem_until_the_first_is_gone(folder):
    first = folder.write("a.json", dag("a"))
    folder.write("b.json", dag("a", owner="ben"))
    folder.look(2)
    assert folder.versions == {"a": 1}
    assert folder.problems == {"b.json": "DAG a is in a.json, too"}
    first.unlink()
    folder.look(2)
    assert folder.versions == {"a": 2}
    assert folder.publishing.dag("a").source == "b.json"
    assert folder.problems == {}
    folder.look(3)
    assert folder.versions == {"a": 2}


def test_a_file_with_another_id_unpublishes_the_one_that_it_had(folder):
    folder.write("a.json", dag("a"))
    folder.look()
    folder.write("a.json", dag("b"))
    folder.look(2)
    assert folder.versions == {"b": 1}


def test_a_folder_that_is_empty_or_not_there_unpublishes_nothing(folder):
    file = folder.write("a.json", dag("a"))
    folder.look()
    file.unlink()
    folder.look(3)
    assert folder.versions == {"a": 1}
    assert "is empty" in folder.problems[str(folder.path)]
    folder.path.rmdir()
    folder.look(3)
    assert folder.versions == {"a": 1}
    assert "can't be read" in folder.problems[str(folder.path)]
    folder.path.mkdir()
    folder.write("a.json", dag("a"))
    folder.look()
    assert folder.problems == {}


def test_a_folder_within_that_is_empty_unpublishes_nothing_until_it_is_gone(folder):
    """As a network's folder is that is not mounted now."""
    folder.write("a.json", dag("a"))
    files = [folder.write("net/b.json", dag("b")), folder.write("net/c.json", dag("c"))]
    folder.look()
    publications.pause(folder.publishing, "c", "ana@host")
    for file in files:
        file.unlink()
    folder.look(3)
    assert folder.versions == {"a": 1, "b": 1, "c": 1}
    assert folder.problems == {"net": "the folder is empty: what was published from it stays so"}
    folder.write("net/c.json", dag("c"))  # it comes back, and b is gone
    folder.look(3)
    assert folder.versions == {"a": 1, "c": 1}
    assert folder.publishing.dag("c").paused_at
    assert folder.problems == {}
    (folder.path / "net" / "c.json").unlink()
    (folder.path / "net").rmdir()
    folder.look(3)
    assert folder.versions == {"a": 1}
    (folder.path / "empty").mkdir()
    folder.look()
    assert folder.problems == {}


def test_a_link_to_what_is_away_unpublishes_nothing(folder, tmp_path_factory):
    mount = tmp_path_factory.mktemp("mount")
    (mount / "b.json").write_text(json.dumps(dag("b")))
    (folder.path / "b.json").symlink_to(mount / "b.json")
    folder.write("a.json", dag("a"))
    folder.look()
    (mount / "b.json").rename(mount / "away")
    folder.look(3)
    assert folder.versions == {"a": 1, "b": 1}
    assert folder.problems == {"b.json": "No such file or directory"}
    (mount / "away").rename(mount / "b.json")
    folder.look()
    assert (folder.versions, folder.problems) == ({"a": 1, "b": 1}, {})


def test_a_file_that_is_half_written_is_published_once_it_is_whole(folder):
    text = json.dumps(dag("a"))
    for part in (text[:20], text[:-1], ""):
        folder.write("a.json", part)
        folder.look(3)
        assert folder.versions == {}
        assert list(folder.problems) == ["a.json"]
    folder.write("a.json", text)
    folder.look()
    assert (folder.versions, folder.problems) == ({"a": 1}, {})
    folder.write("a.json", text[:20])  # an editor writes it in place
    folder.look(3)
    assert folder.versions == {"a": 1}
    folder.write("a.json", json.dumps(dag("a", owner="ana")))
    folder.look()
    assert (folder.versions, folder.problems) == ({"a": 2}, {})


def test_many_files_are_published_and_none_is_read_again(folder, monkeypatch):
    for number in range(100):
        folder.write(f"{number}.json", {"dag_id": f"d{number}", "tasks": [task("a")]})
    folder.look()
    assert len(folder.versions) == 100
    monkeypatch.setattr(Path, "open", None)
    folder.look(2)
    assert folder.problems == {}


def test_one_coordinator_publishes_and_another_one_takes_over(folder):
    folder.write("a.json", dag("a"))
    folder.look()
    other = folder.coordinator()
    file = folder.write("b.json", dag("b"))
    other.step()
    assert folder.versions == {"a": 1}
    folder.client.delete("p:dags:publisher")
    other.step()
    assert folder.versions == {"a": 1, "b": 1}
    file.unlink()
    other.step()
    other.step()
    assert folder.versions == {"a": 1}


def test_nothing_is_published_before_the_history_has_given_back_what_redis_lost(folder):
    folder.client.delete("p:epoch")
    folder.write("a.json", dag("a"))
    folder.look()
    assert folder.versions == {}


def nested(folder, _name):
    folder.write("a.json", "[" * 100_000)


def nested_tasks(folder, _name):
    folder.write("a.json", '{"tasks":' + "[" * 100_000)


def link_to_itself(folder, name):
    (folder.path / name).symlink_to(folder.path / name)


def pipe(folder, name):
    os.mkfifo(folder.path / name)


def gigabyte(folder, name):
    with (folder.path / name).open("wb") as file:
        file.truncate(2**30)  # it takes no room: its reader would


def folders_in_a_circle(folder, name):
    (folder.path / "deep").mkdir()
    (folder.path / "deep" / "er").symlink_to(folder.path)
    (folder.path / "deep" / name).symlink_to("/nonexistent")


def unreadable(folder, name):
    folder.write(name, dag("a"))
    (folder.path / name).chmod(0)
    if os.access(folder.path / name, os.R_OK):  # as root
        (folder.path / name).unlink()
        (folder.path / name).symlink_to("/proc/self/mem")


def not_unicode(folder, _name):
    Path(os.fsdecode(os.fsencode(folder.path) + b"/\xff.json")).write_text("{}")


def colours(folder, _name):
    folder.write("\x1b[31m.json", dag("red"))


@pytest.mark.parametrize(
    "spoil",
    [
        nested,
        nested_tasks,
        link_to_itself,
        pipe,
        gigabyte,
        folders_in_a_circle,
        unreadable,
        not_unicode,
        colours,
    ],
)
def test_one_strange_file_is_a_problem_and_keeps_no_other_from_being_published(
    folder, caplog, spoil
):
    folder.write("z.json", dag("z"))
    spoil(folder, "a.json")
    folder.look(3)
    assert folder.versions == {"z": 1}
    assert len(folder.problems) == 1
    assert all(name.isprintable() for name in folder.problems)
    assert "\x1b" not in caplog.text


def test_a_folder_within_that_can_not_be_read_is_a_problem_and_keeps_its_dags(folder, monkeypatch):
    folder.write("a.json", dag("a"))
    folder.write("deep/b.json", dag("b"))
    folder.look()
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "deep":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        folder.write("a.json", dag("a", owner="ana"))
        folder.look(3)
        assert folder.versions == {"a": 2, "b": 1}
        assert folder.problems == {"deep": "the folder can't be read: Permission denied"}
    folder.look()
    assert folder.problems == {}


def test_the_next_coordinator_publishes_a_dag_from_the_file_that_the_last_one_did(folder):
    folder.write("b.json", dag("a"))
    folder.look()
    folder.write("a.json", dag("a", owner="ana"))
    folder.client.delete("p:dags:publisher")
    folder.coordinator().step()
    assert folder.versions == {"a": 1}
    assert folder.problems == {"a.json": "DAG a is in b.json, too"}


@pytest.mark.parametrize("files", [("a.json", "b.json"), ("b.json", "a.json")])
def test_dags_that_change_files_stay_published_and_paused(folder, files, caplog):
    first, second = files
    folder.write(first, dag("x"))
    folder.look()
    publications.pause(folder.publishing, "x", "ana@host")
    folder.write(first, dag("y"))
    folder.write(second, dag("x"))
    folder.look(4)
    assert folder.versions == {"x": 1, "y": 1}
    assert folder.publishing.dag("x").paused_at
    folder.write(first, dag("x"))
    folder.write(second, dag("y"))
    folder.look(4)
    assert folder.versions == {"x": 1, "y": 1}
    assert folder.publishing.dag("x").paused_at
    (folder.path / first).rename(folder.path / "c.json")
    folder.look(4)
    assert folder.publishing.dag("x").source == "c.json"
    assert folder.publishing.dag("x").paused_at
    assert "is not published" not in caplog.text


def test_a_file_that_is_a_dag_no_longer_is_unpublished(folder):
    folder.write("a.json", dag("a"))
    folder.write("b.json", dag("b"))
    folder.look()
    folder.write("a.json", {"not": "a DAG"})
    folder.look(2)
    assert folder.versions == {"b": 1}


def test_a_coordinator_that_loses_its_turn_stops_at_once(folder, monkeypatch):
    for name in "abc":
        folder.write(f"{name}.json", dag(name))

    def lose(*arguments, **options):
        folder.client.delete("p:dags:publisher")
        return publications.publish(*arguments, **options)

    monkeypatch.setattr("pydag_dist.coordinator.publisher.publish", lose)
    folder.look()
    assert folder.versions == {"a": 1}
    monkeypatch.undo()
    folder.look()
    assert folder.versions == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a|b.json", 'must have no "|"'),
        ("/".join(["d" * 100] * 3) + "/n.json", "has 309 bytes, and at most 255: rename it"),
    ],
)
def test_a_path_that_can_not_be_kept_is_told_and_keeps_no_other_from_being_published(
    folder, name, said
):
    (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
    folder.write(name, {"dag_id": "long", "tasks": [task("a")]})
    folder.write("other.json", {"dag_id": "other", "tasks": [task("a")]})
    folder.look()
    assert folder.versions == {"other": 1}
    [(file, why)] = folder.problems.items()
    assert file == name
    assert said in why


def test_a_dag_that_the_history_has_never_heard_of_is_not_lost(folder):
    class History:
        names: ClassVar[list[str]] = []

        def published_names(self):
            return self.names

    folder.client.delete("p:epoch")
    dag = Dag.parse({"dag_id": "first", "tasks": [task("a")]})
    publications.publish(folder.publishing, dag, retention=60, by="ana@host")
    assert restore_dags(folder.publishing, History()) == []
    History.names = ["first"]  # its event is written, and another look is taken
    assert restore_dags(folder.publishing, History()) == []
    assert folder.versions == {"first": 1}
