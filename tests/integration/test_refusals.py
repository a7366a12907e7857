"""A server that is not there is waited for; one that refuses is told in a sentence, at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from tests.support import free_port, wait_until
from tests.support.cluster import Cluster, Part
from tests.support.postgres_server import PostgresServer
from tests.support.redis_server import RedisServer, server_binary

COORDINATOR, WORKER = ("coordinator",), ("worker", "-c", "1", "-n", "w")


def start(cluster: Cluster, *arguments: str, **env: str) -> Part:
    return cluster.start(arguments[0], ["-m", "pydag_dist", *arguments], **env)


def test_all_parts_wait_for_a_redis_that_is_not_there_yet(cluster: Cluster, tmp_path: Path) -> None:
    server = RedisServer(server_binary("valkey"), tmp_path / "redis", port=free_port())
    url = {"PYDAG_REDIS_URL": server.url}
    stopped, *parts = [start(cluster, *each, **url) for each in (COORDINATOR, COORDINATOR, WORKER)]
    for part in (stopped, parts[0]):
        told = f"waiting for Redis at {server.url}"
        wait_until(lambda part=part, told=told: told in part.text(), "it says so")
    wait_until(lambda: "Redis can't do it now" in parts[1].text(), "the worker says so")
    stopped.signal(signal.SIGTERM)
    assert stopped.wait() == 0
    with server:
        for part in parts:
            wait_until(lambda part=part: " ready" in part.text(), "it is ready")
            part.check()


def test_a_wrong_password_of_redis_is_a_sentence(cluster: Cluster, tmp_path: Path) -> None:
    with (
        RedisServer(server_binary("valkey"), tmp_path / "redis") as server,
        redis.Redis.from_url(server.url) as client,
    ):
        client.acl_setuser("narrow", enabled=True, passwords=["+narrow"], commands=["+ping"])
        client.config_set("requirepass", "right")
        for login in (":wrong@", "narrow:narrow@"):
            url = f"redis://{login}127.0.0.1:{server.port}/0"
            parts = [start(cluster, *each, PYDAG_REDIS_URL=url) for each in (COORDINATOR, WORKER)]
            for part in parts:
                assert part.wait(60) != 0
                assert f"@127.0.0.1:{server.port}/0 refused" in part.text()
                assert "Traceback" not in part.text()
                assert login not in part.text()


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that asks a user for a password, whose right to make tables others lack."""
    with PostgresServer() as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE ROLE poor LOGIN PASSWORD 'right'")
            connection.execute("CREATE DATABASE history")
        server.ask_password_of("poor")
        yield server


@pytest.mark.parametrize(
    ("login", "database", "reason"),
    [
        ("poor:wrong", "history", 'password authentication failed for user "poor"'),
        ("poor", "history", "no password supplied"),
        ("poor:right", "history", "permission denied for schema public"),
        ("test", "nothing", 'database "nothing" does not exist'),
        ("nobody", "history", 'no pg_hba.conf entry for host "127.0.0.1", user "nobody"'),
    ],
)
def test_a_database_that_refuses_ends_the_coordinator(
    cluster: Cluster, postgres: PostgresServer, login: str, database: str, reason: str
) -> None:
    url = f"postgresql://{login}@127.0.0.1:{postgres.port}/{database}"
    part = start(cluster, *COORDINATOR, PYDAG_DATABASE_URL=url)
    assert part.wait(60) == 2
    assert reason in part.text()
    assert "Check PYDAG_DATABASE_URL" in part.text()
    assert "Traceback" not in part.text()


def test_a_password_that_is_changed_while_it_runs_is_waited_for(
    cluster: Cluster, postgres: PostgresServer
) -> None:
    with psycopg.connect(postgres.url("history"), autocommit=True) as connection:
        connection.execute("GRANT CREATE ON SCHEMA public TO poor")
        part = start(
            cluster,
            *COORDINATOR,
            PYDAG_DATABASE_URL=f"postgresql://poor:right@127.0.0.1:{postgres.port}/history",
        )
        wait_until(lambda: "writing the history" in part.text(), "it writes")
        connection.execute("ALTER ROLE poor PASSWORD 'other'")
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'poor'"
        connection.execute(end)
        wait_until(lambda: "password authentication failed" in part.text(), "it says so")
        connection.execute("ALTER ROLE poor PASSWORD 'right'")
        wait_until(lambda: "history goes on" in part.text(), "it goes on")
        part.check()
