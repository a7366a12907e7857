"""What somebody sends on purpose, and what goes wrong around the process: told, and survived."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import threading

import pytest
import redis
import uvicorn

from pydag_dist import Client, Dag
from pydag_dist.web.entry import connections
from pydag_dist.web.entry.access import LocalKeys
from pydag_dist.web.entry.connections import Connection, drop_late
from pydag_dist.web.live import run_topic
from pydag_dist.web.live.hub import Hub, follow
from pydag_dist.web.routes.live import _Admitted
from pydag_dist.web.serve import listen
from tests.support.web import OURS, Web

JSON = {**OURS, "Content-Type": "application/json"}


@pytest.fixture
def web(connection, tmp_path, monkeypatch):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    monkeypatch.setattr(Hub, "_start", lambda _: None)
    return Web(requests_per_second=1e6)


def one_task():
    with Dag("d") as dag:
        dag.task("a", "python.call", params={"callable": "m:f"})
    return dag


BODIES = {
    "deep": b'{"dag":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
    "deep lists": b"[" * 500_000,
    "a bomb": gzip.compress(b"0" * 1_000_000),
    "no text": b"\xff\xfe\x00",
    "a long number": b'{"dag_id":"d","params":{"x":' + b"9" * 5_000 + b"}}",
    "no number": b'{"dag_id":"d","params":{"x":NaN}}',
    "half a character": b'{"dag_id":"d","params":{"x":"\\ud800"}}',
    "a NUL": b'{"dag_id":"d","params":{"x\\u0000":"\\u0000"}}',
    "twice the same key": b'{"dag_id":"d","dag_id":"e"}',
    "nothing": b"",
    "null": b"null",
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_nobody_means_is_refused(web, name):
    Client().publish(one_task())
    for method, path in (
        ("PUT", "/api/v1/runs/r"),
        ("POST", "/api/v1/runs"),
        ("PUT", "/api/v1/dags/d"),
    ):
        answer = web.ask(method, path, headers=JSON, content=BODIES[name])
        assert 400 <= answer.status_code < 500 or (name == "a NUL" and answer.status_code == 201), (
            answer.text
        )
        assert answer.status_code == 201 or answer.json()["type"].startswith("urn:pydag:problem:")


PATHS = [
    "/api/v1/runs/..%2f..%2fetc",
    "/api/v1/runs/%2e%2e",
    "/api/v1/runs/a%2fb",
    "/api/v1/runs/%00",
    "/api/v1/runs/%F0%9F%92%A5",
    "/api/v1/runs/%ff",
    "/api/v1/runs/r/tasks/%7B%7B1%7D%7D",
    "/api/v1/dags/" + "x" * 5_000,
    "/static/%2e%2e/gate.py",
    "/static/..%5c..%5cgate.py",
    "/static/%00",
    "/api/v1/runs?cursor=" + "9" * 17,
    "/api/v1/runs?cursor=-1.x",
    "/api/v1/runs?cursor=1",
    "/api/v1/runs?since=nan",
    "/api/v1/runs?since=1e400",
    "/api/v1/runs?logical_date=" + "1" * 400,
    "/api/v1/runs/zzz/events?log=" + "x" * 500,
]


@pytest.mark.parametrize("path", PATHS)
def test_a_strange_address_is_no_defect(web, path):
    for method in ("GET", "HEAD", "OPTIONS", "TRACE", "BREW", "DELETE"):
        status = web.ask(method, path, headers=OURS).status_code
        assert 400 <= status < 500 or (method == "GET" and "?" in path and status == 200), method


def test_what_is_told_twice_is_refused(web):
    for name in ("Host", "Authorization", "X-Pydag", "X-Forwarded-User"):
        told = [("Cookie", f"pydag={web.cookie}"), (name, "localhost"), (name, "localhost")]
        status, _ = raw_answer(web, told)
        assert status == 400, name
    assert raw_answer(web, [("Cookie", f"pydag={web.cookie}"), ("Host", "localhost")])[0] == 200
    # Of HTTP/1.0, without a host.
    assert raw_answer(web, [("Cookie", f"pydag={web.cookie}")])[0] == 403


def raw_answer(web, headers):
    scope = {"type": "http", "method": "GET", "path": "/api/v1/me", "raw_path": b"/api/v1/me"}
    scope |= {"query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1"}
    scope |= {"client": ("127.0.0.1", 1), "server": ("localhost", 80)}
    scope["headers"] = [(name.lower().encode(), value.encode()) for name, value in headers]
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(web.app(scope, receive, send))
    return sent[0]["status"], sent


def test_another_page_gets_no_leave_by_asking_first(web):
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"}
    answer = web.ask("OPTIONS", "/api/v1/runs/r", headers=asked)
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_proxy_is_known_where_both_kinds_of_addresses_are_listened_for(connection):
    web = Web(mode="proxy", proxies=["10.0.0.0/8"], default_role="viewer")
    keeper = web.app.doorkeeper
    told = {"x-forwarded-user": "ada"}
    assert keeper.by_proxy("::ffff:10.1.2.3", told).name == "ada"
    assert keeper.by_proxy("::ffff:11.1.2.3", told) is None


def test_a_full_disk_keeps_nobody_out_who_has_the_key(tmp_path, caplog):
    folder = tmp_path / "home"
    folder.mkdir()
    keys = LocalKeys(folder / "web.link", "http://127.0.0.1:1/")
    key = keys.link.partition("=")[2]
    (folder / "web.link").unlink()
    folder.rmdir()  # nothing can be written there any more, not even by root
    assert keys.is_cookie(keys.cookie_for(key))
    assert "can't be written" in caplog.text
    assert keys.cookie_for(key) is None


# Streams


def test_who_waits_in_vain_leaves_nothing_behind(web):
    topic = web.app.app.state.hub.newest("")

    async def waiting():
        stream = follow(topic, None, "")
        for _ in range(2):
            await anext(stream)
        assert topic._viewers
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.01)

    asyncio.run(waiting())
    assert not topic._viewers


def test_a_stream_that_never_began_counts_no_more(web):
    hub, left = web.app.app.state.hub, []

    async def never():
        yield b""

    async def gone(_):
        raise OSError("the client is gone")

    async def asked():
        stream = _Admitted(lambda: left.append(hub), never(), {})
        scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
        with contextlib.suppress(Exception):
            await stream(scope, None, gone)

    asyncio.run(asked())
    assert left == [hub]


def test_a_run_that_is_damaged_stops_no_other_stream(web, installation, caplog):
    hub = web.app.app.state.hub
    runs = [Client().submit(one_task()).id for _ in range(2)]
    for run_id in runs:
        installation.plan(run_id)
    topics = [hub.run(run_id, "")[0] for run_id in runs]
    installation.connection.hset(f"pydag:{{{runs[0]}}}:tasks", "a", "x|y|z|z|z|z|z|z|z|z|z|z|z")
    broken = topics[0]
    broken.advance = lambda _: (_ for _ in ()).throw(ValueError("damaged"))
    Client().by_id(runs[1]).cancel()
    for topic in topics:
        topic._next = 0
    hub.turn(1)
    hub.turn(1)
    assert (broken.is_failing, topics[1].is_over) == (True, True)
    assert caplog.text.count("stands still") == 1


def test_a_run_that_is_wiped_ends_its_streams(web, installation, monkeypatch):
    monkeypatch.setattr(run_topic, "GONE_SECONDS", 0.0)
    hub = web.app.app.state.hub
    run_id = Client().submit(one_task()).id
    topic, _ = hub.run(run_id, "")
    installation.connection.flushall()
    for _ in range(2):
        topic._next = 0
        topic.advance(())
    assert topic.is_over
    assert web.get(f"/api/v1/runs/{run_id}/events").status_code == 404


def test_redis_that_is_away_is_waited_for_by_all_streams(web, installation, monkeypatch):
    hub = web.app.app.state.hub
    run_id = Client().submit(one_task()).id
    hub.run(run_id, "")

    def away(*_):
        raise redis.ConnectionError("away")

    monkeypatch.setattr(hub._site.engine.watching, "tail", away)
    with pytest.raises(redis.ConnectionError):  # the hub's thread waits and looks again
        hub.turn(1)


def test_a_defect_in_reading_ends_no_stream(web, monkeypatch, caplog):
    monkeypatch.setattr("pydag_dist.web.live.hub.AWAY_SECONDS", 0.0)
    hub, turns = web.app.app.state.hub, []

    def turn(_):
        turns.append(1)
        if len(turns) == 1:
            raise ValueError("a defect")
        return False

    monkeypatch.setattr(hub, "turn", turn)
    hub._work()
    assert (len(turns), "a defect" in caplog.text) == (2, True)


# Connections


@pytest.fixture
def answered():
    """Set as soon as all of an answer was given to the connection."""
    return threading.Event()


@pytest.fixture
def served(monkeypatch, answered):
    """The port of a server whose connections may wait for a tenth of a second only."""
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "READ_SECONDS"):
        monkeypatch.setattr(connections, name, 0.1)
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.02)

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/much":
            for _ in range(50):
                await send(
                    {"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True}
                )
        while scope["path"] == "/body" and (await receive()).get("more_body"):
            pass
        if scope["path"] == "/slow":
            await asyncio.sleep(0.4)  # that is ours, not the other side's
        await send({"type": "http.response.body", "body": b"end"})
        answered.set()

    config = uvicorn.Config(app, http=Connection, ws="none", log_config=None, lifespan="off")

    class Server(uvicorn.Server):
        async def main_loop(self):
            looking = asyncio.create_task(drop_late(self.server_state.connections))
            await super().main_loop()
            looking.cancel()

    listening = socket.create_server(("127.0.0.1", 0))
    server = Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join()


HEAD = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"


@pytest.mark.parametrize(
    "begin", [b"", b"GET / HTTP/1.1\r\nHo", HEAD, b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT"]
)
def test_who_drips_is_dropped(served, begin):
    with socket.create_connection(("127.0.0.1", served), 10) as client:
        client.sendall(begin)
        with contextlib.suppress(ConnectionError):
            while client.recv(1000):
                pass  # ends only if the other side does


def test_who_never_reads_is_dropped(served, answered):
    with socket.create_connection(("127.0.0.1", served), 10) as client:
        client.sendall(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answered.wait(10)  # what is sent to nobody is soon sent


def test_who_waits_for_us_is_not_dropped(served):
    with socket.create_connection(("127.0.0.1", served), 10) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        told = b""
        while more := client.recv(1000):
            told += more
        assert told.endswith(b"end\r\n0\r\n\r\n")


def test_a_small_answer_waits_for_nothing():
    """Without TCP_NODELAY each waits for the other side's delayed ACK of its head: 40 ms."""

    async def accepted():
        loop, made = asyncio.get_running_loop(), asyncio.Event()
        found = []

        class Accepted(asyncio.Protocol):
            def connection_made(self, transport):
                found.append(transport.get_extra_info("socket"))
                made.set()

        with listen("127.0.0.1", 0) as listening:
            server = await loop.create_server(Accepted, sock=listening)
            with socket.create_connection(listening.getsockname()):
                await made.wait()
                [one] = found
                nodelay = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            server.close()
        return nodelay

    assert asyncio.run(accepted())


def test_too_many_connections_are_refused_at_once(served, monkeypatch):
    monkeypatch.setattr(connections, "most_connections", lambda: 0)
    with (
        socket.create_connection(("127.0.0.1", served), 10) as client,
        contextlib.suppress(ConnectionError),
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(1000) == b""
