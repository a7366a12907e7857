"""Who may come in, and do what: every route by every role, and pages of other sites not at all."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import socket

import httpx
import pytest
from fastapi.routing import APIRoute

from pydag_dist import Client, Dag
from pydag_dist.errors import InvalidSettings, PydagError
from pydag_dist.settings import link_file, load_settings
from pydag_dist.web.entry.access import LocalKeys
from pydag_dist.web.entry.gate import Buckets
from pydag_dist.web.live import hub
from pydag_dist.web.routing import NOBODY, ROLES
from pydag_dist.web.serve import links
from pydag_dist.web.settings import WebSettings
from tests.support.web import OURS, Web

UNSAFE = ("POST", "PUT", "PATCH", "DELETE")


@pytest.fixture(autouse=True)
def home(connection, tmp_path, monkeypatch):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    return tmp_path


def routes():
    app = Web.application()
    return [
        (method, route.path, route.role)
        for route in app.routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods)
    ]


def filled(path):
    names = {"{run_id}": "r", "{dag_id}": "d", "{task}": "t", "{name}": "n", "{backfill_id}": "b"}
    for name, value in names.items():
        path = path.replace(name, value)
    return path


def test_every_route_by_every_role(monkeypatch):
    web = Web(mode="tokens", requests_per_second=10_000)
    tokens = {role: web.site.tokens.add(role, role, "test") for role in ROLES}
    tokens[None] = None
    wrong = []
    for (method, path, role), who in itertools.product(routes(), tokens):
        if path.endswith("/events"):
            continue  # would go on for ever
        headers = {"Authorization": f"Bearer {tokens[who]}"} if tokens[who] else OURS
        status = web.ask(method, filled(path), headers=headers).status_code
        rank = -1 if who is None else ROLES.index(who)
        may = role == NOBODY or rank >= ROLES.index(role)
        refused = 401 if who is None else 403
        if role != NOBODY and (status == refused) == may:
            wrong.append((method, path, role, who, status))
    assert wrong == []


@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site", "X-Pydag": "1"},
        {"Sec-Fetch-Site": "same-site", "X-Pydag": "1"},
        {"Sec-Fetch-Site": "cross-site", "Authorization": "Bearer x"},
        {"Origin": "https://evil.example", "Content-Type": "text/plain"},
    ],
)
def test_a_page_of_another_origin_can_do_nothing(method, headers):
    answer = Web().ask(method, "/api/v1/runs/r/cancel", headers=headers)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_a_name_that_was_made_to_mean_this_host_is_refused():
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example"):
        assert Web().get("/api/v1/runs", headers={"Host": host}).status_code == 403
    assert Web().get("/api/v1/runs", headers={"Host": "[::1]:80"}).status_code == 200


def test_the_key_of_an_address_lets_one_browser_in_once():
    web = Web(cookie="")
    assert web.get("/api/v1/me").status_code == 401
    link = web.keys.link
    first = web.get(f"/runs/x{link}&view=list")
    assert (first.status_code, first.headers["Location"]) == (303, "/runs/x?view=list")
    cookie = first.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    value = cookie.partition(";")[0]
    assert web.get("/api/v1/me", headers={"Cookie": value}).json()["role"] == "admin"
    assert web.get(f"/{link}").status_code == 401
    assert web.get(f"/{web.keys.link}").status_code == 303
    assert web.get("//evil.example/?key=x").status_code == 401


def test_two_services_of_one_host_keep_a_browser_each():
    """Browsers send the cookies of a host to all of its ports."""
    jar, webs = httpx.Cookies(), {port: Web(cookie="") for port in ("8080", "8081")}

    def ask(port, path):
        headers = {"Host": f"127.0.0.1:{port}", "Cookie": "; ".join(f"{n}={v}" for n, v in kept())}
        found = webs[port].get(path, headers=headers)
        jar.update(dict(found.cookies))
        return found

    def kept():
        return [("pydag", "older"), ("x", '"'), *jar.items()]

    for port, web in webs.items():
        assert ask(port, f"/{web.keys.link}").status_code == 303
    for port in webs:
        assert ask(port, "/api/v1/me").status_code == 200
    assert sorted(jar) == ["pydag-8080", "pydag-8081"]


def test_the_file_with_the_key_is_for_its_user_only(home):
    web = Web(cookie="")
    file = home / "web-8080.link"
    web.keys.listens("http://127.0.0.1:8080/")
    assert file.stat().st_mode & 0o077 == 0
    assert file.read_text().strip() == web.keys.link
    web.keys.close()
    web.keys.cookie_for(web.keys.link.partition("=")[2])
    assert not file.exists()


def test_a_link_is_of_each_process_that_listens_now(home):
    """One that was killed leaves its file; another of the same home keeps its own."""
    settings = load_settings()
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("127.0.0.1", 0)) as b,
    ):
        ports = [each.getsockname()[1] for each in (first, b)]
        keys = [LocalKeys(link_file(settings.home, port)) for port in ports]
        for port, key in zip(ports, keys, strict=True):
            key.listens(f"http://127.0.0.1:{port}/")
        keys[0].cookie_for(keys[0].link.partition("=")[2])  # its key is another one now
        assert sorted(links(settings)) == sorted(key.link for key in keys)
    with pytest.raises(PydagError, match="no `pydag web` in mode local runs with the home"):
        links(settings)


def test_a_token_is_kept_as_its_hash(connection):
    web = Web(mode="tokens")
    secret = web.site.tokens.add("ci", "operator", "me")
    told = web.get("/api/v1/me", headers={"Authorization": f"Bearer {secret}"}).json()
    assert (told["user"], told["role"]) == ("ci", "operator")
    assert secret not in json.dumps(connection.hgetall("pydag:tokens"))
    for wrong in (secret[:-1], "", "x"):
        bearer = {"Authorization": f"Bearer {wrong}"}
        assert web.get("/api/v1/me", headers=bearer).status_code == 401


def test_an_admin_makes_tokens_and_takes_them_back():
    web = Web(mode="tokens")
    admin = {"Authorization": f"Bearer {web.site.tokens.add('a', 'admin', 'me')}"}
    made = web.ask("POST", "/api/v1/tokens", headers=admin, json={"name": "b", "role": "viewer"})
    assert made.status_code == 201
    bearer = {"Authorization": f"Bearer {made.json()['token']}"}
    assert web.get("/api/v1/me", headers=bearer).json()["role"] == "viewer"
    listed = web.get("/api/v1/tokens", headers=admin).json()["items"]
    assert [(t["name"], t["role"]) for t in listed] == [("a", "admin"), ("b", "viewer")]
    assert "sha256" not in listed[0]
    assert web.ask("DELETE", "/api/v1/tokens/b", headers=admin).status_code == 204
    assert web.get("/api/v1/me", headers=bearer).status_code == 401


def test_a_browser_keeps_a_token_where_no_script_reads_it():
    web = Web(mode="tokens")
    secret = web.site.tokens.add("me", "viewer", "me")
    begun = web.ask("POST", "/api/v1/session", headers=OURS, json={"token": secret})
    cookie = begun.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    headers = {"Cookie": cookie.partition(";")[0]}
    assert web.get("/api/v1/me", headers=headers).json()["user"] == "me"
    wrong = web.ask("POST", "/api/v1/session", headers=OURS, json={"token": "x"})
    assert wrong.status_code == 401


def test_only_a_proxy_that_is_named_is_believed():
    proxied = {"X-Forwarded-User": "ada", "X-Forwarded-Groups": "dev, ops"}
    options = {"mode": "proxy", "groups": {"ops": "operator", "dev": "viewer"}}
    near = Web(proxies=["127.0.0.1/32"], **options)
    told = near.get("/api/v1/me", headers=proxied).json()
    assert (told["user"], told["role"]) == ("ada", "operator")
    assert near.get("/api/v1/me").status_code == 401
    others = {**proxied, "X-Forwarded-Groups": "all"}
    assert near.get("/api/v1/me", headers=others).status_code == 401
    far = Web(proxies=["10.0.0.0/8"], **options)
    assert far.get("/api/v1/me", headers=proxied).status_code == 401


@pytest.mark.parametrize(
    "settings", [{"address": "0.0.0.0"}, {"address": "::"}, {"mode": "proxy"}, {"address": "x"}]
)
def test_it_refuses_to_let_everybody_in(settings):
    with pytest.raises(InvalidSettings):
        WebSettings(**settings).check()
    WebSettings(address="0.0.0.0", mode="tokens").check()


def test_who_asks_too_often_has_to_wait():
    web = Web(requests_per_second=0.5)
    answers = [web.get("/api/v1/me").status_code for _ in range(4)]
    assert answers == [200, 200, 429, 429]
    assert web.get("/api/v1/me").headers["Retry-After"]
    buckets = Buckets(1e9)
    assert buckets.take("a") == buckets.take("a") == 0


def test_what_is_too_long_is_refused():
    web = Web()
    long = "x" * (64 * 1024)
    body = {"from_task": None, "x": long}
    refused = web.ask("POST", "/api/v1/dags/d/backfills", headers=OURS, json=body)
    assert refused.status_code == 413
    bigger = web.ask("PUT", "/api/v1/runs/r", headers=OURS, json={"dag_id": "d", "x": long})
    assert bigger.status_code != 413


def test_whatever_takes_a_dag_takes_a_long_one():
    web = Web(requests_per_second=1e6)
    schema = web.app.app.openapi()
    models = schema["components"]["schemas"]
    taking = {
        name
        for name, model in models.items()
        if {"text", "dag"} & model.get("properties", {}).keys()
    }
    asked = 0
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            if not any(f'/{name}"' in json.dumps(route.get("requestBody")) for name in taking):
                continue
            asked += 1
            place = re.sub(r"{\w+}", "x.json", path)
            body = {"text": "x" * 70_000, "dag": {}, "unknown": 1}
            answer = web.ask(method.upper(), place, headers=OURS, json=body)
            assert answer.status_code != 413, path
    assert asked >= 9


def test_below_a_prefix():
    web = Web(prefix="/pydag")
    assert web.get("/pydag/api/v1/me").json()["prefix"] == "/pydag"
    assert "pydag" in web.get("/pydag/runs/x").text
    with Dag("d") as dag:
        dag.task("a", "python.call", params={"callable": "m:f"})
    Client().publish(dag)
    made = web.ask("POST", "/pydag/api/v1/runs", headers=OURS, json={"dag_id": "d"})
    assert made.headers["Location"].startswith("/pydag/api/v1/runs/d-")


def test_a_stream_ends_when_its_token_is_taken_back(monkeypatch):
    monkeypatch.setattr(hub, "HEARTBEAT", 0.05)
    with Dag("d") as dag:
        dag.task("a", "python.call", params={"callable": "m:f"})
    Client().submit(dag, run_id="r")
    web = Web(mode="tokens")
    secret = web.site.tokens.add("me", "viewer", "me")
    parts = []

    async def streamed():
        headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {secret}".encode())]
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/api/v1/runs/r/events",
            "headers": headers,
        }
        scope |= {"query_string": b"", "http_version": "1.1", "scheme": "http", "client": None}

        async def send(message):
            parts.append(message.get("body", b""))
            if b"event: here" in parts[-1]:
                web.site.tokens.remove("me")
                web.app.doorkeeper.forget()

        never = asyncio.Event()
        await web.app({**scope, "root_path": ""}, never.wait, send)

    asyncio.run(asyncio.wait_for(streamed(), 20))
    assert b"event: snapshot" in b"".join(parts)
    assert parts.count(b"event: here\ndata: {}\n\n") == 1


def test_every_answer_has_its_headers():
    for path in ("/", "/api/v1/me", "/api/v1/zzz", "/health"):
        headers = Web().get(path).headers
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
