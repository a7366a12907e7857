"""A coordinator's loops at their worst moments: errors of all kinds, and a plan that takes long."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from pydag_dist.coordinator import Coordinator, planner, service, submissions
from pydag_dist.coordinator.alerts.webhooks import Webhooks
from pydag_dist.coordinator.recording.recorder import Recorder
from pydag_dist.dag import limits
from pydag_dist.engine import Engine
from pydag_dist.settings import Settings
from tests.support import wait_until
from tests.support.cluster import call, dag

NEVER = limits.LEASE[1]  # a submission is taken over after two thirds of it


@pytest.fixture
def engine(redis_url: str) -> Iterator[Engine]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield Engine(client, "p")


@contextmanager
def running(
    redis_url: str, home: Path, count: int = 1, lease: float = 15.0
) -> Iterator[list[Coordinator]]:
    """Coordinators in threads of this process; they have one name unless they get others."""
    settings = Settings(redis_url=redis_url, key_prefix="p", home=home, lease=lease)
    all_of_them = [Coordinator(settings) for _ in range(count)]
    for number, each in enumerate(all_of_them):
        each._name = each._submissions._name = f"c{number}"
    threads = [threading.Thread(target=each.run) for each in all_of_them]
    try:
        for thread in threads:
            thread.start()
        yield all_of_them
    finally:
        for each in all_of_them:
            each.stop()
        for thread in threads:
            thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


def submit(engine: Engine, run_id: str) -> None:
    graph = dag([call("t", "note")])
    engine.steering.submit(run_id, graph.to_json(), graph.dag_id)


def wait_planned(engine: Engine, run_id: str) -> None:
    wait_until(lambda: engine.reading.run_state(run_id) == "running", f"{run_id} is planned")


@pytest.mark.parametrize(
    "error",
    [
        redis.ConnectionError("away"),
        redis.ReadOnlyError("a replica"),
        redis.AuthenticationError("the password is being changed"),
        redis.exceptions.NoPermissionError("the rights are being changed"),
    ],
)
def test_what_was_read_when_redis_went_away_is_read_again(
    redis_url: str,
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: redis.RedisError,
) -> None:
    monkeypatch.setattr(submissions, "PAUSE", 0.01)
    plan, errors = submissions.plan, iter([error, error])

    def failing(*arguments: Any) -> bool:
        for each in errors:
            raise each
        return plan(*arguments)

    monkeypatch.setattr(submissions, "plan", failing)
    with running(redis_url, tmp_path, lease=NEVER):
        submit(engine, "r1")
        submit(engine, "r2")
        wait_planned(engine, "r1")
        wait_planned(engine, "r2")
        wait_until(lambda: engine.store.redis.xlen("p:submissions") == 0, "both are acknowledged")


def test_what_a_namesake_left_is_read_at_the_start(
    redis_url: str, engine: Engine, tmp_path: Path
) -> None:
    submit(engine, "r")
    engine.store.redis.xgroup_create("p:submissions", submissions.PLANNERS, id="0")
    engine.store.redis.xreadgroup(submissions.PLANNERS, "c0", {"p:submissions": ">"})
    with running(redis_url, tmp_path, lease=NEVER):
        wait_planned(engine, "r")


def test_a_submission_that_is_gone_from_the_stream_holds_up_nothing(
    redis_url: str, engine: Engine, tmp_path: Path
) -> None:
    submit(engine, "gone")
    engine.store.redis.xgroup_create("p:submissions", submissions.PLANNERS, id="0")
    engine.store.redis.xreadgroup(submissions.PLANNERS, "c0", {"p:submissions": ">"})
    engine.store.redis.xtrim("p:submissions", maxlen=0)
    with running(redis_url, tmp_path):
        submit(engine, "r")
        wait_planned(engine, "r")


def test_bytes_that_are_no_text_end_no_coordinator(
    redis_url: str, engine: Engine, tmp_path: Path
) -> None:
    for fields in ({b"run": b"\xff\xfe"}, {b"run": b"r\x00"}, {b"\xff": b"r"}):
        engine.store.redis.xadd("p:submissions", fields)
    engine.store.redis.sadd("p:working", b"\xff")
    with running(redis_url, tmp_path):
        submit(engine, "r")
        wait_planned(engine, "r")


def test_nobody_takes_over_a_run_whose_plan_takes_long(
    redis_url: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_of, begun, enough = planner.plan_of, [], threading.Event()

    def slow(*arguments: Any) -> Any:
        begun.append(arguments)
        enough.wait(30)
        return plan_of(*arguments)

    monkeypatch.setattr(planner, "plan_of", slow)
    with running(redis_url, tmp_path, count=2, lease=6.0) as both:  # taken over after 4 s
        looks = []
        for each in both:
            look = each._submissions.step
            monkeypatch.setattr(
                each._submissions, "step", lambda look=look: looks.append(1) or look()
            )
        submit(engine, "r")
        wait_until(lambda: begun, "it is being planned")
        wait_until(lambda: len(looks) > 10, "the other has looked for 5 s")
        enough.set()
        wait_planned(engine, "r")
    assert len(begun) == 1


def test_a_loop_that_meets_a_bug_is_started_again(
    redis_url: str,
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once each: ticking, webhooks and the history."""
    monkeypatch.setattr(service, "PAUSE", 0.01)
    for kind, name in ((Engine, "tick"), (Webhooks, "run"), (Recorder, "step")):
        errors, found = iter([ValueError(f"a bug in {name}")]), getattr(kind, name)

        def failing(self: Any, *arguments: Any, errors: Any = errors, found: Any = found) -> Any:
            for error in errors:
                raise error
            return found(self, *arguments)

        monkeypatch.setattr(kind, name, failing)
    with running(redis_url, tmp_path), caplog.at_level(logging.ERROR):
        submit(engine, "r")
        wait_planned(engine, "r")
        wait_until(lambda: engine.store.redis.hget("p:clock", "ticked"), "it ticks")
        wait_until(lambda: engine.store.redis.xlen("p:history") == 0, "history is written")
    told = [record for record in caplog.records if record.exc_info]
    assert sorted(str(record.exc_info[1]) for record in told if record.exc_info) == [
        "a bug in run",
        "a bug in step",
        "a bug in tick",
    ]


def test_a_small_dag_does_not_wait_while_a_big_one_is_planned(
    redis_url: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a second coordinator take the big one over, or the same one begin it twice."""
    plan_of, begun, enough = planner.plan_of, [], threading.Event()

    def slow(graph: Any, *arguments: Any) -> Any:
        begun.append(graph.dag_id)
        if graph.dag_id == "big":
            assert not gc.isenabled()
            enough.wait(30)
        return plan_of(graph, *arguments)

    monkeypatch.setattr(planner, "plan_of", slow)
    big = dag([call(f"t{n}", "note") for n in range(1200)])
    big.dag_id = "big"
    monkeypatch.setattr(submissions, "BIG", len(big.to_json()) - 1)
    with running(redis_url, tmp_path) as [coordinator]:
        engine.steering.submit("r", big.to_json(), "big")
        wait_until(lambda: "big" in begun, "the big one is being planned")
        coordinator._submissions._seen = (
            "0"  # as after an error: it reads the big one's entry again
        )
        submit(engine, "small")
        wait_planned(engine, "small")
        assert engine.reading.run_state("r") == "queued"
        enough.set()
        wait_planned(engine, "r")
        wait_until(lambda: engine.store.redis.xlen("p:submissions") == 0, "both are done with")
    assert begun.count("big") == 1
    assert gc.isenabled()
    assert len(engine.reading.snapshot("r").tasks) == 1200
