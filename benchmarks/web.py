"""What `pydag web` costs: CPU of each request of its hot routes, and viewers for each core.

python -m benchmarks.web: a Valkey of its own, a run of 5,000 tasks and 60 short ones, and a real
process that is asked by one connection that stays. CPU time is that of all its threads.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis

from benchmarks.processes import ROOT, Program
from benchmarks.viewers import free_port
from pydag_dist import Client, Dag
from pydag_dist.engine import Engine
from pydag_dist.web.tokens import Tokens
from tests.support.installation import Installation
from tests.support.redis_server import RedisServer, server_binary

TASKS, RUNS = 5_000, 60
SECONDS = 1.5  # that each route is asked for
VIEWERS, WATCHED = 400, 10.0  # and seconds
TICK, TOGETHER = 0.1, 5  # so often so many tasks end while somebody looks on


def wide(dag_id: str, tasks: int) -> Dag:
    with Dag(dag_id) as dag:
        first = dag.task("first", "python.call", params={"callable": "m:f"})
        for number in range(tasks - 1):
            first >> dag.task(f"task_{number}", "python.call", params={"callable": "m:f"})
    return dag


def cpu(pid: int) -> float:
    """Seconds of CPU of all threads of a process, to the nanosecond."""
    used = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            used += int((thread / "schedstat").read_text().split()[0])
    return used / 1e9


def ask(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> int:
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    size = len(answer.read())
    assert answer.status in {200, 304}, (path, answer.status)
    return size


def measure_route(pid: int, port: int, path: str, headers: dict[str, str]) -> None:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        for _ in range(5):
            size = ask(connection, path, headers)
        began, before, number = time.monotonic(), cpu(pid), 0
        while time.monotonic() - began < SECONDS:
            ask(connection, path, headers)
            number += 1
        seconds, used = time.monotonic() - began, (cpu(pid) - before) / number
    kind = " (304)" if "If-None-Match" in headers else ""
    print(
        f"{_short(path) + kind:32} {used * 1e6:9,.0f} µs of CPU, {1 / used:7,.0f} a second and "
        f"core, {number / seconds:7,.0f} by one connection, {size:9,} bytes",
        flush=True,
    )


def _short(path: str) -> str:
    return re.sub("/runs/[^/]+", "/runs/RUN", path.removeprefix("/api/v1"))


def measure_viewers(pid: int, port: int, token: str, run: str, installation: Installation) -> None:
    """CPU of the process with and without viewers, while tasks of the run end."""

    def watched(count: int) -> float:
        arguments = (str(port), token, str(count), run)
        with subprocess.Popen(
            [sys.executable, "-m", "benchmarks.viewers", *arguments, "only the run"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as readers:  # fmt: skip
            assert readers.stdout is not None
            assert readers.stdout.readline() == "ready\n"
            before, began = cpu(pid), time.monotonic()
            for tick in range(round(WATCHED / TICK)):
                for _ in range(TOGETHER):
                    installation.end(installation.claim())
                time.sleep(max(0.0, began + (tick + 1) * TICK - time.monotonic()))
            used, seconds = cpu(pid) - before, time.monotonic() - began
            readers.communicate("end\n")
        return used / seconds

    one, many = watched(1), watched(VIEWERS)
    each = (many - one) / (VIEWERS - 1)
    print(
        f"a run that changes ten times a second: {100 * one:.1f} % of a core for one viewer, and "
        f"{1e6 * each:,.0f} µs a second for each more: {(1 - one) / each:,.0f} viewers a core"
    )


@contextlib.contextmanager
def serving(directory: Path, url: str) -> Iterator[tuple[int, int, str]]:
    """A `pydag web`: its process, its port, and a token that it takes."""
    port = free_port()
    token = Tokens(Engine.from_url(url).store).add("bench", "viewer", "benchmark")
    environment = {
        "PYDAG_REDIS_URL": url, "PYDAG_HOME": str(directory), "PYDAG_WEB_MODE": "tokens",
        "PYDAG_WEB_REQUESTS_PER_SECOND": "1e9", "PYDAG_WEB_STREAMS": "100000",
    }  # fmt: skip
    arguments = ("pydag_dist", "web", "--port", str(port))
    with Program(directory / "web.log", *arguments, environment=environment) as web:
        web.wait_for("listening on")
        yield web.pid, port, token


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as home,
        RedisServer(server_binary("valkey"), Path(home) / "redis") as server,
        redis.Redis.from_url(server.url, decode_responses=True) as connection,
        serving(Path(home), server.url) as (pid, port, token),
    ):
        os.environ |= {"PYDAG_REDIS_URL": server.url, "PYDAG_HOME": home}
        installation, client = Installation(connection), Client()
        small = wide("small", 5)
        for _ in range(RUNS):
            client.submit(small)
        big = client.submit(wide("big", TASKS)).id
        installation.plan(big)
        installation.end(installation.claim())
        headers = {"Authorization": f"Bearer {token}"}
        run = f"/api/v1/runs/{big}"
        tag = {"If-None-Match": f'"{client.engine.reading.run_head(big)["dag_hash"]}"'}
        for path, more in (
            ("/health", {}),
            ("/api/v1/me", {}),
            ("/api/v1/runs?limit=50", {}),
            (run, {}),
            (f"{run}/graph", {}),
            (f"{run}/graph", tag),
            (f"{run}/tasks?as=columns", {}),
            (f"{run}/tasks/first", {}),
            (f"{run}/tasks/first/why", {}),
            (f"{run}/tasks/first/params", {}),
        ):
            measure_route(pid, port, path, headers | more)
        measure_viewers(pid, port, token, big, installation)


if __name__ == "__main__":
    main()
