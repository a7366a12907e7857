"""Fixtures of several kinds of tests: a real Redis server, started once and flushed per test."""

from __future__ import annotations

import atexit
import functools
import gc
import os
import re
from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, settings

from tests.support import spark_java, warm
from tests.support.forking import Processes
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

# pyarrow's allocator starts a thread otherwise: threads are not forked.
os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"

# A test of the acceptance tests that shares a `pydag up` with others.
SHARES_UP = re.compile(r"^def test_\w+\([^)]*\b(up|terminal|example_run)\b", re.MULTILINE)

# What starts something for more than one test of its file.
SHARES = re.compile(r'scope="|\bbusy_cluster\b')


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--parallel", type=int, default=1, metavar="N", help="run the tests in N processes"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests, what takes longest comes first.

    Then those that wait, evenly among those that compute: while a process waits another one can use
    the core. They have come to their end a little before these.
    """
    if config.option.parallel < 2:
        return
    kinds: list[list[pytest.Item]] = [[], [], [], []]
    for item in items:
        big, slow = (item.get_closest_marker(mark) for mark in ("big", "slow"))
        waits = not item.nodeid.startswith("tests/unit/")
        kinds[0 if big else 1 if slow else 2 if waits else 3].append(item)
    places: dict[pytest.Item, float] = {}
    for kind, begin, end in zip(kinds, (0, 1, 1, 1), (0, 1.8, 1.9, 2), strict=True):
        for number, item in enumerate(kind):
            places[item] = begin + (end - begin) * number / len(kind)
    items.sort(key=places.__getitem__)


def pytest_collection_finish() -> None:
    gc.freeze()
    atexit.register(gc.unfreeze)  # DuckDB tells of what is not collected at the end
    gc.set_threshold(20_000)
    gc.enable()


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """With `--parallel`, several processes run the tests; all fork what they start from the same.

    What one of them does at a stretch is a file; the files that share a `pydag up`; or a single
    test of those integration tests whose file shares nothing that it starts.
    """
    count = session.config.option.parallel
    if count < 2 or session.testsfailed or session.config.option.collectonly:
        return None

    @functools.cache
    def text(file: str) -> str:
        return (session.config.rootpath / file).read_text()

    def share(nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file.startswith("tests/acceptance/") and SHARES_UP.search(text(file)):
            return "pydag up"
        alone = file.startswith("tests/integration/") and not SHARES.search(text(file))
        return nodeid if alone else file

    warm.serve()
    Processes(session, share).run(count)
    return True


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
