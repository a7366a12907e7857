"""Webhooks: told over HTTP how runs ended, again until they take it, and without their secrets."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from pydag_dist.coordinator.alerts import webhooks
from pydag_dist.coordinator.alerts.webhooks import Webhooks
from pydag_dist.receivers import Webhook
from pydag_dist.settings import Settings
from tests.support import wait_until
from tests.support.cluster import Cluster, call, dag
from tests.support.installation import Installation
from tests.support.receiver import Receiver
from tests.support.redis_server import RedisServer

TRIES = 10  # fewer than take a day
SECRET = "hook/T0KEN?key=T0KEN"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def installation(redis_server: RedisServer, cluster: Cluster) -> Installation:
    """Plans and executes in the test, on a real server."""
    return Installation(cluster.store, prefix=cluster.prefix)


@contextmanager
def telling(
    installation: Installation, named: dict[str, Webhook], **settings: Any
) -> Iterator[None]:
    """What a coordinator does about webhooks, meanwhile."""
    stopping = threading.Event()
    given = Settings(webhooks=named, **settings)
    thread = threading.Thread(target=Webhooks(installation.engine, given, stopping).run)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


@pytest.fixture
def told(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Webhook]]:
    """The names of hooks, in the settings of a coordinator that tells hooks without delays."""
    monkeypatch.setattr(webhooks, "FIRST_DELAY", 0)
    monkeypatch.setattr(webhooks, "TRIES", TRIES)
    monkeypatch.setattr(webhooks, "EVERY", 0.01)
    named: dict[str, Webhook] = {}
    with telling(installation, named):
        yield named


def ended(
    installation: Installation, outcome: str = "success", tasks: int = 1, **fields: Any
) -> str:
    """A run of tasks that all ended like that; its id."""
    made = dag([call(f"t{number:02}", "work") for number in range(tasks)], **fields)
    run_id = f"run-{len(installation.engine.runs.listing().runs)}"
    hooks = bool(made.on_success or made.on_failure)
    installation.engine.steering.submit(run_id, made.to_json(), made.dag_id, hooks=hooks)
    installation.plan(run_id)
    for _ in range(tasks):
        installation.end(installation.claim(), outcome, error="no such table")
    return run_id


def wait_settled(installation: Installation) -> None:
    """Wait until no webhook is to be told."""
    waiting = installation.engine.store.key("webhooks")
    wait_until(lambda: not installation.connection.exists(waiting), "all webhooks are settled")


def test_a_hook_that_fails_twice_is_told_at_the_third_try(cluster: Cluster) -> None:
    with Receiver(statuses=(500, 307)) as receiver:
        hooks = {"on-call": f"{receiver.url}/{SECRET}"}
        coordinator = cluster.coordinator(PYDAG_WEBHOOKS=json.dumps(hooks))
        cluster.worker()
        run = cluster.submit([call("t", "no_such_function")], on_failure=["on-call", "nobody"])
        snapshot = cluster.wait_ended(run)
        [message] = wait_until(lambda: receiver.taken, "the webhook was told")
        wait_until(lambda: not cluster.store.exists(cluster.key("webhooks")), "it is settled")

    assert receiver.paths == [f"/{SECRET}"] * 3
    assert (message["run_id"], message["state"]) == (run.id, "failed")
    assert (message["started_at"], message["ended_at"]) == (snapshot.started_at, snapshot.ended_at)
    assert message["failed_tasks"][0]["error"] == snapshot.tasks["t"].error
    assert "T0KEN" not in coordinator.text()
    assert coordinator.text().count("no webhook is named nobody") == 1
    assert "webhook on-call: status 500" in coordinator.text()


def test_only_the_hooks_of_its_end_are_told(
    installation: Installation, told: dict[str, Webhook]
) -> None:
    with Receiver() as good, Receiver() as bad:
        hooks = {"on_success": [f"{good.url}/1", f"{good.url}/2"], "on_failure": bad.url}
        succeeded = ended(installation, **hooks)
        failed = ended(installation, "failed", tasks=30, **hooks)
        wait_settled(installation)

    assert sorted(good.paths) == ["/1", "/2"]
    assert [message["run_id"] for message in good.taken] == [succeeded, succeeded]
    assert good.taken[0].keys() == {"event", "run_id", "dag_id", "state", "started_at", "ended_at"}
    [message] = bad.taken
    assert (message["run_id"], message["failed"], len(message["failed_tasks"])) == (failed, 30, 20)
    assert message["failed_tasks"][0]["error"] == "no such table"


def test_a_cancelled_run_is_a_failure(installation: Installation, told: dict[str, Webhook]) -> None:
    with Receiver() as receiver:
        made = dag([call("t", "work")], on_failure=receiver.url)
        installation.engine.steering.submit("run", made.to_json(), made.dag_id, hooks=True)
        installation.plan("run")
        installation.engine.steering.cancel("run")
        wait_settled(installation)

    assert [message["state"] for message in receiver.taken] == ["cancelled"]
    assert receiver.taken[0]["failed_tasks"] == []


def test_a_hook_that_took_it_is_not_told_again_for_another(
    installation: Installation, told: dict[str, Webhook]
) -> None:
    with Receiver() as good, Receiver(statuses=(503, 404)) as late:
        ended(installation, on_success=[good.url, late.url])
        wait_settled(installation)

    assert (len(good.paths), len(late.paths), len(late.taken)) == (1, 3, 1)


def test_a_hook_that_never_takes_it_is_given_up(
    installation: Installation, told: dict[str, Webhook], caplog: pytest.LogCaptureFixture
) -> None:
    with Receiver(statuses=(500,) * (TRIES + 1)) as receiver, caplog.at_level(logging.INFO):
        run_id = ended(installation, on_success=f"{receiver.url}/{SECRET}")
        wait_settled(installation)

    assert len(receiver.paths) == TRIES
    assert f"{run_id}: gave up {receiver.url} after {TRIES} tries" in caplog.text
    assert "T0KEN" not in caplog.text


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/T0KEN", "http://no.such.host.invalid/T0KEN"])
def test_a_host_that_is_not_there_is_tried_again_and_kept_secret(
    installation: Installation,
    told: dict[str, Webhook],
    caplog: pytest.LogCaptureFixture,
    url: str,
) -> None:
    with Receiver() as receiver, caplog.at_level(logging.INFO):
        told["hook"] = Webhook(url)
        ended(installation, on_success="hook")
        wait_until(lambda: "webhook hook" in caplog.text, "a try failed")
        told["hook"] = Webhook(receiver.url)
        wait_settled(installation)

    assert len(receiver.taken) == 1
    assert "T0KEN" not in caplog.text


def test_a_run_that_was_resumed_is_told_of_when_it_ends_again(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "EVERY", 0.01)
    engine = installation.engine
    looked_at = threading.Event()
    later = engine.webhooks.later
    monkeypatch.setattr(engine.webhooks, "later", lambda *a: (later(*a), looked_at.set()))
    with Receiver() as receiver:
        run_id = ended(installation, "failed", on_success=receiver.url, on_failure=receiver.url)
        engine.steering.resume(run_id)
        with telling(installation, {}):
            assert looked_at.wait(30)
            assert receiver.paths == []
            installation.plan(run_id)
            installation.end(installation.claim())
            wait_settled(installation)

    assert [message["state"] for message in receiver.taken] == ["success"]


def test_each_end_of_a_run_is_told_of(installation: Installation) -> None:
    with Receiver() as good, Receiver(statuses=(500,) * TRIES) as bad, telling(installation, {}):
        run_id = ended(installation, "failed", on_failure=[good.url, bad.url], on_success=good.url)
        wait_until(lambda: bad.paths, "one hook was told and one was not")
        installation.engine.steering.resume(run_id)
        installation.plan(run_id)
        installation.end(installation.claim())
        wait_settled(installation)

    assert [message["state"] for message in good.taken] == ["failed", "success"]


def test_a_hook_that_does_not_come_to_an_end_is_tried_again(
    installation: Installation,
    told: dict[str, Webhook],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(webhooks, "TIMEOUT", 2)  # the next try must not take as long
    with Receiver(statuses=(0,)) as receiver:
        ended(installation, on_success=receiver.url)
        wait_settled(installation)

    assert f"webhook {receiver.url}: no answer in 2 s" in caplog.text
    assert len(receiver.taken) == 1


def test_coordinators_share_the_work(installation: Installation, told: dict[str, Webhook]) -> None:
    with Receiver() as receiver, telling(installation, {}):
        runs = [ended(installation, on_success=receiver.url) for _ in range(30)]
        wait_settled(installation)

    assert sorted(message["run_id"] for message in receiver.taken) == sorted(runs)


def test_what_a_dead_coordinator_took_is_told_by_another(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "EVERY", 0.01)
    with Receiver() as receiver:
        run_id = ended(installation, on_success=receiver.url)
        assert installation.engine.webhooks.take(0.3) == (run_id, "ended", 0)
        with telling(installation, {}):
            wait_settled(installation)

    assert len(receiver.taken) == 1


def test_a_run_that_is_gone_is_forgotten(
    installation: Installation, told: dict[str, Webhook], caplog: pytest.LogCaptureFixture
) -> None:
    installation.connection.zadd(installation.engine.store.key("webhooks"), {"gone": 0})
    wait_settled(installation)

    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_redis_that_is_away_is_asked_again(
    installation: Installation, told: dict[str, Webhook], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()
    take = installation.engine.webhooks.take

    def away(lease: float) -> None:
        monkeypatch.setattr(installation.engine.webhooks, "take", take)
        asked.set()
        raise redis.ConnectionError("away")

    monkeypatch.setattr(installation.engine.webhooks, "take", away)
    with Receiver() as receiver:
        assert asked.wait(30)
        ended(installation, on_success=receiver.url)
        wait_settled(installation)

    assert len(receiver.taken) == 1


def test_receivers_that_drip_hold_up_no_other_and_are_called_few_at_a_time(
    installation: Installation, told: dict[str, Webhook], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "FIRST_DELAY", 60)  # what is tried again is not of interest here
    began = time.monotonic()

    def calls() -> int:
        return sum(thread.name == "pydag-webhook" for thread in threading.enumerate())

    with Receiver(statuses=(0,) * 1_000) as dripping, Receiver() as good:
        told["good"] = Webhook(good.url.replace("127.0.0.1", "localhost"))
        hooks = [f"{dripping.url}/{number}" for number in range(5)]
        for _ in range(40):
            ended(installation, on_success=hooks)
        run_id = ended(installation, on_success="good")
        [message] = wait_until(lambda: good.taken, "the good one was told")
        # A call that was given up takes a moment to end.
        wait_until(lambda: calls() <= webhooks.PER_RECEIVER + 1, "few calls at a time")
        rounds = 1 + (time.monotonic() - began) / webhooks.TIMEOUT
        assert len(dripping.paths) <= rounds * webhooks.PER_RECEIVER

    assert message["run_id"] == run_id


def test_what_was_never_tried_comes_before_what_is_tried_again(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "PER_RECEIVER", 1)
    with Receiver(statuses=(500,) * 5) as receiver:
        failed = [ended(installation, on_success=f"{receiver.url}/{n}") for n in range(5)]
        monkeypatch.setattr(webhooks, "FIRST_DELAY", 0)
        with telling(installation, {}):
            wait_until(lambda: len(receiver.paths) >= 5, "the first tries were made")
        for run_id in failed:
            installation.engine.webhooks.later(run_id, "ended", 0)
        new = ended(installation, on_success=f"{receiver.url}/new")
        with telling(installation, {}):
            wait_settled(installation)

    assert receiver.taken[0]["run_id"] == new
    assert {message["run_id"] for message in receiver.taken} == {*failed, new}


def test_runs_that_wait_for_a_busy_receiver_are_put_off_without_losing_a_try(
    installation: Installation, told: dict[str, Webhook], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "WAITING", 1)
    monkeypatch.setattr(webhooks, "PUT_OFF", 0.01)
    with Receiver() as receiver:
        runs = [ended(installation, on_success=[f"{receiver.url}/{n}"]) for n in range(20)]
        wait_settled(installation)

    assert sorted(message["run_id"] for message in receiver.taken) == sorted(runs)


def test_what_was_taken_and_not_begun_is_given_back_at_a_stop(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "TIMEOUT", 0.5)
    with Receiver(statuses=(0,) * 9) as receiver:
        for _ in range(5):
            ended(installation, on_success=receiver.url)
        with telling(installation, {}):
            wait_until(lambda: receiver.paths, "a call has begun")
    due = installation.connection.zrange(
        installation.engine.store.key("webhooks"), 0, -1, withscores=True
    )
    now = installation.connection.time()[0]
    assert len(due) == 5
    assert sum(score / 1e6 <= now + 1 for _, score in due) >= 5 - 2 * webhooks.PER_RECEIVER


def test_a_url_that_is_none_harms_no_other(
    installation: Installation, told: dict[str, Webhook]
) -> None:
    with Receiver() as receiver:
        told["broken"] = Webhook("http://[::1")
        run_id = ended(installation, on_success=["broken", receiver.url])
        wait_settled(installation)

    assert [message["run_id"] for message in receiver.taken] == [run_id]
