"""The client on an in-memory Redis: submitting, reading and waiting."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import ClassVar

import pytest
import redis

from pydag_dist import Client, Dag
from pydag_dist.client.client import new_run_id
from pydag_dist.engine import Reading, Steering
from pydag_dist.errors import PydagError, RunFailed, UnknownRun
from tests.support import wait_until
from tests.support.installation import Installation

URL = "redis://broker.example:6379/0"


@pytest.fixture
def client(connection):
    return Client(URL)


@pytest.fixture
def dag():
    call = {"callable": "etl:step"}
    with Dag("nightly") as dag:
        first = dag.task("first", "python.call", params=call)
        first >> dag.task("second", "python.call", params=call)
    return dag


def test_run_ids_are_readable_and_never_the_same():
    ids = {new_run_id("d" * 100) for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"d{80}-\d{8}t\d{6}-[0-9a-f]{16}", run_id) for run_id in ids)


def test_a_submitted_run_is_queued(client, dag):
    run = client.submit(dag)
    assert run.state == "queued"
    assert run.id.startswith("nightly-")
    # Its tasks are known before anybody has planned it.
    assert {name: task.state for name, task in run.tasks.items()} == {
        "first": "none",
        "second": "none",
    }
    assert run.logs("second") == []


@pytest.mark.parametrize("run_id", ['q"uote', "a/b", "Q:tasks", "", "..", "r" * 256, "ü"])
def test_what_is_no_run_id_is_refused_before_anything_is_sent(client, connection, dag, run_id):
    with pytest.raises(PydagError, match=r"run id .*: must be 1 to \d+ of the characters"):
        client.submit(dag, run_id=run_id)
    assert connection.keys() == []


def test_submitting_again_under_the_same_id_changes_nothing(client, installation, dag):
    run = client.submit(dag)
    installation.work_off(run.id)
    again = client.submit(dag, run_id=run.id)
    assert again.state == "success"
    assert [summary.run_id for summary in client.runs()] == [run.id]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-01-31", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31T06:30:00Z", "2026-01-31T06:30:00+00:00"),
        (datetime(2026, 1, 31, 6, 30), "2026-01-31T06:30:00+00:00"),  # noqa: DTZ001
        (date(2026, 1, 31), "2026-01-31T00:00:00+00:00"),
        (datetime(2026, 1, 31, tzinfo=timezone(timedelta(hours=2))), "2026-01-30T22:00:00+00:00"),
    ],
)
def test_a_logical_date_is_kept_in_utc(client, installation, dag, given, kept):
    run = client.submit(dag, logical_date=given)
    assert installation.engine.reading.run_params(run.id) == ({}, kept)


def test_a_logical_date_without_an_offset_is_in_the_dags_zone(client, installation, dag):
    given = Dag.parse(dag.to_dict() | {"timezone": "Europe/Berlin"})
    run = client.submit(given, logical_date="2026-07-31")
    assert installation.engine.reading.run_params(run.id) == ({}, "2026-07-30T22:00:00+00:00")
    run = client.submit(given, logical_date="2026-07-31T00:00Z")
    assert installation.engine.reading.run_params(run.id) == ({}, "2026-07-31T00:00:00+00:00")


def test_without_a_logical_date_it_is_the_submission(client, installation, dag):
    run = client.submit(dag, {"day": "Monday"})
    submitted = datetime.fromtimestamp(client.runs()[0].submitted_at, UTC)
    assert installation.engine.reading.run_params(run.id) == (
        {"day": "Monday"},
        submitted.isoformat(timespec="seconds"),
    )


@pytest.mark.parametrize(
    "date", ["", "today", "2026-13-01", "0001-01-01T00:00Z", "9999-12-31", 20260131]
)
def test_what_is_no_date_is_refused(client, connection, dag, date):
    with pytest.raises(
        PydagError, match=f"logical date {date!r}: must be ISO 8601".replace("+", ".")
    ):
        client.submit(dag, logical_date=date)
    assert connection.keys() == []


def test_params_that_json_cannot_say_are_refused(client, connection, dag):
    with pytest.raises(PydagError, match=r"params of the run: day must be JSON, not a Python date"):
        client.submit(dag, {"day": date(2026, 1, 31)})
    assert connection.keys() == []


def test_what_is_given_in_place_of_something_else_is_refused(client, connection, dag):
    for wrong in ("nightly.json", None, {"dag_id": "nightly"}):
        with pytest.raises(PydagError, match=r"must be a Dag, not a \w+: Dag.load\(PATH\) reads"):
            client.submit(wrong)
        with pytest.raises(PydagError, match=r"must be a Dag"):
            client.publish(dag, wrong)
    for wrong in (["day"], "day", 5):
        with pytest.raises(PydagError, match=r"params of the run: must be names with their values"):
            client.submit(dag, wrong)
    with pytest.raises(PydagError, match=r"^params of the run: has a key that is not text: 1$"):
        client.submit(dag, {1: 2})
    for wrong in (-1, 1.5, "3", None, True):
        with pytest.raises(PydagError, match=r"a limit must be a whole number from 0"):
            client.runs(limit=wrong)
    with pytest.raises(PydagError, match=r"run 5: must be a run's id"):
        client.run(5)
    assert connection.keys() == []


def test_a_timeout_is_a_number(client, dag):
    run = client.submit(dag)
    for wrong in (float("nan"), "3"):
        with pytest.raises(PydagError, match=r"a timeout must be a number of seconds, or None"):
            run.wait(wrong)
        with pytest.raises(PydagError, match=r"a timeout must be a number of seconds, or None"):
            next(run.follow(wrong))


def test_only_a_dag_with_webhooks_has_them_called(client, installation, connection, dag):
    waiting = installation.engine.store.key("webhooks")
    installation.work_off(client.submit(dag).id)
    assert not connection.exists(waiting)

    hooked = client.submit(Dag.parse(dag.to_dict() | {"on_failure": "on-call"}))
    installation.work_off(hooked.id)
    assert connection.zrange(waiting, 0, -1) == [hooked.id]


def test_the_tasks_of_a_run_tell_how_they_went(client, installation, dag):
    run = client.submit(dag)
    installation.plan(run.id)
    installation.end(installation.claim(), result='{"rows": 3}')
    assert run.tasks["first"].state == "success"
    assert run.tasks["first"].result == {"rows": 3}
    assert run.tasks["first"].worker == "worker@host"
    assert run.tasks["second"].state == "queued"


def test_runs_are_listed_newest_first(client, dag):
    ids = [client.submit(dag).id for _ in range(3)]
    assert [summary.run_id for summary in client.runs(limit=2)] == ids[:0:-1]


def test_wait_returns_the_state_of_a_run_that_ended_before(client, installation, dag):
    run = client.submit(dag)
    installation.work_off(run.id)
    assert run.wait(timeout=0) == "success"


def test_wait_returns_when_the_run_ends(client, installation, dag):
    run = client.submit(dag)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run.wait, 30)
        installation.work_off(run.id)
        assert waiting.result(30) == "success"


def test_wait_names_the_failed_tasks_with_their_errors(client, installation, dag):
    run = client.submit(dag)
    installation.plan(run.id)
    installation.end(installation.claim(), "failed", error="no such table: t")
    with pytest.raises(RunFailed) as failure:
        run.wait()
    assert f"run {run.id} failed: 1 of 2 tasks failed" in str(failure.value)
    assert "first (try 1): no such table: t" in str(failure.value)


def test_wait_names_who_marked_a_task_failed_and_cuts_a_long_error(client, installation, dag):
    run = client.submit(dag)
    installation.plan(run.id)
    installation.end(installation.claim(), "failed", error="x" * 1_005)
    with pytest.raises(RunFailed, match=r"\): x{1000}… \(5 characters more\)$"):
        run.wait()
    run.mark("first", "failed")
    with pytest.raises(RunFailed, match=r"first \(try 1\): it was marked failed by hand, by \S+$"):
        run.wait()


def test_wait_gives_up_after_its_timeout_and_the_run_goes_on(client, dag):
    run = client.submit(dag)
    with pytest.raises(TimeoutError, match=r"is queued after 0\.01 s, and goes on"):
        run.wait(timeout=0.01)
    assert run.state == "queued"


def test_wait_submits_a_lost_run_again(client, connection, installation, dag):
    run = client.submit(dag)
    connection.flushall()
    installation = Installation(connection)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run.wait, 30)
        wait_until(client.runs, "the run is there again")
        installation.work_off(run.id)
        assert waiting.result(30) == "success"


class Losing:
    """Redis is wiped before one call, and before the one that follows when all is there again.

    What is still there when it is waited for runs to its end.
    """

    CALLS: ClassVar = {
        Steering: ["submit"],
        Reading: ["run_state", "snapshot", "newest_event", "has_event"],
    }

    def __init__(self, monkeypatch, connection, first):
        self.connection = connection
        self.first = first
        self.outcome = "success"
        self.count = 0
        self.inside = False
        for role, names in self.CALLS.items():
            for name in names:
                monkeypatch.setattr(role, name, self._losing(name, getattr(role, name)))

    def _losing(self, name, ask):
        def call(role, run_id, *args, **options):
            if not self.inside:
                self.count += 1
                self.inside = True
                if self.count in (self.first, self.first + 2):
                    self.connection.flushall()
                elif name == "has_event" and role.run_state(run_id) == "queued":
                    installation = Installation(self.connection)
                    installation.plan(run_id)
                    while role.run_state(run_id) == "running":
                        installation.end(installation.claim(), self.outcome)
                self.inside = False
            return ask(role, run_id, *args, **options)

        return call


@pytest.fixture(params=[1, 2, 3, 4])
def losing(request, monkeypatch, connection, client, dag):
    monkeypatch.setattr("pydag_dist.client.run.BLOCK_SECONDS", 0.05)
    run = client.submit(dag)
    return run, Losing(monkeypatch, connection, request.param)


@pytest.mark.parametrize("outcome", ["success", "failed"])
@pytest.mark.parametrize("way", ["wait", "follow", "follow_logs"])
def test_whoever_waits_gets_to_the_end_whenever_redis_loses_the_run(losing, way, outcome):
    run, wipes = losing
    wipes.outcome = outcome
    if way == "wait" and outcome == "failed":
        with pytest.raises(RunFailed, match="failed: 1 of 2 tasks failed"):
            run.wait(30)
    elif way == "wait":
        assert run.wait(30) == "success"
    else:
        list(getattr(run, way)())
    assert wipes.count >= min(wipes.first, 3)
    wipes.inside = True
    assert run.state == outcome


def test_a_run_whose_keys_are_damaged_is_not_submitted_for_ever(client, connection, dag):
    run = client.submit(dag)
    connection.hdel(f"pydag:run:{run.id}", "state")
    with pytest.raises(UnknownRun):
        run.wait(30)


def test_a_run_that_nobody_submitted_is_unknown(client):
    run = client.run("nightly-20240501t020000-0123456789abcdef")
    for read in (lambda: run.state, lambda: run.tasks, run.wait, run.logs):
        with pytest.raises(UnknownRun, match="nightly-20240501t020000"):
            read()


def test_following_gives_the_changes_and_ends_with_the_run(client, installation, dag):
    run = client.submit(dag)
    installation.plan(run.id)
    states = []
    for snapshot in run.follow(timeout=30):
        states.append({name: task.state for name, task in snapshot.tasks.items()})
        if not snapshot.ended:
            installation.end(installation.claim())
    assert states == [
        {"first": "queued", "second": "none"},
        {"first": "success", "second": "queued"},
        {"first": "success", "second": "success"},
    ]


def test_logs_of_all_tasks_and_tries_come_by_time(client, installation, dag):
    run = client.submit(dag)
    installation.plan(run.id)
    first = installation.claim()
    installation.log(first, "a", "b", at=1000.0)
    installation.end(first)
    second = installation.claim()
    installation.log(second, "between", at=1000.5, level="WARNING")
    assert [line.line for line in run.logs()] == ["a", "between", "b"]
    assert [line.line for line in run.logs("first")] == ["a", "b"]
    assert str(run.logs("second")[0]).endswith(" second#1 WARNING between")


def test_logs_longer_than_a_page_are_read_whole(client, installation, dag):
    run = client.submit(dag)
    installation.plan(run.id)
    installation.log(installation.claim(), *map(str, range(2500)))
    assert [line.line for line in run.logs("first")] == [str(i) for i in range(2500)]


def test_logs_of_an_expanded_task_are_those_of_its_children_too(
    client, installation, connection, dag
):
    run = client.submit(dag)
    installation.plan(run.id)
    first = installation.claim()
    tasks, out = (f"pydag:run:{run.id}:{part}" for part in ("tasks", "out"))
    for child in ("first.0", "first.1", "first.2"):
        connection.hset(tasks, child, connection.hget(tasks, "first"))
    installation.log(first, "list", at=1000.0)
    installation.log(replace(first, task="first.1"), "item", at=1001.0)
    installation.log(replace(first, task="first.2"), "other", at=1002.0)
    assert [line.line for line in run.logs("first")] == ["list"]  # not expanded
    connection.hset(out, "n/first", 2)
    assert [(line.task, line.line) for line in run.logs("first")] == [
        ("first", "list"),
        ("first.1", "item"),
    ]


def test_logs_of_a_task_that_is_not_there(client, installation, dag):
    run = client.submit(dag)
    installation.plan(run.id)
    with pytest.raises(PydagError, match="no task 'third'"):
        run.logs("third")


def test_following_logs_gives_each_line_once_until_the_end(client, installation, dag):
    run = client.submit(dag)
    installation.plan(run.id)
    first = installation.claim()
    installation.log(first, "early")
    lines = []
    read_one = threading.Event()

    def follow():
        for line in run.follow_logs():
            lines.append(line.line)
            read_one.set()

    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(follow)
        assert read_one.wait(30)
        installation.log(first, "late", at=1001.0)
        installation.end(first)
        installation.end(installation.claim())
        following.result(30)
    assert lines == ["early", "late"]


def test_a_client_finds_its_redis_in_the_settings(monkeypatch):
    urls = []
    from_url = redis.Redis.from_url

    def noting(url, **options):
        urls.append(url)
        return from_url(url, **options)

    monkeypatch.setattr(redis.Redis, "from_url", noting)
    monkeypatch.setenv("PYDAG_REDIS_URL", URL)
    Client()
    Client("redis://other:6379/0")
    assert urls == [URL, "redis://other:6379/0"]
