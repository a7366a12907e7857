"""The one function that makes clients of Redis, and that nothing else does."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
import redis

from pydag_dist.engine import connect
from pydag_dist.engine.celery.messages import celery_config
from pydag_dist.engine.connection.client import ANSWER_SECONDS, CONNECT_SECONDS
from pydag_dist.settings import Settings

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_every_wait_of_a_client_has_an_end(scheme):
    options = connect(f"{scheme}://host:1/0", blocks=7).connection_pool.make_connection()
    assert options.socket_timeout == 7 + ANSWER_SECONDS
    assert options.socket_connect_timeout == CONNECT_SECONDS
    assert options.health_check_interval > 0
    assert options.socket_keepalive
    assert options.socket_keepalive_options[socket.TCP_USER_TIMEOUT] == 10_000
    assert isinstance(options, redis.SSLConnection) == (scheme == "rediss")


def test_a_socket_s_file_is_an_address_too():
    connection = connect("unix:///run/redis.sock").connection_pool.make_connection()
    assert connection.path == "/run/redis.sock"
    assert connection.socket_timeout == ANSWER_SECONDS


def test_what_the_url_says_wins():
    connection = connect("redis://host/0?socket_timeout=20").connection_pool.make_connection()
    assert connection.socket_timeout == 20


def test_celery_s_connections_have_the_same_limits():
    config = celery_config(Settings())
    options = config["broker_transport_options"]
    assert options["socket_timeout"] == config["redis_socket_timeout"] == ANSWER_SECONDS
    assert options["socket_connect_timeout"] == CONNECT_SECONDS
    assert options["socket_keepalive_options"][socket.TCP_KEEPIDLE] == 5


def test_nothing_else_makes_clients_of_redis():
    made = re.compile(r"\bredis\.(Redis|StrictRedis|ConnectionPool)(\.from_url)?\(")
    files = [*ROOT.glob("pydag_dist/**/*.py"), *ROOT.glob("workers/**/*.py")]
    found = [file for file in files if made.search(file.read_text())]
    assert found == [ROOT / "pydag_dist/engine/connection/client.py"]
