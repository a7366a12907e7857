"""What redis-py and the packages around it do by themselves."""

from __future__ import annotations

import importlib.metadata

import pytest
import redis
from packaging.requirements import Requirement

from pydag_dist.engine import connect, is_transient


def test_a_client_waits_five_seconds_for_an_answer_unless_told_otherwise(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        connection = client.connection_pool.get_connection()
        assert connection.socket_timeout == 5
        client.connection_pool.release(connection)


@pytest.mark.parametrize("command", ["BLPOP", "XREAD"])
def test_a_blocking_read_raises_when_the_socket_timeout_is_shorter(redis_url, command):
    with (
        redis.Redis.from_url(redis_url, socket_timeout=0.1) as client,
        pytest.raises(redis.TimeoutError),
    ):
        block(client, command, seconds=5)


@pytest.mark.parametrize("command", ["BLPOP", "XREAD"])
def test_a_blocking_read_returns_nothing_when_the_socket_timeout_is_longer(redis_url, command):
    with redis.Redis.from_url(redis_url, socket_timeout=5) as client:
        assert not block(client, command, seconds=0.1)


def block(client: redis.Redis, command: str, seconds: float) -> object:
    if command == "BLPOP":
        return client.blpop("nothing", seconds)
    return client.xread({"nothing": "$"}, block=round(seconds * 1000))


def test_a_command_on_a_closed_connection_is_sent_again_by_the_client(redis_url):
    """So a script may run twice, and has to be idempotent."""
    with redis.Redis.from_url(redis_url) as client, redis.Redis.from_url(redis_url) as other:
        used = client.client_id()
        other.client_kill_filter(_id=used)
        assert client.incr("counter") == 1
        assert client.client_id() != used


def test_the_run_id_changes_when_the_server_restarts(redis_server, redis_url):
    with redis.Redis.from_url(redis_url) as client:
        before = client.info("server")["run_id"]
        assert client.info("server")["run_id"] == before
        redis_server.restart()
        assert client.info("server")["run_id"] != before
        assert client.info("server")["uptime_in_seconds"] < 60


def test_packaging_is_only_required_by_the_redis_extra_of_celery():
    """kombu's Redis transport imports packaging, so we depend on celery[redis]."""

    def names(distribution: str, extra: str) -> set[str]:
        lines = importlib.metadata.requires(distribution) or []
        required = [Requirement(line) for line in lines]
        return {r.name for r in required if not r.marker or r.marker.evaluate({"extra": extra})}

    without_extra = names("celery", "") | names("kombu", "") | names("redis", "")
    assert "packaging" not in without_extra
    assert "packaging" in names("kombu", "redis")
    ours = [Requirement(line) for line in importlib.metadata.requires("pydag-dist") or []]
    assert "redis" in next(r.extras for r in ours if r.name == "celery")


@pytest.mark.parametrize("transaction", [True, False])
def test_a_pipeline_that_redis_refuses_for_now_says_so_and_the_next_call_has_a_new_link(
    redis_server, redis_url, transaction
):
    """What answers that it can't do it now may be no more what its address leads to."""
    with connect(redis_url) as client, redis.Redis.from_url(redis_url) as operator:
        before = client.client_id()
        operator.config_set("min-replicas-to-write", 1)
        try:
            with client.pipeline(transaction=transaction) as pipe:
                pipe.incr("a").incr("b").get("a")
                with pytest.raises(redis.ResponseError, match="NOREPLICAS") as told:
                    pipe.execute()
        finally:
            operator.config_set("min-replicas-to-write", 0)
        assert is_transient(told.value)
        assert client.client_id() != before
        assert client.incr("a") == 1
