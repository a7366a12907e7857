"""A secret that a run prints, raises, returns and dies with is nowhere but on its worker."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import wait_until
from tests.support.cluster import Cluster
from tests.support.redis_server import RedisServer
from tests.support.web import Web

SECRET = "Tr0ub4dor&3/ö+longer"
UNUSED = "an-unused-secret"  # of the same worker
OUTCOMES = {"return": "success", "raise": "failed", "fail": "failed", "skip": "skipped"} | {
    "die": "failed"
}


@pytest.fixture
def cluster(redis_server: RedisServer, tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(redis_server.url, tmp_path) as cluster:
        yield cluster


def everything(store: Any, prefix: str) -> Iterator[tuple[str, str]]:
    """What all keys of an installation have in them."""
    for key in store.scan_iter(f"{prefix}:*", count=1000):
        read = {
            "string": store.get,
            "hash": store.hgetall,
            "list": lambda name: store.lrange(name, 0, -1),
            "set": store.smembers,
            "zset": lambda name: store.zrange(name, 0, -1),
            "stream": store.xrange,
        }[store.type(key)]
        yield key, repr((key, read(key)))


def test_a_secret_is_found_nowhere(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.coordinator()
    secrets = cluster.directory / "secrets"
    secrets.mkdir()
    (secrets / "TOKEN").write_text(f"{SECRET}\n")
    cluster.worker(
        slots=3,
        imports=["tests.tasks.writes"],
        level="DEBUG",
        PYDAG_WORKER_SECRETS=str(secrets),
        PYDAG_SECRET_UNUSED=UNUSED,
    )
    commands: list[str] = []
    tasks = [
        {
            "task_id": how,
            "operator": "python.call",
            "params": {
                "callable": "tests.tasks.writes:tells",
                "args": ["{{ secrets.TOKEN }}", how],
            },
        }
        for how in OUTCOMES
    ]
    monitor = cluster.store.pubsub()
    monitor.psubscribe("*celeryev*")
    run = cluster.submit(tasks)
    ended = cluster.wait_ended(run)
    assert {name: task.state for name, task in ended.tasks.items()} == OUTCOMES
    assert ended.tasks["return"].result == {"returned": "***", "***": ["in a list, ***!"]}
    assert ended.tasks["raise"].error.startswith("ValueError: raised ***")
    assert ended.tasks["skip"].error == "skipped ***"
    cluster.wait_written()
    wait_until(lambda: not cluster.store.exists(cluster.key("logs:expiry")), "all logs are stored")
    for name in OUTCOMES:
        lines = [line.line for line in run.logs(name)]
        for what in ("print ***", "in pieces ***", "logged ***", "echoed ***", "base64 "):
            assert any(line.startswith(what) for line in lines), (name, what, lines)
    assert "last words ***" in [line.line for line in run.logs("die")]
    while message := monitor.get_message():
        commands.append(repr(message))
    monitor.close()

    monkeypatch.setenv("PYDAG_HOME", str(cluster.home))
    monkeypatch.setenv("PYDAG_REDIS_URL", cluster.url)
    monkeypatch.setenv("PYDAG_KEY_PREFIX", cluster.prefix)
    web = Web()
    paths = ["", "/status", "/tasks", "/logs?as=ndjson", "/why", "/dag", "/tasks/raise/tries"]
    seen = dict(everything(cluster.store, cluster.prefix))
    seen |= {path: web.get(f"/api/v1/runs/{run.id}{path}").text for path in paths}
    seen |= {f"message {n}": text for n, text in enumerate(commands)}
    for file in cluster.directory.rglob("*"):
        if file.is_file() and file.parent != secrets:
            raw = file.read_bytes()
            text = gzip.decompress(raw) if file.suffix == ".gz" else raw
            seen[str(file)] = text.decode(errors="replace")
    assert len([name for name in seen if name.endswith(".gz")]) >= len(OUTCOMES)
    assert any("task-logs" in name for name in seen)
    # Long enough pieces of it, so that none is found by chance.
    escaped = json.dumps(SECRET)[1:-1]
    pieces = {
        UNUSED,
        SECRET[:8],
        SECRET[-8:],
        escaped[:10],
        SECRET.encode().hex()[:12],
        "Tr0ub4dor%26",
    }
    found = [(name, piece) for name, text in seen.items() for piece in pieces if piece in text]
    assert found == []
