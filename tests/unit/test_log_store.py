"""Logs move to the log store when their try has ended, and are read as if nothing had happened."""

from __future__ import annotations

import gzip
import json
import threading

import pytest
from click.testing import CliRunner

from pydag_dist import Client, Dag
from pydag_dist.cli import pydag
from pydag_dist.client.logs import LogFilter
from pydag_dist.coordinator.keeping.logs import LogKeeper
from pydag_dist.dag import limits
from pydag_dist.errors import EngineError, InvalidSettings
from pydag_dist.log_store import LogStoreAway, open_log_store
from pydag_dist.log_store.directory import Directory
from pydag_dist.log_store.store import LogStore
from pydag_dist.settings import load_settings
from tests.support.web import Web

KEEP = 3600


@pytest.fixture
def home(connection, tmp_path):
    return tmp_path / "home"


@pytest.fixture
def store(home):
    return open_log_store(load_settings())


@pytest.fixture
def keeper(installation, store):
    return LogKeeper(installation.engine, store, KEEP, lambda: True, threading.Event())


@pytest.fixture
def run(installation):
    with Dag("d") as dag:
        first = dag.task("a", "python.call", params={"callable": "m:f"})
        first >> dag.task("b", "python.call", params={"callable": "m:f"})
    run = Client().submit(dag)
    installation.plan(run.id)
    return run


def texts(run, *of):
    return [line.line for line in run.logs(*of)]


def forget_stored(installation):
    """What a tick does some time after logs were stored."""
    connection = installation.connection
    stored = connection.zrange("pydag:logs:stored", 0, -1)
    connection.zadd("pydag:logs:stored", dict.fromkeys(stored, 1))
    connection.delete("pydag:clock")  # else the last tick was just now
    installation.engine.store.call("tick", "epoch")
    return stored


def test_what_has_ended_is_stored_and_read_after_redis_has_forgotten_it(
    installation, connection, keeper, run
):
    held = installation.claim()
    installation.log(held, "one", "two")
    assert keeper.step() == 0
    assert connection.zcard("pydag:logs:stored") == 0  # it goes on
    installation.log(held, "three", at=1002.0)
    installation.end(held)
    assert keeper.step() == 0
    before = run.logs()
    assert [line.line for line in before] == ["one", "two", "three"]
    assert forget_stored(installation) == [f"{run.id}:a:1"]
    assert connection.keys("pydag:log:*") == []
    assert connection.hgetall("pydag:logs") == {"": "0"}
    assert run.logs() == run.logs("a") == before
    assert run.logs("b") == []
    installation.end(installation.claim())
    assert list(run.follow_logs()) == before


def test_what_is_written_again_is_no_second_copy_and_what_comes_later_is_added(
    installation, connection, keeper, run, store
):
    held = installation.claim()
    installation.log(held, "one")
    installation.end(held)
    keeper.step()
    (parts,) = [list(parts) for parts in store.read(run.id, [("a", 1)]).values()]
    store.write(run.id, "a", 1, parts)
    assert [list(parts) for parts in store.read(run.id, [("a", 1)]).values()] == [parts]
    installation.log(held, "late", at=1001.0)  # by a worker that had lost its lease
    assert connection.zcard("pydag:logs:expiry") == 1
    forget_stored(installation)
    assert texts(run) == ["one", "late"]  # forgotten is only what is stored as a whole
    keeper.step()
    forget_stored(installation)
    assert connection.keys("pydag:log:*") == []
    assert texts(run) == ["one", "late"]
    installation.log(held, "much later", at=1002.0)
    keeper.step()
    forget_stored(installation)
    assert texts(run) == ["one", "late", "much later"]


def test_a_log_that_got_lines_while_it_was_stored_is_stored_once_more(
    installation, connection, keeper, run, monkeypatch
):
    store = keeper._store
    held = installation.claim()
    installation.log(held, "one")
    installation.end(held)
    write = store.write

    def late(*arguments):
        write(*arguments)
        monkeypatch.undo()
        installation.log(held, "two", at=1001.0)

    monkeypatch.setattr(store, "write", late)
    assert keeper.step() == 1
    assert connection.zcard("pydag:logs:stored") == 0
    monkeypatch.setattr(store, "write", write)
    assert keeper.step() == 0
    assert len(list(store.read(run.id, [("a", 1)])["a", 1])) == 2


def test_a_store_that_is_away_delays_and_is_told_of_once(
    installation, keeper, run, monkeypatch, caplog
):
    caplog.set_level("INFO")
    store, connection = keeper._store, installation.connection
    held = installation.claim()
    installation.log(held, "one")
    installation.end(held)

    def refused(*_):
        raise LogStoreAway("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", refused)
        assert [keeper.step(), keeper.step()] == [1, 1]
        assert texts(run) == ["one"]
    assert keeper.step() == 0
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "logs wait in Redis: no space left",
        f"logs are stored again, in {store.where}",
    ]
    assert connection.zcard("pydag:logs:stored") == 1


def test_one_log_that_cannot_be_stored_holds_up_no_other(
    installation, connection, keeper, run, monkeypatch
):
    store = keeper._store
    for lines in (["one"], ["two"]):
        held = installation.claim()
        installation.log(held, *lines)
        installation.end(held)
    write = store.write

    def some(run_id, task, *rest):
        if task == "a":
            raise LogStoreAway("File name too long")
        write(run_id, task, *rest)

    monkeypatch.setattr(store, "write", some)
    assert keeper.step() == 1
    assert connection.zrange("pydag:logs:stored", 0, -1) == [f"{run.id}:b:1"]
    assert texts(run) == ["one", "two"]


def test_keys_of_somebody_else_are_left_alone(installation, connection, keeper, run):
    held = installation.claim()
    installation.log(held, "one")
    connection.zadd("pydag:logs:expiry", {"strange:a:1": 2.0**50, "gone:a:1": 2.0**50})
    connection.set("pydag:log:strange:a:1", "no stream")
    installation.end(held)
    assert keeper.step() == 1
    assert connection.zrange("pydag:logs:stored", 0, -1) == [f"{run.id}:a:1"]
    assert connection.zrange("pydag:logs:expiry", 0, -1) == ["strange:a:1"]


def test_what_is_stored_makes_way_first(installation, connection, keeper, run, monkeypatch):
    first = installation.claim()
    installation.log(first, "stored")
    installation.end(first)
    keeper.step()
    second = installation.claim()
    installation.log(second, "not yet")
    connection.zadd("pydag:logs:expiry", {f"{run.id}:b:1": 1e15})  # older than the stored one
    connection.hset("pydag:logs", "", limits.LOGS - 10)
    installation.log(second, "more", at=1001.0)
    assert connection.hkeys("pydag:logs") == ["", f"{run.id}:b:1"]
    assert texts(run) == ["stored", "not yet", "more"]


def test_a_reader_is_told_what_it_cannot_read(installation, connection, keeper, run, home):
    for lines in (["one"], ["two"]):
        held = installation.claim()
        installation.log(held, *lines)
        installation.end(held)
    keeper.step()
    forget_stored(installation)
    file = home / "task-logs" / run.id / "a" / "1.jsonl.gz"
    file.write_bytes(file.read_bytes()[:20])
    damaged = "(a part of this log is damaged in the log store)"
    assert texts(run) == [damaged, "two"]
    packed = gzip.compress(json.dumps(["no", "part"]).encode() + b"\n")
    file.write_bytes(packed)
    assert texts(run, "a") == [damaged]
    file.unlink()
    file.mkdir()
    (line,) = run.logs("a")
    assert line.level == "WARNING"
    assert "(the log store " in line.line


def test_tries_that_wrote_nothing_are_asked_for_together(installation, connection, monkeypatch):
    with Dag("d") as dag:
        for number in range(20):
            dag.task(f"t{number}", "python.call", params={"callable": "m:f"})
    run = Client().submit(dag)
    installation.work_off(run.id)
    asked = []
    read = LogStore.read
    monkeypatch.setattr(
        LogStore, "read", lambda *given: asked.append(len(given[2])) or read(*given)
    )
    monkeypatch.setattr(connection, "xrange", None)
    assert texts(run) == []
    assert asked == [20]


def test_a_log_is_kept_within_bounds(home):
    store = LogStore(Directory(str(home / "logs")))
    lines = json.dumps([[1, "INFO", "x" * 200_000]])
    parts = [{"w": "w", "n": str(n), "o": str(n * 200_000), "lines": lines} for n in range(30)]
    store.write("r", "t", 1, parts[:20])
    store.write("r", "t", 1, parts[10:])
    (kept,) = store.read("r", [("t", 1)]).values()
    numbers = [int(part["n"]) for part in kept]
    assert numbers == [0, 1, 2, 3, 4, 25, 26, 27, 28, 29]
    store.forget(["r", "none"])
    assert list((home / "logs").iterdir()) == []
    with pytest.raises(EngineError):
        store.forget([".."])
    with pytest.raises(EngineError):
        store.write("../r", "t", 1, parts[:1])


def test_a_log_that_unpacks_to_more_than_any_is_read_no_further(home, monkeypatch):
    monkeypatch.setattr("pydag_dist.log_store.store.MOST", 2_000_000)
    store = LogStore(Directory(str(home)))
    (home / "r" / "t").mkdir(parents=True)
    (home / "r" / "t" / "1.jsonl.gz").write_bytes(gzip.compress(b" " * 50_000_000))
    (parts,) = store.read("r", [("t", 1)]).values()
    assert list(parts) == [{"trouble": "(a part of this log is damaged in the log store)"}]


def test_files_are_their_users_alone(home, keeper, installation, run):
    held = installation.claim()
    installation.log(held, "one")
    installation.end(held)
    keeper.step()
    (file,) = (home / "task-logs").rglob("*.gz")
    assert file.stat().st_mode & 0o777 == 0o600
    folders = (file.parent, file.parents[1], home / "task-logs")
    assert [folder.stat().st_mode & 0o777 for folder in folders] == [0o700] * 3
    assert [path.name for path in file.parent.iterdir()] == ["1.jsonl.gz"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (LogFilter(), ["One", "two", "three"]),
        (LogFilter(since=1001.0), ["two", "three"]),
        (LogFilter(level="WARNING"), ["three"]),
        (LogFilter(text="ONE"), ["One"]),
        (LogFilter(since=1001.0, text="t.o"), []),
    ],
)
def test_some_lines_are_wanted(installation, run, home, wanted, expected):
    held = installation.claim()
    installation.log(held, "One", "two")
    installation.log(held, "three", at=1002.0, level="ERROR")
    assert [line.line for line in run.logs("a", wanted)] == expected
    given = {"level": wanted.level, "q": wanted.text, "as": "ndjson"}
    given |= {"since": wanted.since} if wanted.since is not None else {}
    answer = Web().get(f"/api/v1/runs/{run.id}/logs", params=given)
    assert [json.loads(line)["line"] for line in answer.text.splitlines()] == expected
    arguments = ["logs", run.id, "--level", wanted.level.lower(), "--grep", wanted.text]
    if wanted.since is not None:
        arguments += ["--since", "1970-01-01T00:16:41Z"]
    shown = CliRunner().invoke(pydag, arguments)
    assert [line.split()[-1] for line in shown.output.splitlines()] == expected


def test_where_logs_are_kept(monkeypatch, home):
    assert open_log_store(load_settings()).where.startswith(str(home / "task-logs"))
    monkeypatch.setenv("PYDAG_DATABASE_URL", "postgresql://h/d")
    assert open_log_store(load_settings()) is None  # its home is not every coordinator's
    monkeypatch.setenv("PYDAG_LOG_STORE", "gs://bucket/some/folder/")
    assert open_log_store(load_settings()).where == "gs://bucket/some/folder/"
    monkeypatch.setenv("PYDAG_LOG_STORE", "gs://")
    with pytest.raises(InvalidSettings, match="gs://BUCKET/PREFIX"):
        open_log_store(load_settings())
