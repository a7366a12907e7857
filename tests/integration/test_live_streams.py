"""Live streams where Redis becomes another server: they go on, and tell what that one has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from pydag_dist import Client, Dag
from pydag_dist.settings import load_settings
from pydag_dist.web.live.hub import Hub
from pydag_dist.web.settings import WebSettings
from pydag_dist.web.site import Site
from tests.support import wait_until
from tests.support.cuttable import Cuttable
from tests.support.installation import Installation
from tests.support.redis_server import RedisServer, server_binary


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    """A primary, and a replica of it that has all that it has."""
    binary = server_binary("valkey")
    with RedisServer(binary, tmp_path / "old") as old, RedisServer(binary, tmp_path / "new") as new:
        client = redis.Redis.from_url(new.url)
        client.replicaof("127.0.0.1", old.port)
        wait_until(
            lambda: client.info("replication")["master_link_status"] == "up", "it is a replica"
        )
        yield old, new


def told(topic) -> dict[str, str]:
    """Task -> its state, as viewers know it."""
    return {name: row.state for name, row in topic._rows.items()}


def test_a_stream_goes_on_after_a_failover(
    servers: tuple[RedisServer, RedisServer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also of what the old primary had not passed on: viewers see that it is undone."""
    old, new = servers
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    before, after = (redis.Redis.from_url(each.url, decode_responses=True) for each in (old, new))
    with Cuttable(old.port) as way:
        monkeypatch.setenv("PYDAG_REDIS_URL", f"redis://127.0.0.1:{way.port}/0")
        installation = Installation(before)
        with Dag("d") as dag:
            first = dag.task("first", "python.call", params={"callable": "m:f"})
            first >> dag.task("second", "python.call", params={"callable": "m:f"})
        run = Client(old.url).submit(dag)
        installation.plan(run.id)
        hub = Hub(Site(load_settings(), WebSettings()))
        topic, _ = hub.run(run.id, "")
        newest = hub.newest("")
        held = installation.claim()
        wait_until(lambda: told(topic)["first"] == "running", "it is told that it runs")
        before.wait(1, 0)  # the replica has that, too
        after.replicaof("NO", "ONE")
        installation.end(held)
        wait_until(lambda: told(topic)["first"] == "success", "it is told that it has ended")
        way.cut()
        way.heal(to=new.port)
        wait_until(lambda: told(topic)["first"] == "running", "what is lost is undone")
        installation = Installation(after)
        installation.end(held)
        installation.end(installation.claim())
        wait_until(lambda: topic.is_over, "the end is told")
        assert told(topic) == {"first": "success", "second": "success"}
        wait_until(lambda: newest._items[run.id]["state"] == "success", "the list has it, too")
        hub.close()
