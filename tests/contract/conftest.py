"""Fixtures of the contract tests: a Celery worker shared by a module, and who sends to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.contract.celery_worker import Sender, Worker
from tests.support.local_bigquery import LocalBigQuery
from tests.support.redis_server import SERVER_KINDS, RedisServer, server_binary


@pytest.fixture(scope="session", params=SERVER_KINDS)
def each_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    """Each kind of server in turn. Tests leave it running, with whatever keys."""
    directory = tmp_path_factory.mktemp(request.param)
    with RedisServer(server_binary(request.param), directory) as server:
        yield server


@pytest.fixture(scope="module")
def broker_url(redis_server: RedisServer) -> str:
    """An empty database of the module's own, apart from that of `redis_url`."""
    url = redis_server.url.removesuffix("/0") + "/9"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture(scope="module")
def sender(broker_url: str) -> Iterator[Sender]:
    with Sender(broker_url) as sender:
        yield sender


@pytest.fixture(scope="module")
def worker(broker_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker of four slots that the tests of a module share."""
    log: Path = tmp_path_factory.mktemp("worker") / "worker.log"
    with Worker(broker_url, log, "--task-events", concurrency=4) as worker:
        yield worker


@pytest.fixture(scope="module")
def local_bigquery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBigQuery]:
    """A local BigQuery that the tests of a module share; each makes datasets of its own."""
    with LocalBigQuery(tmp_path_factory.mktemp("bigquery")) as service:
        yield service


@pytest.fixture(scope="module", autouse=True)
def _own_clients() -> Iterator[None]:
    """Workers keep clients for as long as they live; each module has local services of its own."""
    yield
    if google := sys.modules.get("workers.google.clients"):
        for make in ("bigquery", "storage", "cluster", "job", "batch"):
            getattr(google, f"{make}_client").cache_clear()
