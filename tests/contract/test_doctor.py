"""Broken installations on real servers: `pydag doctor` names each, and says what to do."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner

from pydag_dist import Client
from pydag_dist.cli import pydag
from pydag_dist.engine import Engine
from pydag_dist.history import History
from tests.support import free_port, wait_until
from tests.support.cluster import call, dag
from tests.support.redis_server import SERVER_KINDS, RedisServer, server_binary

Env = dict[str, str]


@pytest.fixture(params=SERVER_KINDS)
def server(request, tmp_path_factory) -> Iterator[RedisServer]:
    """One for each test: what a broken one does in the background would be another's trouble."""
    directory = tmp_path_factory.mktemp("redis")
    options = {"enable-protected-configs": "yes"}  # for `dir`
    with RedisServer(server_binary(request.param), directory, options=options) as server:
        yield server


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        yield client


@pytest.fixture
def env(server: RedisServer, client: redis.Redis, tmp_path: Path, monkeypatch) -> Env:
    """The settings of an installation that lacks nothing."""
    for name in ("PYDAG_REDIS_URL", "PYDAG_URL", "PYDAG_DATABASE_URL", "PYDAG_LOG_STORE"):
        monkeypatch.delenv(name, raising=False)
    join(client, "coordinators", "c", writes_history=True)
    join(client, "workers", "w", queues=["python"], imports=["etl"], operators=["python.call"])
    client.set("pydag:epoch", "e")
    with History(f"sqlite:///{tmp_path / 'history.sqlite'}") as history:
        history.open()
        history.set_epoch("e")
    return {"PYDAG_REDIS_URL": server.url, "PYDAG_HOME": str(tmp_path)}


def join(client: redis.Redis, kind: Any, name: str, **info: Any) -> None:
    told = {"host": f"host-{name}", "version": "1.0", "clock": time.time(), **info}
    Engine(client).membership.register(kind, name, "p", json.dumps(told), force=True)


def told(env: Env) -> tuple[int, list[tuple[str, str, str]]]:
    """The exit code, and what is wrong: level, what and advice."""
    result = CliRunner().invoke(pydag, ["doctor", "--json"], env=env)
    assert result.stdout, result.output
    found = json.loads(result.stdout)["findings"]
    return result.exit_code, [tuple(each.values()) for each in found if each["level"] != "ok"]


def test_nothing_is_wrong_with_what_lacks_nothing(env: Env) -> None:
    assert told(env) == (0, [])


def test_a_narrow_terminal_has_whole_words(env: Env, client: redis.Redis) -> None:
    client.config_set("appendonly", "no")
    wide, narrow = (
        CliRunner().invoke(pydag, ["doctor"], env=env | columns).stdout.splitlines()
        for columns in ({"COLUMNS": ""}, {"COLUMNS": "60"})
    )
    assert max(map(len, wide)) > 100
    assert all(len(line) <= 60 or len(line.split()) == 1 for line in narrow)  # a long path
    assert " ".join(" ".join(narrow).split()) == " ".join(" ".join(wide).split())
    assert {line[:9].strip() for line in narrow} == {"ok", "warning", ""}


def away(env: Env, client: redis.Redis) -> None:
    env["PYDAG_REDIS_URL"] = f"redis://127.0.0.1:{free_port()}/0"


def wrong_password(env: Env, client: redis.Redis) -> None:
    env["PYDAG_REDIS_URL"] = env["PYDAG_REDIS_URL"].replace("//", "//:wrong@")
    client.config_set("requirepass", "right")


def without_a_right(env: Env, client: redis.Redis) -> None:
    client.acl_setuser("reader", enabled=True, nopass=True, keys=["*"], categories=["+@read"])
    env["PYDAG_REDIS_URL"] = env["PYDAG_REDIS_URL"].replace("//", "//reader:x@")


def evicting(env: Env, client: redis.Redis) -> None:
    client.config_set("maxmemory-policy", "allkeys-lru")


def replica(env: Env, client: redis.Redis) -> None:
    client.replicaof("127.0.0.1", str(free_port()))


def not_kept(env: Env, client: redis.Redis) -> None:
    client.config_set("appendonly", "no")


def full(env: Env, client: redis.Redis) -> None:
    client.set("ballast", bytes(10 << 20))  # what connections take is little beside it
    client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.1))


def unwritten(env: Env, client: redis.Redis) -> None:
    """Its folder is gone, as that of a disk that was unmounted."""
    lost = Path(env["PYDAG_HOME"]) / "lost"
    lost.mkdir()
    kept = client.config_get("dir")["dir"]
    client.config_set("dir", str(lost))
    shutil.rmtree(lost)
    client.bgsave()
    wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "it fails")
    client.config_set("dir", kept)


def nobody(env: Env, client: redis.Redis) -> None:
    client.delete("pydag:coordinators", "pydag:workers")


def unserved(env: Env, client: redis.Redis) -> None:
    task = call("load", "note") | {"queue": "big"}
    Client(env["PYDAG_REDIS_URL"]).publish(dag([task], dag_id="nightly"))
    client.sadd("pydag:queues", "big")
    client.hset("pydag:windows", "runs/big", 2)


def unlike(env: Env, client: redis.Redis) -> None:
    join(client, "workers", "old", version="0.9", clock=time.time() - 90, queues=["python"])


def other_history(env: Env, client: redis.Redis) -> None:
    client.set("pydag:epoch", "another")


def no_history(env: Env, client: redis.Redis) -> None:
    env["PYDAG_DATABASE_URL"] = f"postgresql://pydag@127.0.0.1:{free_port()}/pydag"
    env["PYDAG_LOG_STORE"] = env["PYDAG_HOME"]


def no_log_store(env: Env, client: redis.Redis) -> None:
    file = Path(env["PYDAG_HOME"]) / "logs"
    file.touch()
    env["PYDAG_LOG_STORE"] = str(file)


BROKEN = {
    away: [("error", "no Redis answers at redis://127.0.0.1", "start it, or set PYDAG_REDIS_URL")],
    wrong_password: [("error", "refused the login", "")],
    without_a_right: [("error", "info", "")],
    evicting: [("error", "Redis evicts keys by allkeys-lru", "set maxmemory-policy noeviction")],
    replica: [("error", "this Redis is a replica", "give PYDAG_REDIS_URL the primary's address")],
    not_kept: [("warning", "Redis has no append-only file", "set appendonly yes")],
    full: [("warning", "of its maxmemory", "give it more memory")],
    unwritten: [("error", "could not write its file (rdb_last_bgsave_status)", "make room")],
    nobody: [
        ("error", "no coordinator is alive", "start `pydag coordinator`"),
        ("error", "no worker is alive", "start `pydag worker`"),
    ],
    unserved: [
        (
            "error",
            "the queue big has tasks of 2 runs, and no worker",
            "start `pydag worker -Q big`",
        ),
        ("error", "no live worker can run a task of nightly (load:", "start one that can"),
    ],
    unlike: [
        ("warning", "parts have different versions (0.9: old; 1.0: c, w)", "to the newest"),
        ("warning", "the clock of host-old is 90 s behind", "NTP"),
    ],
    other_history: [("error", "is that of another Redis", "name one installation")],
    no_history: [("error", "the history's database can't be read", "check PYDAG_DATABASE_URL")],
    no_log_store: [("error", "logs", "")],
}


@pytest.mark.parametrize("break_it", BROKEN, ids=lambda each: each.__name__)
def test_what_is_broken_is_named_with_what_to_do(
    break_it: Callable[[Env, redis.Redis], None], env: Env, client: redis.Redis
) -> None:
    break_it(env, client)

    code, found = told(env)

    wanted = BROKEN[break_it]
    assert len(found) == len(wanted), found
    for (level, what, advice), (expected, part, do) in zip(found, wanted, strict=True):
        assert level == expected
        assert part in what
        assert do in advice
    assert code == any(level == "error" for level, _, _ in wanted)
