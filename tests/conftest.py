"""Fixtures of several kinds of tests: a real Redis server, started once and flushed per test."""

from __future__ import annotations

import functools
import gc
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings

from tests.support import spark_java, warm
from tests.support.redis_server import RedisServer, server_binary

# An example that takes long on a busy machine isn't wrong. Each run draws other ones, and CI runs
# often: half as many as Hypothesis draws otherwise are half of what most tests of it cost.
settings.register_profile(
    "patient",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=int(os.environ.get("PYDAG_TEST_EXAMPLES", "50")),
)
settings.load_profile("patient")

spark_java.use()

# What is imported stays: a collector that looks at it again and again takes a tenth of a core.
gc.disable()

# A client of Cloud Storage asks for a bucket in a thread that outlives its test by two minutes, and
# draws from `random` there, which Hypothesis takes for the fault of whatever test runs then.
os.environ["DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"] = "true"

# A test of the acceptance tests that shares a `pydag up` with others.
SHARES_UP = re.compile(r"^def test_\w+\([^)]*\b(up|terminal|example_run)\b", re.MULTILINE)

# What starts something for more than one test of its file.
SHARES = re.compile(r'scope="|\bbusy_cluster\b')


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests, what takes longest comes first.

    Then those that wait, evenly among those that compute: while a process waits another one can use
    the core. They have come to their end a little before these.
    """
    if not hasattr(config, "workerinput"):
        return
    places: dict[pytest.Item, float] = {}
    for mark, begin, end in (("big", 0, 0), ("slow", 1, 1.8), (None, 1, 2)):
        marked = [
            item
            for item in items
            if item not in places and (mark is None or item.get_closest_marker(mark))
        ]
        for number, item in enumerate(marked):
            places[item] = begin + (end - begin) * number / len(marked)
    items.sort(key=places.__getitem__)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(20_000)
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Processes that share the tests fork what they start from the same ones."""
    node.workerinput["warm"] = warm.serve()


def pytest_configure(config: pytest.Config) -> None:
    """Fork from where the others do."""
    if hasattr(config, "workerinput"):
        warm.join(config.workerinput["warm"])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For `--dist loadfile`: what one process does at a stretch.

    A file; the files that share a `pydag up`; or a single test of those integration tests whose
    file shares nothing that it starts.
    """
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            if file.startswith("tests/acceptance/") and SHARES_UP.search(_text(file)):
                return "pydag up"
            alone = file.startswith("tests/integration/") and not SHARES.search(_text(file))
            return nodeid if alone else file

    @functools.cache
    def _text(file: str) -> str:
        return (config.rootpath / file).read_text()

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One append-only server for the session. A test that kills it must start it again."""
    with RedisServer(server_binary("valkey"), tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of an empty database on the session's server."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url
