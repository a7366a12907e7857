"""Redis that answers "not now", and links that are cut without a word: all wait, and go on."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from pydag_dist import Client
from tests.faults.link import Link
from tests.support import wait_until
from tests.support.cluster import Cluster, Part
from tests.support.redis_server import RedisServer, server_binary

FAULT_SECONDS = 2  # the length of a fault, not a wait for anything


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, which writes no file but when it is told to."""
    options = {"appendonly": "no"}
    with RedisServer(server_binary("valkey"), tmp_path / "redis", options=options) as server:
        yield server


@pytest.fixture
def link(server: RedisServer) -> Iterator[Link]:
    with Link(server.port) as link:
        yield link


class Faults:
    """What a Redis may answer instead of doing what it is asked; each heals at the end."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._admin = redis.Redis.from_url(server.url)

    def replica(self) -> Iterator[None]:
        """As an old primary after a failover: UNBLOCKED, then READONLY."""
        self._admin.replicaof("127.0.0.1", 1)
        yield
        self._admin.replicaof("NO", "ONE")

    def replica_without_data(self) -> Iterator[None]:
        """MASTERDOWN."""
        self._admin.config_set("replica-serve-stale-data", "no")
        yield from self.replica()

    def no_replicas(self) -> Iterator[None]:
        """NOREPLICAS."""
        self._admin.config_set("min-replicas-to-write", 1)
        yield
        self._admin.config_set("min-replicas-to-write", 0)

    def full_disk(self) -> Iterator[None]:
        """MISCONF, since it can't write its file."""
        shutil.rmtree(self._server.directory)
        self._admin.config_set("save", "3600 1")
        with contextlib.suppress(redis.ResponseError):
            self._admin.save()
        yield
        self._admin.config_set("save", "")

    def busy(self) -> Iterator[None]:
        """BUSY, by a script that never ends."""
        self._admin.config_set("busy-reply-threshold", 50)
        with ThreadPoolExecutor(1) as pool:
            script = pool.submit(self._admin.eval, "while true do end", 0)
            yield
            with redis.Redis.from_url(self._server.url) as other:
                other.script_kill()
            assert isinstance(script.exception(), redis.ResponseError)

    def another_password(self) -> Iterator[None]:
        """NOAUTH, for all connections that are made from now on."""
        self._admin.config_set("requirepass", "new")
        self._kill_connections()
        yield
        self._admin.config_set("requirepass", "")

    def killed_connections(self) -> Iterator[None]:
        self._kill_connections()
        yield

    def _kill_connections(self) -> None:
        for kind in ("normal", "pubsub"):
            self._admin.client_kill_filter(_type=kind, skipme=True)


KINDS = [name for name in vars(Faults) if not name.startswith("_")]


def _wait(client: Client, run_id: str) -> str:
    return client.run(run_id).wait()


def test_nobody_ends_when_redis_says_not_now(server: RedisServer, tmp_path: Path) -> None:
    faults = Faults(server)
    with Cluster(server.url, tmp_path) as cluster:
        coordinator, worker = cluster.coordinator(), cluster.worker()
        for kind in KINDS:
            # Tasks end in it, wait for a slot and for each other; another run is not planned yet.
            tasks = [cluster.task(f"t{i}", "note", ms=50) for i in range(20)]
            tasks.append(cluster.task("after", "note", after=[f"t{i}" for i in range(20)]))
            run = cluster.submit(tasks)
            cluster.wait_lines("ran", run, 3)
            fault = getattr(faults, kind)()
            next(fault)
            with ThreadPoolExecutor(1) as pool:
                client = Client(server.url, prefix=cluster.prefix)
                client._retries._has_answered = True
                waiting = pool.submit(_wait, client, run.id)
                time.sleep(FAULT_SECONDS)
                next(fault, None)
                assert waiting.result(60) == "success", kind
            other = cluster.submit([cluster.task("t", "note")])
            assert cluster.wait_ended(other).state == "success", kind
            coordinator.check()
            worker.check()
            cluster.assert_nothing_left([run, other])
        assert worker.text().count("w1@test ready") <= 1
        assert "Unrecoverable" not in worker.text()


@pytest.mark.parametrize("moves", [False, True])
def test_a_link_that_was_cut_without_a_word_is_made_anew(
    server: RedisServer, link: Link, tmp_path: Path, moves: bool
) -> None:
    """Also to another address, as by DNS after a failover; the old connections stay silent."""
    with Cluster(server.url, tmp_path) as cluster:
        env = {"PYDAG_REDIS_URL": link.url}
        parts = [cluster.coordinator(**env), cluster.worker(**env)]
        run = cluster.submit([cluster.task(f"t{i}", "note", ms=100) for i in range(20)])
        watching = Client(link.url, prefix=cluster.prefix).run(run.id)
        assert watching.state in {"queued", "running"}
        cluster.wait_lines("ran", run, 3)
        link.cut()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(watching.wait)
            time.sleep(FAULT_SECONDS)
            with Link(server.port) as other:
                link.heal(to=other.port if moves else None)
                new = cluster.submit([cluster.task("t", "note")])
                assert waiting.result(60) == "success"
                assert cluster.wait_ended(new).state == "success"
                for part in parts:
                    part.check()
                cluster.assert_nothing_left([run, new])


def test_who_is_told_to_end_while_the_link_is_cut_ends(
    server: RedisServer, link: Link, tmp_path: Path
) -> None:
    with Cluster(server.url, tmp_path) as cluster:
        env = {"PYDAG_REDIS_URL": link.url}
        coordinator = cluster.coordinator(**env)
        idle, busy = cluster.worker("w1", **env), cluster.worker("w2", slots=1, **env)
        gate = tmp_path / "gate"
        run = cluster.submit([cluster.task(f"t{i}", "hold", gate=str(gate)) for i in range(3)])
        cluster.wait_lines("start", run, 3)
        link.cut()
        time.sleep(FAULT_SECONDS)
        for part in (coordinator, idle, busy):
            part.signal(signal.SIGTERM)
        gate.touch()
        for part in (coordinator, idle, busy):
            assert part.wait() == 0, part.name


def pydag(cluster: Cluster, *arguments: str, url: str) -> Part:
    return cluster.start(arguments[0], ["-m", "pydag_dist", *arguments], PYDAG_REDIS_URL=url)


def test_commands_that_wait_are_patient_and_say_so(
    server: RedisServer, link: Link, tmp_path: Path
) -> None:
    with Cluster(server.url, tmp_path) as cluster:
        cluster.coordinator(), cluster.worker()
        gate, file = tmp_path / "gate", tmp_path / "dag.json"
        task = cluster.task("t", "hold", gate=str(gate))
        file.write_text(json.dumps({"dag_id": "d", "tasks": [task]}))
        submit = pydag(cluster, "submit", str(file), "--wait", url=link.url)
        wait_until(lambda: "t: running" in submit.text(), "it runs")
        run_id = re.findall(r"^d-\S+$", submit.text(), re.MULTILINE)[0]
        logs = pydag(cluster, "logs", run_id, "-f", url=link.url)

        def waiting() -> bool:
            commands = [client["cmd"] for client in cluster.store.client_list()]
            return commands.count("xread") == 2

        wait_until(waiting, "both wait for events")
        waits = [submit, logs]
        link.cut()
        for part in waits:
            wait_until(lambda part=part: "waiting for it" in part.text(), "it says so")
        gate.touch()
        link.heal()
        for part in waits:
            assert part.wait() == 0, part.text()
            assert part.text().count("waiting for it") == 1
            assert "Traceback" not in part.text()
        assert f"run {run_id}: success" in submit.text()


def test_a_command_that_gives_up_names_the_run_that_goes_on(
    server: RedisServer, link: Link, tmp_path: Path
) -> None:
    with Cluster(server.url, tmp_path) as cluster:
        cluster.coordinator()
        file = tmp_path / "dag.json"
        file.write_text(json.dumps({"dag_id": "d", "tasks": [cluster.task("t", "note")]}))
        arguments = ("submit", str(file), "--wait", "--timeout", "12")
        submit = pydag(cluster, *arguments, url=link.url)
        wait_until(lambda: re.search(r"^d-\S+$", submit.text(), re.MULTILINE), "its id")
        link.cut()
        assert submit.wait() == 3
        run_id = re.findall(r"^d-\S+$", submit.text(), re.MULTILINE)[0]
        assert f"Run {run_id} goes on" in submit.text()
        assert f"pydag status {run_id}" in submit.text()
        assert "Traceback" not in submit.text()
