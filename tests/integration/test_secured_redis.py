"""The whole product over TLS, or a socket's file, with a user for each part as documented."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import requests

from pydag_dist import Client, Dag
from pydag_dist.engine import Engine, RunFilter, connect
from tests.support import free_port, wait_until
from tests.support.certificates import make_certificates
from tests.support.cluster import ROOT, Cluster, dag
from tests.support.local_google import cloud_storage, storage_client
from tests.support.redis_server import RedisServer, server_binary

PASSWORD = "S3cr#t/?@;of%41"  # hard to write in a URL
QUOTED = "S3cr%23t%2F%3F%40;of%2541"
USERS = ("coordinator", "worker", "client", "reader", "flower")


class Secured(RedisServer):
    """A server with the documented users, and an administrator."""

    def __init__(self, kind: str, directory: Path, prefix: str) -> None:
        self.kind = kind
        text = (ROOT / "docs" / "security.md").read_text()
        lines = re.findall(r"^user .*$", text, re.MULTILINE)
        assert [line.split()[1] for line in lines] == ["default", *USERS]
        users = directory / "users.acl"
        told = "\n".join(lines).replace("~pydag:", f"~{prefix}:").replace("&pydag:", f"&{prefix}:")
        told = told.replace(">PASSWORD", f">{PASSWORD}")
        users.write_text(f"{told}\nuser admin on >admin ~* &* +@all\n")
        options = {"aclfile": str(users)}
        if kind == "tls":
            make_certificates(directory, "localhost")
            self._place = f"localhost:{(port := free_port())}/0?ssl_ca_certs={directory}/ca.pem"
            own = f"&ssl_certfile={directory}/client.pem&ssl_keyfile={directory}/client.key"
            self._place += own
            options |= {"port": "0", "tls-port": str(port), "tls-auth-clients": "yes"}
            options |= {"tls-ca-cert-file": f"{directory}/ca.pem"}
            options |= {"tls-cert-file": f"{directory}/server.pem"}
            options |= {"tls-key-file": f"{directory}/server.key"}
            self.scheme, binary = "rediss", server_binary("redis7")
        else:
            options |= {"port": "0", "unixsocket": f"{directory}/redis.sock"}
            self._place = f"{directory}/redis.sock?db=0"
            self.scheme, binary = "unix", server_binary("valkey")
        super().__init__(binary, directory, port=1, options=options)

    @property
    def url(self) -> str:
        return f"{self.scheme}://admin:admin@{self._place}"

    def url_of(self, user: str, password: str = QUOTED) -> str:
        return f"{self.scheme}://{user}:{password}@{self._place}"


@pytest.fixture(scope="module", params=["tls", "socket"])
def secured(request, tmp_path_factory) -> Iterator[tuple[Secured, Cluster]]:
    directory = tmp_path_factory.mktemp(request.param)
    with (
        Secured(request.param, directory, "pydag-test") as server,
        Cluster(server.url, directory) as cluster,
    ):
        cluster.prefix = "pydag-test"
        cluster.engine = Engine(cluster.store, cluster.prefix)
        cluster.client = Client(server.url_of("client"), prefix=cluster.prefix)
        yield server, cluster


def pydag(server, cluster, user, *arguments):
    """A command of that user."""
    return subprocess.run(
        [sys.executable, "-m", "pydag_dist", *arguments],
        env={
            **os.environ,
            "PYDAG_REDIS_URL": server.url_of(user),
            "PYDAG_KEY_PREFIX": cluster.prefix,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_part_does_its_work_as_its_own_user(secured, tmp_path):
    server, cluster = secured
    with cloud_storage(tmp_path) as storage:
        bucket = storage_client(storage).create_bucket("inbox")
        cluster.url = server.url_of("worker")
        worker = cluster.start(
            "w1",
            ["-m", "pydag_dist", "worker", "-n", "w1@test", "-c", "2", "-Q", "python,gcs"],
            PYDAG_WORKER_IMPORTS="tests.tasks.callables",
            STORAGE_EMULATOR_HOST=storage,
        )
        # Nobody has loaded the function yet, and a worker may not.
        wait_until(lambda: "start a coordinator of this version" in worker.text(), "it says so")
        cluster.url = server.url_of("coordinator")
        cluster.coordinator()
        cluster.wait_registered(worker)
        port = free_port()
        cluster.url = server.url_of("flower")
        cluster.start("flower", ["-m", "pydag_dist", "flower", "--port", str(port)])

        gate = tmp_path / "gate"
        wait = {"task_id": "wait", "operator": "gcs.wait_object", "timeout": 60}
        wait["params"] = {"object": "gs://inbox/go"}
        tasks = [cluster.task("a", "note"), wait, cluster.task("b", "note", after=["a", "wait"])]
        run = cluster.submit(tasks)
        wait_until(lambda: run.snapshot().counts.get("deferred"), "it waits")
        bucket.blob("go").upload_from_string("now")
        assert cluster.wait_ended(run).state == "success"
        assert run.wait(timeout=60) == "success"

        held = cluster.submit([cluster.task("t", "hold", gate=str(gate))])
        cluster.wait_lines("start", held, 1)
        assert held.cancel() == "cancelling"
        assert cluster.wait_ended(held).state == "cancelled"
        gate.touch()
        held.resume()
        assert cluster.wait_ended(held).state == "success"

        of_dags = use_published_dags(cluster)
        flower = f"http://127.0.0.1:{port}"
        seen = lambda: "w1@test" in requests.get(f"{flower}/workers", timeout=10).text  # noqa: E731
        wait_until(lambda: answers(flower) and seen(), "Flower sees the worker")
        done = cluster.submit([cluster.task("t", "note")])
        assert cluster.wait_ended(done).state == "success"
        shown = lambda: requests.get(f"{flower}/task/{done.id}/t/1", timeout=10).text  # noqa: E731
        wait_until(lambda: "SUCCESS" in shown(), "Flower sees the task")
        if server.kind == "tls":  # over a socket Flower leaves out the user's name
            assert "python" in requests.get(f"{flower}/broker", timeout=10).text

    # A reader reads all of it.
    for command in (
        ["status", run.id],
        ["runs", "--type", "scheduled"],
        ["logs", run.id],
        ["why", run.id, "b"],
        ["dags"],
        ["dags", "parent", "--versions"],
        ["backfills"],
    ):
        result = pydag(server, cluster, "reader", *command)
        assert result.returncode == 0, result.stderr
    reader = Client(server.url_of("reader"), prefix=cluster.prefix)
    assert [each.state for each in reader.run(run.id).follow()] == ["success"]
    cluster.wait_written()
    everything = cluster.logs()
    assert "no permissions" not in everything
    assert PASSWORD[:4] not in everything
    cluster.assert_nothing_left([run, held, done, *of_dags])


def use_published_dags(cluster):
    """Publish, be due, `dag.run`, backfill and pause, each as the user whose work it is."""
    client = cluster.client
    child = {"dag_id": "child", "schedule_interval": 1, "tasks": [cluster.task("t", "note")]}
    task = {"task_id": "use", "operator": "dag.run", "params": {"dag": "child"}}
    for published in (child, {"dag_id": "parent", "tasks": [task | {"queue": "python"}]}):
        client.publish(Dag.parse(published))
    parent = client.start("parent")
    assert cluster.wait_ended(parent).state == "success"
    fired = lambda: client.listing(1, RunFilter("child", run_types=("scheduled",))).runs  # noqa: E731
    wait_until(fired, "its schedule starts a run")
    assert client.pause("child")
    day = "2026-01-31T06:00:0{}Z"
    backfill = client.backfill("child", day.format(1), day.format(3)).backfill_id
    assert client.pause_backfill(backfill)
    assert client.unpause_backfill(backfill)
    wait_until(lambda: client.backfills()[0].state == "done", "all of the backfill has run")
    assert client.unpause("child")
    client.unpublish("child")
    runs = [client.by_id(run.run_id) for run in client.listing(1_000, RunFilter("child")).runs]
    cluster.wait_all_ended(runs)
    return [parent, *runs]


def answers(url):
    try:
        return requests.get(f"{url}/healthcheck", timeout=5).ok
    except requests.ConnectionError:
        return False


def test_what_a_user_must_not_do_is_refused(secured):
    server, cluster = secured
    key = cluster.key
    of_nobody = [
        ["FLUSHALL"],
        ["FLUSHDB"],
        ["CONFIG", "GET", "*"],
        ["KEYS", "*"],
        ["ACL", "LIST"],
        ["SHUTDOWN"],
        ["MONITOR"],
        ["CLIENT", "KILL", "ID", "1"],
        ["FUNCTION", "DELETE", "x"],
        ["FUNCTION", "FLUSH"],
        ["SCRIPT", "FLUSH"],
        ["REPLICAOF", "NO", "ONE"],
        ["GET", "other"],
        ["SET", "other", "1"],
        ["PUBLISH", "other", "1"],
    ]
    load = [["FUNCTION", "LOAD", "#!lua name=x\nredis.register_function('x', function() end)"]]
    lease = [["SET", key("database"), "x"], ["DEL", key("history:writer")]]
    writes = [
        ["HSET", key("run:x"), "state", "success"],
        ["XADD", key("submissions"), "*", "a", "b"],
    ]
    call = [["FCALL", "x", "0"]]
    push = [["LPUSH", key("q:python"), "{}"]]
    channel = [["PUBLISH", key("q:/0.celery.pidbox"), "{}"]]
    evaluate = [["EVAL", "return 1", "0"]]
    refused = {
        "coordinator": [],
        "worker": load,
        "client": load + lease + channel + evaluate,
        "reader": load + lease + writes + call + push + channel + evaluate,
        "flower": load + lease + writes + call + push + evaluate,
    }
    for user, commands in refused.items():
        with connect(server.url_of(user)) as client:
            assert client.ping()
            for command in of_nobody + commands:
                with pytest.raises(redis.exceptions.NoPermissionError) as caught:
                    client.execute_command(*command)
                assert "docs/security.md" in str(caught.value), (user, command)
    with (
        connect(server.url_of("reader", "wrong")) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_a_refusal_is_a_sentence_with_the_command_and_the_page(secured):
    server, cluster = secured
    example = str(ROOT / "examples" / "pipeline" / "pipeline.json")
    run = Client(server.url, prefix=cluster.prefix).submit(dag([cluster.task("t", "note")]))
    for arguments in (["submit", example], ["cancel", run.id], ["publish", example]):
        result = pydag(server, cluster, "reader", *arguments)
        assert result.returncode == 2
        assert "fcall" in result.stderr
        assert "docs/security.md" in result.stderr
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("secured", ["tls"], indirect=True)
def test_tls_verifies_authority_host_name_and_client(secured):
    server, _ = secured
    port = server.url.split("localhost:")[1].split("/")[0]
    directory = server.directory
    for end, said in (
        (f"localhost:{port}/0", "self-signed certificate"),
        (f"127.0.0.1:{port}/0?ssl_ca_certs={directory}/ca.pem", "IP address mismatch"),
        (
            f"localhost:{port}/0?ssl_ca_certs={directory}/ca.pem",
            "certificate required|EOF|reset|Broken pipe",
        ),
    ):
        with (
            connect(f"rediss://admin:admin@{end}") as client,
            pytest.raises(redis.ConnectionError, match=said),
        ):
            client.ping()
