"""Fixtures of the integration tests: clusters of real processes, their logs shown on failure."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import redis

from tests.support.cluster import LEASE, SHORT_LEASE, Cluster
from tests.support.redis_server import SERVER_KINDS, RedisServer, server_binary

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever starts processes of the product takes seconds."""
    for item in items:
        if item.path.is_relative_to(HERE) and hasattr(getattr(item, "module", None), "Cluster"):
            item.add_marker("slow")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With a failure, what the processes of the clusters that run wrote."""
    report = yield
    if report.failed:
        report.sections += [(f"{cluster.prefix}", cluster.logs()) for cluster in Cluster.running]
    return report


@pytest.fixture(params=SERVER_KINDS)
def client_of_each_kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[redis.Redis]:
    """A client of a server of its own, of each kind in turn."""
    with (
        RedisServer(server_binary(request.param), tmp_path) as server,
        redis.Redis.from_url(server.url, decode_responses=True) as client,
    ):
        yield client


@pytest.fixture
def lease(request: pytest.FixtureRequest) -> float:
    """Seconds: the usual lease, or a short one where a test waits for its end."""
    return SHORT_LEASE if request.node.get_closest_marker("short_lease") else LEASE


@pytest.fixture
def cluster(redis_server: RedisServer, tmp_path: Path, lease: float) -> Iterator[Cluster]:
    """An installation without any process yet."""
    with Cluster(redis_server.url, tmp_path, lease) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def busy_cluster(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """One installation for a module: a coordinator, and two workers of two slots."""
    with Cluster(redis_server.url, tmp_path_factory.mktemp("cluster")) as cluster:
        cluster.coordinator()
        workers = [cluster.worker(name, wait=False) for name in ("w1", "w2")]
        for worker in workers:
            cluster.wait_registered(worker)
        yield cluster
