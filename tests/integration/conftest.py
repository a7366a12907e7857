"""Fixtures of the integration tests: clusters of real processes, their logs shown on failure."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.redis_server import RedisServer

FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture(autouse=True)
def _show_logs(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a failed test, what the processes of its cluster wrote."""
    names = {"cluster", "busy_cluster"} & set(request.fixturenames)
    clusters = [request.getfixturevalue(name) for name in names]
    yield
    if request.node.stash.get(FAILED, False):
        for cluster in clusters:
            print(cluster.logs())  # noqa: T201  pytest shows it with the failure


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
