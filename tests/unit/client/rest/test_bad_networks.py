"""A service that is away, slow, cut off, another one, or behind a proxy with words of its own."""

from __future__ import annotations

import itertools
import json
import logging
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from pydag_dist import Client
from pydag_dist.client.rest import service
from pydag_dist.errors import InvalidSettings, PydagError, ServiceAway, ServiceRefused
from tests.support.certificates import make_certificates

TOKEN = "pydag_SECRET"
RUN = {"run_id": "r", "state": "running"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(service, "PAUSE", 0.01)
    monkeypatch.setattr(service, "LONGEST_PAUSE", 0.05)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


def answer(content, status=200, kind="application/json", **headers):
    body = content if isinstance(content, str) else json.dumps(content)
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ["\r\n".join([*lines, "", body])]


def problem(status, detail="no", kind="x", **headers):
    told = {"type": f"urn:pydag:problem:{kind}", "status": status, "detail": detail}
    return answer(told, status, "application/problem+json", **headers)


def stream(*frames):
    """Frames, and then a cut."""
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    told = [f"id: {i}\nevent: {kind}\ndata: {json.dumps(data)}\n\n" for i, kind, data in frames]
    return [head, *told]


@contextmanager
def serving(*answers, tls=None):
    """A server that answers each connection with the next of the answers; what it was asked."""
    asked = []

    def serve(listening):
        for parts in answers:
            try:
                plain, _ = listening.accept()
                sock = tls.wrap_socket(plain, server_side=True) if tls else plain
            except OSError:
                continue
            with sock, suppress(OSError):  # who has waited long enough hangs up
                sock.settimeout(10)
                asked.append(sock.recv(65536).decode())
                for part in parts:
                    if isinstance(part, float):
                        time.sleep(part)
                    else:
                        sock.sendall(part.encode())

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        yield f"http{'s' * bool(tls)}://127.0.0.1:{listening.getsockname()[1]}", asked


def client(url, seconds=20.0, **options):
    return Client(url, token=TOKEN, retry_seconds=seconds, **options)


def test_what_reads_is_asked_again():
    good = answer(RUN)
    passing = (
        good,
        [],  # cut before an answer
        ["HTTP/1.1 200 OK\r\nContent-Length: 100\r\nContent-Type: application/json\r\n\r\n{"],
        answer("<h1>Bad Gateway", 502, "text/html"),
        problem(503, Retry_After="0"),
        problem(429, Retry_After="0.01"),
        answer("busy", 503, "text/plain", Retry_After="0.01"),
        good,
    )
    with serving(*passing) as (url, asked):
        run = client(url).by_id("r")
        assert (run.state, run.state) == ("running", "running")
    assert len(asked) == len(passing)
    assert all(f"Authorization: Bearer {TOKEN}" in each for each in asked)


def test_what_was_never_there_is_not_waited_for():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ServiceAway, match="Set PYDAG_URL"):
        client(f"http://127.0.0.1:{port}").runs()
    bad = answer("<h1>no backend", 502, "text/html")
    with serving(bad) as (url, _), pytest.raises(ServiceAway, match="status 502"):
        client(url).runs()


def test_what_is_away_is_waited_for_so_long():
    with serving(answer(RUN)) as (url, _):
        run = client(url, 0.3).by_id("r")
        assert run.state == "running"
    with pytest.raises(ServiceAway, match="could not be reached for"):
        _ = run.state


def test_what_must_not_be_done_twice_is_asked_once():
    for parts in ([], problem(503, Retry_After="0"), answer("<h1>", 504, "text/html")):
        unknown = pytest.raises(ServiceAway, match="Whether that was done is not known")
        with serving(parts, answer(RUN)) as (url, asked), unknown:
            client(url).by_id("r").resume()
        assert len(asked) == 1
    with serving(problem(429, Retry_After="0.01"), answer(RUN)) as (url, asked):
        client(url).by_id("r").resume()  # that was not done
    assert len(asked) == 2


def test_what_has_a_key_is_sent_again_with_it():
    with serving([], [], answer({"backfill_id": "b"})) as (url, asked):
        far = client(url)
        far._service._has_answered = True
        assert far._service.make("dags/d/backfills", {})["backfill_id"] == "b"
    keys = {line for each in asked for line in each.splitlines() if "Idempotency-Key" in line}
    assert (len(asked), len(keys)) == (3, 1)


def test_a_server_that_drips_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(service, "ANSWER_SECONDS", 0.3)
    drips = ["HTTP/1.1 200 OK\r\n", *itertools.chain(*(("X: 1\r\n", 0.05) for _ in range(100)))]
    with serving(drips) as (url, _):
        began = time.monotonic()
        with pytest.raises(ServiceAway, match=r"takes too long|timed out"):
            client(url).runs()
        assert time.monotonic() - began < 5


def test_a_token_goes_to_no_other_host():
    with serving(answer(RUN)) as (other, asked_there):
        for status in (301, 302, 307, 308):
            elsewhere = answer("", status, Location=f"{other}/api/v1/runs")
            refused = pytest.raises(PydagError, match="sends its callers elsewhere")
            with serving(elsewhere) as (url, _), refused:
                client(url).runs()
        assert asked_there == []


def test_the_token_of_one_service_is_not_sent_to_another(monkeypatch):
    monkeypatch.setenv("PYDAG_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("PYDAG_TOKEN", TOKEN)
    with serving(answer(RUN)) as (url, asked):
        assert Client(url).by_id("r").state == "running"
    assert TOKEN not in asked[0]


@pytest.mark.parametrize(
    "url",
    [
        f"https://{TOKEN}@pydag.example/",
        f"https://me:{TOKEN}@pydag.example/",
        f"https://pydag.example/?token={TOKEN}",
        f"https://pydag.example/#{TOKEN}",
        f"https://pydag.example/{TOKEN}\n",
        f"https://pydag.example:{TOKEN}/",
        f"https://[{TOKEN}/",
        f"https:///{TOKEN}",
        f"https://pydag.example/a b{TOKEN}",
    ],
)
def test_a_token_in_the_url_is_refused_and_not_repeated(url):
    with pytest.raises(InvalidSettings) as error:
        Client(url)
    assert TOKEN not in str(error.value)


def test_a_token_is_nowhere_told(caplog, tmp_path, monkeypatch):
    caplog.set_level(logging.DEBUG)
    with serving(answer(RUN), [], problem(401), problem(500)) as (url, _):
        far = client(url)
        run = far.by_id("r")
        assert run.state == "running"
        with pytest.raises(ServiceRefused, match="does not know the token") as refused:
            _ = run.state
        with pytest.raises(PydagError) as broken:
            _ = run.state
    told = f"{far!r} {run!r} {refused.value} {broken.value} {vars(far)} {caplog.text}"
    assert TOKEN not in told
    for wrong in (f"{TOKEN}\n", f"{TOKEN}ü", f"a {TOKEN}"):
        with pytest.raises(InvalidSettings) as error:
            Client("https://pydag.example", token=wrong)
        assert TOKEN not in str(error.value)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("PYDAG_TOKEN_FILE", str(tmp_path / "token"))
    with serving(answer(RUN)) as (url, asked):
        monkeypatch.setenv("PYDAG_URL", f"{url}/")
        assert Client().by_id("r").state == "running"
    assert f"Bearer {TOKEN}\r" in asked[0]


def test_what_is_no_pydag_web_is_said_so():
    strange = [
        answer("<html>Sign in", 200, "text/html"),
        answer("<html>none", 404, "text/html"),
        answer("no json"),
        answer({"detail": "Not Found"}, 404),
        answer({"items": [{"run_id": "r"}], "missing": None, "next": None}),
    ]
    with serving(*strange) as (url, _):
        for match in ["is no `pydag web`"] * 4 + ["of another version"]:
            with pytest.raises(PydagError, match=match):
                client(url).runs()


def test_a_certificate_that_nobody_trusts(tmp_path):
    make_certificates(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    authority = tmp_path / "ca.pem"
    with serving([], [], answer(RUN), tls=context) as (url, asked):
        named = url.replace("127.0.0.1", "localhost")
        with pytest.raises(ServiceRefused, match=r"is not trusted .*PYDAG_CA_FILE"):
            client(named).runs()
        with pytest.raises(ServiceRefused, match="mismatch"):
            client(url, ca_file=authority).runs()
        assert client(named, ca_file=authority).by_id("r").state == "running"
    assert len(asked) == 1
    with pytest.raises(InvalidSettings, match="PYDAG_CA_FILE"):
        client(url, ca_file=tmp_path / "server.key")


def line(number):
    return {"at": number, "task": "a", "try_number": 1, "level": "INFO", "line": f"{number}"}


def test_a_stream_that_was_cut_goes_on_where_it_was():
    def log(*numbers, start=False, left_out=False):
        items = [line(number) for number in numbers]
        return "log", {"items": items, "start": start, "left_out": left_out}

    everything = answer(
        "\n".join(json.dumps(line(n)) for n in range(6)), 200, "application/x-ndjson"
    )
    parts = (
        answer(RUN),
        stream(("s-1/l-1", *log(0, 1, start=True))),
        stream(("s-2/l-2", *log(2))),
        [],
        answer("<h1>", 502, "text/html"),
        stream(("s-3/m-1", "reset", {}), ("s-4/m-2", *log(1, 2, 3, start=True))),
        stream(("s-5/m-3", *log(4)), ("s-6/m-4", "end", {"state": "success"})),
        everything,
    )
    with serving(*parts) as (url, asked):
        told = [each.line for each in client(url).by_id("r").follow_logs()]
    assert told == list("012345")
    cut = [each.partition("Last-Event-ID: ")[2].partition("\r")[0] for each in asked]
    assert cut == ["", "", "s-1/l-1", "s-2/l-2", "s-2/l-2", "s-2/l-2", "s-4/m-2", ""]


def test_by_a_proxy_of_this_host(monkeypatch):
    with serving(answer(RUN)) as (proxy, asked):
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("no_proxy", "elsewhere.example")
        assert client("http://pydag.example/below").by_id("r").state == "running"
    assert asked[0].startswith("GET http://pydag.example/below/api/v1/runs/r HTTP/1.1\r\n")
    assert "Host: pydag.example\r\n" in asked[0]


@pytest.mark.parametrize("status", [401, 403])
def test_who_sends_no_token_is_told_how_to_get_one(status):
    with (
        serving(problem(status)) as (url, _),
        pytest.raises(ServiceRefused, match="asks who: set PYDAG_TOKEN"),
    ):
        Client(url).runs()


@pytest.mark.parametrize("address", ["pydag.example", "https//pydag.example", "ftp://pydag"])
def test_a_wrong_address_does_not_lead_to_the_default_redis(monkeypatch, address):
    monkeypatch.setenv("PYDAG_URL", address)
    with pytest.raises(InvalidSettings, match="the URL of the service can't be used"):
        Client()
    for either in ("HTTPS://pydag.example", "https://pydag.example"):
        monkeypatch.setenv("PYDAG_URL", either)
        assert Client().knows_history
