"""A client whose Redis goes away: it waits for one that it has met, and says so."""

from __future__ import annotations

import threading

import fakeredis
import pytest
import redis

from pydag_dist import Client, Dag
from pydag_dist.client import retrying
from pydag_dist.engine.script import NotLoaded
from pydag_dist.errors import EngineError, RedisAway, RedisRefused
from tests.support.installation import Installation

URL = "redis://broker.example:6379/0"


@pytest.fixture
def server(monkeypatch):
    """A Redis in memory that can be away."""
    server = fakeredis.FakeServer()

    def connect(*_, **__):
        return fakeredis.FakeRedis(server=server, decode_responses=True)

    monkeypatch.setattr(redis.Redis, "from_url", connect)
    monkeypatch.setattr(retrying, "PAUSE", 0.01)
    return server


@pytest.fixture
def dag():
    with Dag("nightly") as dag:
        dag.task("first", "python.call", params={"callable": "etl:step"})
    return dag


class Away:
    """Redis answers the next so many calls by an error."""

    def __init__(self, monkeypatch, error, calls=3):
        self.calls = calls
        execute = fakeredis.FakeRedis.execute_command

        def failing(client, *args, **options):
            if self.calls:
                self.calls -= 1
                raise error
            return execute(client, *args, **options)

        monkeypatch.setattr(fakeredis.FakeRedis, "execute_command", failing)


def test_a_redis_without_the_functions_is_there(server, dag, monkeypatch):
    Away(monkeypatch, NotLoaded())
    assert Client(URL).submit(dag).state == "queued"


def test_a_redis_that_never_was_there_is_not_waited_for(server, dag):
    server.connected = False
    with pytest.raises(RedisAway, match=r"No Redis answers at redis://.*PYDAG_REDIS_URL"):
        Client(URL).submit(dag)


def test_of_a_redis_whose_certificate_is_not_trusted_that_is_said(server, dag, monkeypatch):
    Away(monkeypatch, redis.ConnectionError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"))
    with pytest.raises(RedisAway, match=r"certificate of Redis .* is not trusted .*ssl_ca_certs"):
        Client(URL).submit(dag)


def test_one_that_was_there_is_waited_for_and_that_is_said_once(server, dag, caplog, monkeypatch):
    run = Client(URL).submit(dag)
    Away(monkeypatch, redis.ConnectionError("away"))
    assert run.state == "queued"
    first, last = [record.message for record in caplog.records]
    assert "waiting for it up to 600 s" in first
    assert last == "Redis is there again"


def test_retrying_has_an_end_that_names_the_run(server, dag):
    run = Client(URL, retry_seconds=0.05).submit(dag)
    server.connected = False
    with pytest.raises(RedisAway, match=rf"pydag status {run.id}.*pydag logs {run.id} -f"):
        run.wait()
    with pytest.raises(RedisAway, match=f"pydag status {run.id}"):
        next(iter(run.follow()))
    with pytest.raises(RedisAway, match=f"pydag status {run.id}"):
        run.cancel()
    with pytest.raises(RedisAway):
        run.logs()


def test_a_submission_given_up_names_the_run_that_may_be_there(server, dag):
    client = Client(URL, retry_seconds=0.05)
    client.submit(dag)
    server.connected = False
    with pytest.raises(RedisAway, match="Whether run r2 was submitted is not known"):
        client.submit(dag, run_id="r2")


@pytest.mark.parametrize("call", ["wait", "follow"])
def test_a_timeout_ends_the_waiting_for_redis_too(server, dag, call):
    run = Client(URL).submit(dag)
    server.connected = False
    with pytest.raises(TimeoutError, match=f"after 0.1 s: .* Run {run.id} goes on"):
        list(getattr(run, call)(timeout=0.1) or ())


def test_two_threads_have_a_timeout_each(server, dag):
    client = Client(URL, retry_seconds=0.5)
    run = client.submit(dag)
    server.connected = False
    ended = []

    def wait():
        try:
            run.wait(timeout=0.05)
        except TimeoutError as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    with pytest.raises(RedisAway):
        run.wait()
    thread.join()
    assert len(ended) == 1


@pytest.mark.parametrize(
    "error",
    [
        redis.ReadOnlyError("You can't write against a read only replica."),
        redis.BusyLoadingError("loading"),
        redis.ResponseError("MISCONF Errors writing to the AOF file"),
    ],
)
@pytest.mark.usefixtures("server")
def test_a_redis_that_answers_not_now_is_there(monkeypatch, error):
    away = Away(monkeypatch, error)
    with pytest.raises(EngineError):  # of the run, which nobody submitted
        _ = Client(URL).run("r").state
    assert away.calls == 0


@pytest.mark.usefixtures("server")
def test_a_refusal_is_a_sentence(monkeypatch):
    Away(monkeypatch, redis.AuthenticationError("invalid username-password pair"))
    with pytest.raises(RedisRefused, match=r"redis://.* refused the login .*PYDAG_REDIS_URL"):
        Client(URL).runs()
    Away(monkeypatch, redis.exceptions.NoPermissionError("no permissions"))
    with pytest.raises(RedisRefused, match="refused a command"):
        Client(URL).runs()


@pytest.mark.usefixtures("server")
def test_a_password_that_worked_before_is_being_changed(monkeypatch, dag):
    run = Client(URL).submit(dag)
    away = Away(monkeypatch, redis.AuthenticationError("invalid"))
    assert run.state == "queued"
    assert away.calls == 0


def test_a_resume_whose_answer_was_lost_is_a_resume(server, dag, monkeypatch):
    run = Client(URL).submit(dag)
    installation = Installation(fakeredis.FakeRedis(server=server, decode_responses=True))
    installation.plan(run.id)
    run.cancel()
    assert run.state == "cancelled"
    resume = run._steering._target.resume
    answers = iter([redis.ConnectionError("lost")])

    def lost(*args):
        resume(*args)
        raise next(answers)

    monkeypatch.setattr(run._steering._target, "resume", lost)
    run.resume()
    assert run.state == "queued"
    with pytest.raises(EngineError, match="only a run that has ended"):
        Client(URL).run(run.id).resume()
