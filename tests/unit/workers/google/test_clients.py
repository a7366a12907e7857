from __future__ import annotations

import json

import pytest
import requests
from google.api_core import exceptions
from google.auth import impersonated_credentials
from google.auth.exceptions import DefaultCredentialsError

from tests.unit.workers.support import Log
from workers import time_limit
from workers.errors import RemoteStateUnknown, TaskFailed
from workers.google import clients
from workers.google.access import Access, access_to, project_of
from workers.google.answers import explained
from workers.google.clients import call
from workers.settings import WorkerSettings


@pytest.fixture(autouse=True)
def _no_local_services(monkeypatch):
    for service in ("BIGQUERY", "STORAGE", "DATAPROC"):
        monkeypatch.delenv(f"{service}_EMULATOR_HOST", raising=False)


@pytest.fixture
def key_file(tmp_path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = tmp_path / "key.json"
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "project-of-the-key",
                "private_key": pem.decode(),
                "client_email": "worker@project-of-the-key.iam.gserviceaccount.com",
                "token_uri": "https://oauth2.googleapis.com/token",
            }
        )
    )
    return path


class Flaky:
    """A call that fails with these errors, one after the other, and then works."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, timeout):
        assert timeout == clients.TIMEOUT
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


@pytest.fixture
def _no_waiting(monkeypatch):
    monkeypatch.setattr("google.api_core.retry.retry_unary.time.sleep", lambda _seconds: None)


@pytest.mark.usefixtures("_no_waiting")
@pytest.mark.parametrize(
    "error",
    [
        exceptions.TooManyRequests("429"),
        exceptions.InternalServerError("500"),
        exceptions.ServiceUnavailable("503"),
        exceptions.ResourceExhausted("gRPC's 429"),
        exceptions.DeadlineExceeded("gRPC's 504"),
        exceptions.Forbidden("quota", errors=[{"reason": "rateLimitExceeded"}]),
        requests.exceptions.ConnectionError("reset"),
        requests.exceptions.ReadTimeout("late"),
        ConnectionResetError("reset"),
    ],
)
def test_a_passing_error_is_tried_again_and_logged(error):
    flaky, log = Flaky(error, error), Log()
    assert call(log.logger, flaky) == "answer"
    assert flaky.calls == 3
    assert all(line.endswith("; trying again") for line in log.lines)
    assert len(log.lines) == 2


@pytest.mark.usefixtures("_no_waiting")
@pytest.mark.parametrize(
    "error",
    [
        exceptions.BadRequest("invalid"),
        exceptions.Forbidden("no", errors=[{"reason": "accessDenied"}]),
        exceptions.NotFound("no such table"),
        exceptions.Conflict("there"),
        requests.exceptions.SSLError("certificate"),
        ValueError("ours"),
    ],
)
def test_a_lasting_error_goes_through_at_once(error):
    flaky = Flaky(error)
    with pytest.raises(type(error)):
        call(Log().logger, flaky)
    assert flaky.calls == 1


def test_an_error_that_does_not_pass_leaves_the_state_unknown():
    said = "no answer in 0 s; the last error: ServiceUnavailable: 503 away"

    def be_away(timeout):
        raise exceptions.ServiceUnavailable("away")

    with time_limit.limited(0), pytest.raises(RemoteStateUnknown, match=said):
        call(Log().logger, be_away)


def test_calls_that_share_their_time_have_less_each():
    given = []

    def answer(timeout):
        given.append(timeout)

    for seconds in (1_000, 5, 0):
        with time_limit.limited(seconds):
            call(Log().logger, answer)
            assert time_limit.is_out() == (seconds == 0)
    call(Log().logger, answer)
    assert given[0] == 5
    assert 1 < given[1] <= 2.5
    assert given[2:] == [1, clients.TIMEOUT]
    assert not time_limit.is_out()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            exceptions.BadRequest(
                "POST https://…: Syntax error",
                errors=[{"reason": "invalidQuery", "location": "query", "message": "Syntax error"}],
            ),
            "job j: invalidQuery at query: Syntax error",
        ),
        (exceptions.NotFound("no cluster"), "job j: NOT_FOUND: no cluster"),
        (exceptions.FailedPrecondition("stopped"), "job j: FAILED_PRECONDITION: stopped"),
        (DefaultCredentialsError("none"), r"job j: no credentials \(DefaultCredentialsError: none"),
    ],
)
def test_googles_errors_are_explained(error, said):
    with pytest.raises(TaskFailed, match=said), explained("job j"):
        raise error


def settings(**connections):
    return WorkerSettings(connections=connections, project="fallback")


def test_a_task_that_names_no_connection_has_the_workers_default():
    gcp = {"project": "p", "location": "EU"}
    assert access_to(settings(GCP=gcp)) == Access("p", None, "EU")
    assert access_to(settings()) == Access("fallback", None, "US")


def test_a_tasks_own_project_wins():
    assert access_to(settings(GCP={"project": "p"}), None, "mine").project == "mine"


def test_an_unknown_connection_is_explained():
    with pytest.raises(TaskFailed, match=r"connection OTHER is not defined .*\(defined: GCP\)"):
        access_to(settings(GCP={}), "OTHER")


def test_a_key_file_decides_credentials_and_project(key_file):
    found = Access(None, str(key_file), "US")
    assert project_of(found, local=False) == "project-of-the-key"
    client = clients.bigquery_client(found)
    assert client.project == "project-of-the-key"
    assert client._credentials.service_account_email.startswith("worker@")
    assert clients.storage_client(found).project == "project-of-the-key"
    assert clients.bigquery_client(found) is client


def test_proxies_and_certificates_are_those_of_the_environment(key_file, tmp_path, monkeypatch):
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "storage.googleapis.com")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    found = Access(None, str(key_file), "US")
    asked = []
    ask = requests.sessions.get_environ_proxies
    monkeypatch.setattr(
        requests.sessions, "get_environ_proxies", lambda url, **_: asked.append(url) or ask(url)
    )
    for client, host, proxies in (
        (clients.bigquery_client(found), "bigquery", {"https": "http://proxy.example:3128"}),
        (clients.storage_client(found), "storage", {}),
    ):
        assert not client._http.trust_env  # a password of ~/.netrc would replace the token
        for path in ("", "/first", "/second?of=it"):
            url = f"https://{host}.googleapis.com{path}"
            settings = client._http.merge_environment_settings(url, {}, None, None, None)
            own = {scheme: settings["proxies"][scheme] for scheme in proxies}
            assert (own, settings["verify"]) == (proxies, str(bundle))
            assert proxies or "https" not in settings["proxies"]
        given = client._http.merge_environment_settings(
            url, {"https": "http://own:1"}, True, False, None
        )
        assert (given["proxies"]["https"], given["verify"], given["stream"]) == (
            "http://own:1",
            False,
            True,
        )
    assert asked == ["https://bigquery.googleapis.com", "https://storage.googleapis.com"]


@pytest.mark.parametrize(
    "request_",
    [
        {"method": "GET", "url": "https://x.example/a?b=%2F&c=1", "headers": {"Accept": "a/b"}},
        {"method": "POST", "url": "https://x.example/a", "data": '{"a": "ä"}'},
        {"method": "POST", "url": "https://x.example/a", "data": None},
        {"method": "PUT", "url": "https://x.example/a", "data": b"\xff", "headers": {"X-A": "1"}},
        {"method": "DELETE", "url": "https://x.example/a"},
        {"method": "GET", "url": "https://x.example/ä?b=c d", "headers": {}},
        {"method": "POST", "url": "https://x.example/a", "data": {"a": "b"}},
        {"method": "POST", "url": "https://x.example/a", "json": {"a": 1}},
        {"method": "GET", "url": "https://x.example/a", "params": {"b": "c"}},
    ],
)
def test_what_is_sent_is_what_requests_would_send(key_file, request_):
    plain = requests.Session()
    light = clients.bigquery_client(Access(None, str(key_file), "US"))._http
    made, expected = (one.prepare_request(requests.Request(**request_)) for one in (light, plain))
    assert (made.method, made.url, made.headers) == (
        expected.method,
        expected.url,
        expected.headers,
    )
    bodies = [
        each.encode() if isinstance(each, str) else each for each in (made.body, expected.body)
    ]
    assert bodies[0] == bodies[1]


def test_a_key_file_that_is_none_is_explained(tmp_path):
    path = tmp_path / "key.json"
    path.write_text("{}")
    with pytest.raises(TaskFailed, match=r"key\.json can't be used: .*fields"):
        project_of(Access(None, str(path), "US"), local=False)


def test_dataproc_clients_are_regional(key_file):
    found = Access(None, str(key_file), "US")
    for client in (
        clients.cluster_client(found, "eu-west1"),
        clients.job_client(found, "eu-west1"),
    ):
        assert client.transport.host == "eu-west1-dataproc.googleapis.com:443"


def test_local_services_need_no_credentials(monkeypatch):
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", "http://127.0.0.1:1")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:2")
    monkeypatch.setenv("DATAPROC_EMULATOR_HOST", "127.0.0.1:3")
    found = Access(None, "/nowhere/key.json", "local-test")
    assert project_of(found, local=True) == "local-project"
    assert clients.bigquery_client(found)._connection.API_BASE_URL == "http://127.0.0.1:1"
    assert clients.storage_client(found)._connection.API_BASE_URL == "http://127.0.0.1:2"
    assert clients.job_client(found, "r").transport.grpc_channel is not None


def test_a_connection_may_act_as_another_account(key_file):
    account = "loader@other.iam.gserviceaccount.com"
    settings = WorkerSettings(
        connections={
            "LOAD": {
                "key_file": key_file,
                "impersonate": account,
                "delegates": ["between@p.example"],
            }
        }
    )
    client = clients.bigquery_client(access_to(settings, "LOAD"))
    credentials = client._credentials
    assert isinstance(credentials, impersonated_credentials.Credentials)
    assert credentials.service_account_email == account
    assert credentials._delegates == ["between@p.example"]
    own = "worker@project-of-the-key.iam.gserviceaccount.com"
    assert credentials._source_credentials.service_account_email == own
    assert client.project == "project-of-the-key"


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (exceptions.PermissionDenied("no", errors=()), r"PERMISSION_DENIED: no \(give .*dataproc"),
        (
            exceptions.Forbidden("no", errors=[{"reason": "forbidden", "message": "no"}]),
            r"forbidden: no \(give .*roles/storage.objectUser on the bucket\)",
        ),
        (exceptions.FailedPrecondition("busy"), "FAILED_PRECONDITION: busy$"),
    ],
)
def test_a_permanent_error_says_what_to_do(error, advice):
    with pytest.raises(TaskFailed, match=advice), explained("x"):
        raise error
