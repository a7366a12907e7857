"""What the hot routes of `pydag web` cost: CPU per request, and bytes.

python -m benchmarks.web: a Valkey of its own, a run of 5,000 tasks, 60 short runs; in one process,
without a network.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

import redis

from pydag_dist import Client, Dag
from pydag_dist.settings import load_settings
from pydag_dist.web.app import create_app
from pydag_dist.web.entry.access import COOKIE, LocalKeys
from pydag_dist.web.settings import WebSettings
from pydag_dist.web.site import Site
from tests.support.installation import Installation
from tests.support.redis_server import RedisServer, server_binary

TASKS, RUNS, REQUESTS = 5_000, 60, 60


def wide(dag_id: str, tasks: int) -> Dag:
    with Dag(dag_id) as dag:
        first = dag.task("first", "python.call", params={"callable": "m:f"})
        for number in range(tasks - 1):
            first >> dag.task(f"task_{number}", "python.call", params={"callable": "m:f"})
    return dag


async def ask(app, path: bytes, cookie: str) -> int:
    """The bytes of an answer; the request is an ASGI server's."""
    name, _, query = path.partition(b"?")
    headers = [(b"host", b"localhost"), (b"cookie", cookie.encode())]
    scope = {"type": "http", "method": "GET", "path": name.decode(), "raw_path": name}
    scope |= {"query_string": query, "headers": headers, "root_path": "", "scheme": "http"}
    scope |= {"client": ("127.0.0.1", 1), "server": ("localhost", 80), "http_version": "1.1"}
    sent = 0

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        nonlocal sent
        sent += len(message.get("body", b""))
        assert message.get("status", 200) == 200, message

    await app(scope, receive, send)
    return sent


async def measure(app, path: str, cookie: str) -> None:
    size, times = 0, []
    for _ in range(5):
        await ask(app, path.encode(), cookie)
    for _ in range(5):
        began = time.process_time()
        for _ in range(REQUESTS // 5):
            size = await ask(app, path.encode(), cookie)
        times.append((time.process_time() - began) / (REQUESTS // 5))
    least, middle = min(times) * 1e6, statistics.median(times) * 1e6
    print(f"{path:45} {least:9,.0f} µs least {middle:9,.0f} µs median {size:9,} bytes")


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as home,
        RedisServer(server_binary("valkey"), Path(home) / "redis") as server,
    ):
        os.environ |= {"PYDAG_REDIS_URL": server.url, "PYDAG_HOME": home}
        with redis.Redis.from_url(server.url, decode_responses=True) as connection:
            installation = Installation(connection)
            client = Client()
            small = wide("small", 5)
            for _ in range(RUNS):
                client.submit(small)
            big = client.submit(wide("big", TASKS)).id
            installation.plan(big)
            keys = LocalKeys(None)
            app = create_app(Site(load_settings(), WebSettings(requests_per_second=1e9)), keys)
            value = keys.cookie_for(keys.link.partition("=")[2])
            cookie = f"{COOKIE}={value}"
            for path in (
                "/api/v1/me",
                "/api/v1/runs?limit=50",
                f"/api/v1/runs/{big}/tasks?as=columns",
                f"/api/v1/runs/{big}/graph",
                f"/api/v1/runs/{big}",
                f"/api/v1/runs/{big}/tasks/first/why",
                f"/api/v1/runs/{big}/tasks/first",
            ):
                asyncio.run(measure(app, path, cookie))


if __name__ == "__main__":
    main()
