"""Metrics: what Redis has, what the history got, and what is told if Redis or a package is away."""

from __future__ import annotations

import json
import threading
import urllib.request
from typing import Any

import fakeredis
import pytest
import redis

from pydag_dist.coordinator.watching import metrics as module
from pydag_dist.coordinator.watching.metrics import DAGS, OTHER, Metrics
from pydag_dist.coordinator.watching.watchers import Watchers, metrics_address
from pydag_dist.engine import Engine
from pydag_dist.errors import InvalidSettings, PydagError
from pydag_dist.history import Batch, History
from pydag_dist.settings import Settings
from tests.support.engine_bench import Bench, task


@pytest.fixture
def client() -> Any:
    client: Any = fakeredis.FakeRedis(decode_responses=True)
    client.info = lambda *_: {"run_id": "fake", "used_memory": 7, "maxmemory": 9}
    return client


def told(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def run_row(dag: str = "d", state: str = "failed") -> dict[str, Any]:
    head = {"dag_id": dag, "state": state, "round_at": "9000000", "spent": "2000000"}
    return {
        "run_id": "r",
        "dag_id": dag,
        "state": state,
        "ended_at": 10.0,
        "head": json.dumps(head),
    }


def test_what_waits_is_measured(client: Any) -> None:
    bench = Bench(client)
    bench.slots(1)
    bench.start(task("a"), task("b"), task("c"))
    bench.submit(task("x"), run="late")
    bench.engine.steering.submit("expected", "{}", "d", expected_within=0.1)
    client.zadd("p:late", {"expected": 1})
    metrics = Metrics(bench.engine)
    assert told(metrics, "pydag_redis_up") == 1
    assert told(metrics, "pydag_queue_messages", queue="python") == 2  # twice the slots
    assert told(metrics, "pydag_queue_slots", queue="python") == 1
    assert told(metrics, "pydag_queue_waiting_runs", queue="python") == 1
    assert told(metrics, "pydag_queue_runs", queue="python") == 1
    oldest = told(metrics, "pydag_queue_oldest_seconds", queue="python")
    assert oldest is not None
    assert 0 <= oldest < 60
    assert told(metrics, "pydag_tasks_queued") == 2
    assert told(metrics, "pydag_submissions") == 3
    assert told(metrics, "pydag_webhooks_waiting") == 1
    assert told(metrics, "pydag_redis_memory_limit_bytes") == 9


def test_redis_is_asked_once_a_second(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics(Engine(client, "p"))
    told(metrics, "pydag_workers")
    monkeypatch.setattr(client, "time", lambda: pytest.fail("Redis was asked again"))
    assert told(metrics, "pydag_workers") == 0


def test_without_redis_only_that_is_told(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise redis.ConnectionError("away")

    monkeypatch.setattr(client, "time", away)
    metrics = Metrics(Engine(client, "p"))
    assert told(metrics, "pydag_redis_up") == 0
    assert told(metrics, "pydag_workers") is None


def test_what_the_history_got_is_counted(client: Any) -> None:
    metrics = Metrics(Engine(client, "p"))
    tried = {"state": "up_for_retry", "ready_at": 1.0, "started_at": 1.25, "ended_at": 3.0}
    skipped = {"state": "skipped", "ready_at": None, "started_at": None, "ended_at": 3.0}
    going_on = run_row(state="running") | {"ended_at": None}
    metrics.written(Batch(runs=[going_on, run_row()], tries=[tried, skipped]))
    assert told(metrics, "pydag_tries_total", state="up_for_retry") == 1
    assert told(metrics, "pydag_hop_seconds_sum") == 0.25
    assert told(metrics, "pydag_try_seconds_sum") == 1.75
    assert told(metrics, "pydag_runs_total", dag="d", state="failed") == 1
    assert told(metrics, "pydag_runs_total", dag="d", state="running") is None
    assert told(metrics, "pydag_run_seconds_sum", dag="d") == 3  # of both rounds, without the pause


def test_many_dags_have_few_series(client: Any) -> None:
    metrics = Metrics(Engine(client, "p"))
    for number in range(DAGS + 5):
        metrics.written(Batch(runs=[run_row(f"d{number}")]))
    assert told(metrics, "pydag_runs_total", dag=OTHER, state="failed") == 5
    assert told(metrics, "pydag_runs_total", dag=f"d{DAGS}", state="failed") is None


def watchers(client: Any, **settings: Any) -> Watchers:
    history = History("sqlite:////none.sqlite")
    return Watchers(Settings(**settings), Engine(client, "p"), history, threading.Event())


def test_they_are_served_on_this_host(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    watchers(client, metrics="0")
    url = caplog.text.partition("metrics are at ")[2].split()[0]
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(url) as answer:
        assert "pydag_redis_up 1.0" in answer.read().decode()
    port = url.split(":")[2].partition("/")[0]
    with pytest.raises(PydagError, match=r"metrics can't be served at 127\.0\.0\.1:\d+ \("):
        watchers(client, metrics=port)


def test_a_watcher_that_fails_holds_up_nothing(
    client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(module.Metrics, "written", broken)
    watchers(client, metrics="0").written(Batch())
    assert "a bug" in caplog.text


def test_a_missing_package_is_named(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pydag_dist.coordinator.watching.watchers.find_spec", lambda _: None)
    with pytest.raises(PydagError, match=r"pip install 'pydag-dist\[metrics\]'"):
        watchers(client, metrics="0")


@pytest.mark.parametrize(
    ("text", "address"),
    [("9464", ("127.0.0.1", 9464)), ("0.0.0.0:1", ("0.0.0.0", 1)), ("[::1]:2", ("::1", 2))],
)
def test_an_address_is_read(text: str, address: tuple[str, int]) -> None:
    assert metrics_address(text) == address


@pytest.mark.parametrize("text", ["", "localhost", "1:", "70000", "a:b"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettings, match="such as 9464"):
        metrics_address(text)
