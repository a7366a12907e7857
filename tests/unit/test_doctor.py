"""Broken installations: each is named, with what to do."""

from __future__ import annotations

import json
import re
import time
from types import SimpleNamespace

import pytest
import redis
import sqlalchemy as sa
from click.testing import CliRunner

from pydag_dist.cli import pydag
from pydag_dist.doctor import look, look_at_server
from pydag_dist.doctor.host import look_at_host
from pydag_dist.engine import Engine
from pydag_dist.history import History
from pydag_dist.settings import load_settings
from workers import doctor

INFO = {
    "redis_version": "8.0.0",
    "role": "master",
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok",
    "maxmemory": 0,
    "used_memory": 1,
    "maxmemory_policy": "noeviction",
    "run_id": "r",
}


class Sick:
    """A Redis server that says other things of itself than the one behind it."""

    def __init__(self, connection, monkeypatch):
        self.info, self.ahead, self.error = dict(INFO), 0.0, None
        monkeypatch.setattr(redis.Redis, "info", self._info)
        monkeypatch.setattr(redis.Redis, "time", self._time)
        self.engine = Engine(connection)

    def _info(self, *_):
        if self.error:
            raise self.error
        return self.info

    def _time(self):
        return int(time.time() + self.ahead), 0


@pytest.fixture
def sick(connection, monkeypatch, tmp_path):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    return Sick(connection, monkeypatch)


@pytest.fixture
def fine(sick, installation, connection, tmp_path):
    """One that lacks nothing."""
    join(sick, "coordinators", "c-1", writes_history=True)
    join(sick, "workers", "w-1", queues=["python"], imports=["m"], operators=["python.call"])
    connection.set("pydag:epoch", "e")
    with History(f"sqlite:///{tmp_path / 'history.sqlite'}") as history:
        history.open()
        history.set_epoch("e")
        yield sick


def join(sick, kind, name, **info):
    told = {"host": f"host-of-{name}", "version": "1.0", "clock": time.time(), **info}
    sick.engine.membership.register(kind, name, "p1", json.dumps(told), force=True)


def wrong(sick):
    return [str(each) for each in look(sick.engine, load_settings()) if each.level != "ok"]


def test_nothing_is_wrong_with_what_is_fine(fine):
    assert wrong(fine) == []
    result = CliRunner().invoke(pydag, ["doctor"], env={"COLUMNS": ""})
    assert result.exit_code == 0
    assert [line[:9].strip() for line in result.output.splitlines()] == ["ok"] * 4
    assert "1 worker and 1 coordinator are alive, and every queue has a worker" in result.output


def test_redis_is_away(fine):
    fine.error = redis.ConnectionError("Connection refused")
    first, *_ = wrong(fine)
    assert first.startswith("no Redis answers at redis://")
    assert "set PYDAG_REDIS_URL" in first
    result = CliRunner().invoke(pydag, ["doctor", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.output)["findings"][0]["level"] == "error"


@pytest.mark.parametrize(
    ("scheme", "problem", "advice"),
    [
        ("rediss", "Timeout connecting to server", "does it speak TLS"),
        ("rediss", "[SSL: WRONG_VERSION_NUMBER] wrong version number", "does it speak TLS"),
        ("rediss", "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "ssl_ca_certs"),
        ("redis", "(104, 'Connection reset by peer')", "rediss://"),
        ("redis", "Connection closed by server.", "rediss://"),
    ],
)
def test_one_side_speaks_tls(fine, monkeypatch, scheme, problem, advice):
    monkeypatch.setattr("pydag_dist.doctor.server.address", lambda _: f"{scheme}://h:1/0")
    fine.error = redis.ConnectionError(problem)
    first, *_ = wrong(fine)
    assert advice in first


def test_it_is_no_single_server(fine):
    fine.info["redis_mode"] = "cluster"
    assert any("this Redis is a cluster" in each for each in wrong(fine))


def test_the_password_is_wrong(fine):
    fine.error = redis.AuthenticationError("WRONGPASS invalid username-password pair")
    first, *_ = wrong(fine)
    assert "refused the login" in first
    assert "check the user and the password" in first


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"maxmemory_policy": "allkeys-lru"}, "evicts keys by allkeys-lru"),
        ({"redis_version": "6.2.0"}, "Redis 6.2.0 is too old"),
        ({"aof_enabled": 0}, "set appendonly yes"),
        ({"aof_last_write_status": "err"}, "(aof_last_write_status): make room on its disk"),
        ({"role": "slave"}, "give PYDAG_REDIS_URL the primary's address"),
        ({"maxmemory": 100, "used_memory": 90}, "Redis uses 90% of its maxmemory"),
        ({"maxmemory": 100, "used_memory": 101}, "Redis has used up its maxmemory"),
    ],
)
def test_the_server_is_set_up_badly(fine, said, told):
    fine.info |= said
    (only,) = wrong(fine)
    assert told in only


def test_clocks_differ(fine):
    fine.ahead = -60.0
    behind = re.compile(r"the clock of Redis's host is 6\d s behind that of this host: let all")
    assert any(map(behind.match, wrong(fine)))
    fine.ahead = 0.0
    join(fine, "workers", "w-2", queues=["python"], clock=time.time() + 3600)
    (only,) = wrong(fine)
    assert re.match(r"the clock of host-of-w-2 is 3,\d{3} s ahead of that of Redis's host", only)


def test_nobody_coordinates(fine, connection):
    connection.delete("pydag:coordinators")
    (only,) = wrong(fine)
    assert only.startswith("no coordinator is alive: new runs wait")
    join(fine, "coordinators", "c-2", writes_history=False)
    (only,) = wrong(fine)
    assert only.startswith("no coordinator writes the history")


def test_nobody_works(fine, connection):
    connection.delete("pydag:workers")
    assert wrong(fine) == ["no worker is alive: no task runs: start `pydag worker`"]


def test_a_queue_has_no_worker(fine, installation):
    installation.queue = "bigquery"
    text = json.dumps(
        {
            "dag_id": "d",
            "tasks": [{"task_id": "t", "operator": "python.call", "params": {"callable": "m:f"}}],
        }
    )
    installation.engine.steering.submit("r-1", text, "d")
    installation.plan("r-1")
    told = wrong(fine)
    assert told == [
        "the queue bigquery has tasks of 1 runs, and no worker: start `pydag worker -Q bigquery`"
    ]


def test_nobody_can_run_a_published_dag(fine):
    from pydag_dist import Client, Dag

    with Dag("lonely") as dag:
        dag.task("t", "python.call", params={"callable": "other:f"})
    Client().publish(dag)
    (only,) = wrong(fine)
    assert only.startswith("no live worker can run a task of lonely (t: w-1: module other is not")


@pytest.mark.parametrize("name", ["queues", "history", "holds", "clock"])
def test_another_program_has_written_a_key(fine, connection, name):
    connection.delete(f"pydag:{name}")
    connection.rpush(f"pydag:{name}", "not ours")
    (only,) = wrong(fine)
    assert only.startswith(f"the key pydag:{name} is a list, and should be a ")
    assert f"RENAME pydag:{name} " in only


def test_versions_differ(fine):
    join(fine, "workers", "w-2", queues=["python"], version="0.9")
    (only,) = wrong(fine)
    assert "parts have different versions (1.0: c-1, w-1; 0.9: w-2)" in only


def test_the_history_lags_and_submissions_wait(fine, connection):
    with connection.pipeline() as pipe:
        for number in range(10_001):
            pipe.xadd("pydag:history", {"n": number})
        for number in range(1_001):
            pipe.xadd("pydag:submissions", {"run": f"r-{number}"})
        pipe.execute()
    first, second = wrong(fine)
    assert first.startswith("the history is 10,001 events behind")
    assert second.startswith("1,001 runs wait to be planned")


def test_the_history_is_away_or_anothers(fine, monkeypatch, tmp_path):
    monkeypatch.setenv("PYDAG_DATABASE_URL", f"sqlite:///{tmp_path}/nowhere/h.sqlite")
    (only,) = wrong(fine)
    assert only.startswith("the history's database can't be read from here: unable to open")
    monkeypatch.setenv("PYDAG_DATABASE_URL", f"sqlite:///{tmp_path}/empty.sqlite")
    (tmp_path / "empty.sqlite").touch()
    (only,) = wrong(fine)
    assert "has no tables yet" in only
    other = f"sqlite:///{tmp_path}/other.sqlite"
    monkeypatch.setenv("PYDAG_DATABASE_URL", other)
    with History(other) as history:
        history.open()
        history.set_epoch("another")
    (only,) = wrong(fine)
    assert "is that of another Redis" in only
    monkeypatch.delenv("PYDAG_DATABASE_URL")
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path / "bare"))
    assert any(each.startswith("this host has no history") for each in wrong(fine))
    assert "logs are" not in str(look(fine.engine, load_settings()))


def test_a_newer_version_has_written_the_history(fine, tmp_path):
    with History(f"sqlite:///{tmp_path}/history.sqlite") as history, history._db.begin() as writing:
        writing.execute(sa.text("UPDATE pydag_meta SET schema = schema + 1"))
    (only,) = wrong(fine)
    assert "a newer version has written it; install that version here" in only


def test_the_home_cannot_be_written(fine, monkeypatch, tmp_path):
    monkeypatch.setattr("os.access", lambda place, _: place != tmp_path)
    (only,) = wrong(fine)
    assert only.startswith(f"{tmp_path} can't be written by this user")
    monkeypatch.setenv("PYDAG_DATABASE_URL", "postgresql://h/d")
    assert look_at_host(load_settings()) == []  # a coordinator in a container needs no home


def test_the_log_store_is_away(fine, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PYDAG_LOG_STORE", str(tmp_path / "file"))
    (only,) = wrong(fine)
    assert "the log store" in only
    assert "waits in Redis" in only


def test_the_disk_is_full(fine, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**20))
    first, *_ = [str(each) for each in look_at_host(load_settings())]
    assert first.endswith(
        "has 1 MiB free: make room: history and logs wait in Redis while it is full"
    )


def test_what_a_worker_lacks_here(monkeypatch, tmp_path):
    for name in doctor._LOCAL:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYDAG_WORKER_IMPORTS", "json,no_such_module")
    key = tmp_path / "key.json"
    key.write_text("{}")
    monkeypatch.setenv("PYDAG_WORKER_CONNECTIONS", json.dumps({"GCP": {"key_file": str(key)}}))
    found = list(doctor.findings())
    assert [(each["level"], each["what"][:40]) for each in found] == [
        ("ok", "the module json can be imported"),
        ("error", "the module no_such_module can't be impor"),
        ("error", f"the connection GCP: key file {key}"[:40]),
    ]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    assert list(doctor.findings())[-1]["what"].startswith("local services stand in for Google")
    monkeypatch.setenv("PYDAG_WORKER_IMPORTS", "no module")
    (only,) = doctor.findings()
    assert only["what"].startswith("the worker's settings: ")


def test_the_server_is_looked_at_by_itself(sick):
    (only,) = look_at_server(sick.engine.store.redis)
    assert str(only).startswith("Redis 8.0.0 at redis://")
