"""Fixtures of the integration tests: clusters of real processes, their logs shown on failure."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.redis_server import RedisServer


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With a failure, what the processes of the clusters that run wrote."""
    report = yield
    if report.failed:
        report.sections += [(f"{cluster.prefix}", cluster.logs()) for cluster in Cluster.running]
    return report


@pytest.fixture
def cluster(redis_server: RedisServer, tmp_path: Path) -> Iterator[Cluster]:
    """An installation without any process yet."""
    with Cluster(redis_server.url, tmp_path) as cluster:
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
