"""Where the secrets come from that a task's templates name, and what may have them."""

from __future__ import annotations

import base64
import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from types import SimpleNamespace

import pytest

from pydag_dist.dag import Dag
from pydag_dist.dag.planning.rendering import rendered
from pydag_dist.dag.planning.task_spec import RunParams, spec_of
from pydag_dist.engine import Held
from pydag_dist.errors import InvalidDag
from tests.unit.workers.support import context
from workers.errors import HostLacks, TaskFailed
from workers.google.secret_manager import secret
from workers.secrecy import masks, sources
from workers.settings import WorkerSettings
from workers.tries import execution
from workers.tries.context import with_params
from workers.tries.secrets import secrets_of

VALUE = "0123456789abcdef"


@pytest.fixture(autouse=True)
def _none_before():
    masks.hide_from_now(masks.NONE)
    yield
    masks.hide_from_now(masks.NONE)


def dag_of(args, operator="python.call", **fields):
    params = {"callable": "m:f", "args": args} if operator == "python.call" else args
    task = {"task_id": "t", "operator": operator, "params": params, **fields}
    return Dag.parse({"dag_id": "d", "tasks": [task]})


def spec_with(args):
    dag = dag_of(args)
    return json.loads(spec_of(dag, dag.tasks["t"], None, RunParams()))


def test_a_spec_names_secrets_and_a_worker_fills_them_in(monkeypatch, tmp_path):
    spec = spec_with(["{{ secrets.TOKEN }}", "Bearer {{ secrets['DB_KEY'] }}!", "{{ ds }}"])
    assert spec["template"]["secrets"] == ["DB_KEY", "TOKEN"]
    monkeypatch.setenv("PYDAG_SECRET_TOKEN", VALUE)
    (tmp_path / "TOKEN").write_text("another one")
    (tmp_path / "DB_KEY").write_bytes("schlüssel\r\n".encode())
    found = with_params(
        Held("r", "t", 1, "x"), spec, context(spec["params"], settings={"secrets": str(tmp_path)})
    )
    assert found.params["args"] == [VALUE, "Bearer schlüssel!", ""]
    assert masks.of_this_process().hide(f"{VALUE} schlüssel") == "*** ***"


def test_a_variable_is_known_after_it_was_taken_out_of_the_environment(monkeypatch):
    monkeypatch.setattr(sources, "_taken", {})
    monkeypatch.setenv("PYDAG_SECRET_TOKEN", VALUE)
    sources.take_out()
    assert "PYDAG_SECRET_TOKEN" not in os.environ
    assert sources.find("TOKEN", None) == VALUE
    assert secrets_of(context(), ["TOKEN"]) == {"TOKEN": VALUE}


def test_who_only_shows_params_has_no_secrets():
    spec = spec_with(["Bearer {{ secrets.TOKEN }}"])
    shown = rendered(Held("r", "t", 1, "x"), spec, lambda _: {}, lambda _: {})
    assert shown["args"] == ["Bearer ***"]


@pytest.mark.parametrize(
    "text",
    [
        "{{ secrets.TOKEN | upper }}",
        "{{ secrets.TOKEN[0] }}",
        "{{ secrets.TOKEN ~ 'x' }}",
        "{{ secrets }}",
        "{{ secrets[params.name] }}",
        "{{ secrets.token }}",
        "{{ secrets['../x'] }}",
        "{{ [secrets.TOKEN] }}",
        "{{ 1 if secrets.TOKEN else 2 }}",
    ],
)
def test_nothing_is_computed_of_a_secret(text):
    with pytest.raises(InvalidDag, match="secret") as caught:
        dag_of([text])
    assert "params.args[0]" in str(caught.value)


def test_what_a_service_shows_or_a_cache_keeps_has_no_secrets():
    with pytest.raises(InvalidDag, match=r"tasks of bigquery.query can't have secrets, since"):
        dag_of({"sql": "SELECT '{{ secrets.TOKEN }}'"}, "bigquery.query")
    with pytest.raises(InvalidDag, match="a task with cache can't have secrets"):
        dag_of(
            {"source": "gs://a/{{ secrets.TOKEN }}", "destination": "gs://b/c"},
            "gcs.copy",
            cache="inputs",
        )
    # Of a package's operator, or of a file that nobody has checked, the worker decides.
    with pytest.raises(TaskFailed, match=r"a task of bigquery.query can't have secrets") as caught:
        secrets_of(context(operator="bigquery.query"), ["TOKEN"])
    assert caught.value.final
    with pytest.raises(TaskFailed, match="can't have secrets"):
        secrets_of(context(operator="gcs.copy", cache_seconds=60.0), ["TOKEN"])


def test_a_worker_without_the_secret_gives_the_task_back(tmp_path):
    with pytest.raises(HostLacks, match="set PYDAG_SECRET_TOKEN") as caught:
        secrets_of(context(), ["TOKEN"])
    assert caught.value.need == "secret:TOKEN"
    (tmp_path / "TOKEN").mkdir()
    with pytest.raises(HostLacks, match="the file of the secret TOKEN can't be read here"):
        secrets_of(context(settings={"secrets": str(tmp_path)}), ["TOKEN"])


@pytest.mark.parametrize(("value", "why"), [("abc", "fewer than 4"), ("x" * 16_385, "16,384")])
def test_what_cannot_be_hidden_is_refused(monkeypatch, value, why):
    monkeypatch.setenv("PYDAG_SECRET_TOKEN", value)
    with pytest.raises(TaskFailed, match=why) as caught:
        secrets_of(context(), ["TOKEN"])
    assert caught.value.final
    assert value not in str(caught.value)


def test_what_a_host_lacks_gives_no_secret_away(monkeypatch):
    masks.hide_from_now(masks.Masks([VALUE]))
    told = []

    def refuse(_held, _worker, need, why):
        told.append((need, why))
        return ["ok"]

    working = SimpleNamespace(refuse=refuse)
    monkeypatch.setattr(execution, "engine", lambda: SimpleNamespace(working=working))
    error = HostLacks(f"module {VALUE} is not allowed", f"module:{VALUE}")
    answer = execution.give_back(Held("r", "t", 1, "x"), context(), error, "w@h")
    assert told == [("other:hidden", "module *** is not allowed")]
    assert VALUE not in str(answer)


class SecretManager(BaseHTTPRequestHandler):
    """Answers as the REST API does, by the name of the secret."""

    def do_GET(self):
        name = self.path.split("/")[5]
        status = {"MISSING": 404, "FORBIDDEN": 403, "BUSY": 429, "BROKEN": 503}.get(name, 200)
        raw = b"\xff" if name == "BINARY" else f"{VALUE} of {self.path}".encode()
        payload = {"payload": {"data": base64.b64encode(raw).decode()}}
        body = json.dumps(payload if status == 200 else {"error": VALUE}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def secret_manager(monkeypatch):
    with HTTPServer(("127.0.0.1", 0), SecretManager) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        host = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("SECRET_MANAGER_EMULATOR_HOST", host)
        yield host
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("secret_manager")
def test_secret_manager_has_the_rest():
    settings = {"secret_project": "my-project"}
    found = secrets_of(context(settings=settings), ["TOKEN"])
    path = "/v1/projects/my-project/secrets/TOKEN/versions/latest:access"
    assert found == {"TOKEN": f"{VALUE} of {path}"}
    for name in ("MISSING", "FORBIDDEN"):
        with pytest.raises(HostLacks, match=r"secretmanager\.versions\.access") as caught:
            secrets_of(context(settings=settings), [name])
        assert caught.value.need == f"secret:{name}"
    for name in ("BUSY", "BROKEN"):
        with pytest.raises(TaskFailed, match="Secret Manager answered") as failed:
            secrets_of(context(settings=settings), [name])
        assert not failed.value.final
    with pytest.raises(TaskFailed, match="is no text"):
        secrets_of(context(settings=settings), ["BINARY"])


def test_a_secret_manager_that_is_away_is_asked_again_by_the_next_try(monkeypatch):
    monkeypatch.setenv("SECRET_MANAGER_EMULATOR_HOST", "http://127.0.0.1:1")
    with pytest.raises(TaskFailed, match="did not answer") as caught:
        secret("TOKEN", "p", WorkerSettings())
    assert not caught.value.final
