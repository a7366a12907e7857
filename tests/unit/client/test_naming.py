"""How a run can be named, and which runs a list has."""

from __future__ import annotations

import os
import time

import pytest

from pydag_dist import Client, Dag
from pydag_dist.client.naming import shortest_name
from pydag_dist.engine import Engine, RunFilter
from pydag_dist.errors import AmbiguousRun, PydagError, UnknownRun

URL = "redis://broker.example:6379/0"
DAG = Dag.parse(
    {
        "dag_id": "d",
        "tasks": [{"task_id": "t", "operator": "python.call", "params": {"callable": "a:b"}}],
    }
)
DAY = 86400.0
NOON = 1_769_860_800.0  # 2026-01-31 12:00 UTC


@pytest.fixture
def berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def client(connection):
    return Client(URL)


@pytest.fixture
def submitted(client, connection):
    """Submits a run with that id as if it were then, in epoch seconds."""

    def submit(run_id, at=None, dag_id="d", params=None, tags=()):
        dag = Dag.parse(DAG.to_dict() | {"dag_id": dag_id, "tags": list(tags)})
        client.submit(dag, params, run_id=run_id)
        if at is not None:
            connection.zadd("pydag:runs", {run_id: round(at * 1e6)})
            connection.hset(f"pydag:run:{run_id}", "submitted_at", round(at * 1e6))

    return submit


def test_a_run_is_named_by_how_its_id_begins(client, submitted):
    for run_id in ("d-1", "d-10", "d-2", "e-1"):
        submitted(run_id)
    assert client.run("e").id == "e-1"
    assert client.run("d-2").id == "d-2"
    assert client.run("d-1").id == "d-1"  # a whole id is no beginning of another
    with pytest.raises(AmbiguousRun) as error:
        client.run("d-")
    assert error.value.candidates == ["d-1", "d-10", "d-2"]
    assert str(error.value) == ("d- is the beginning of several runs' ids:\n  d-1\n  d-10\n  d-2")


def test_a_run_that_is_given_back_keeps_its_place(client, connection, installation, submitted):
    submitted("new")
    head = {
        "dag_id": "d",
        "processors": 0,
        "weight": 1,
        "timeout": 0,
        "retention": 9,
        "params": "{}",
    }
    head |= {
        "submitted_at": round(NOON * 1e6),
        "submitted_by": "ann@h",
        "tags": '["x"]',
        "rounds": 2,
    }
    installation.engine.planning.restore_run("old", DAG.to_json(), head, planned=False)
    assert [run.run_id for run in client.runs()] == ["new", "old"]
    [old] = client.runs(wanted=RunFilter(tags=["x"], until=NOON + 1))
    assert (old.run_id, old.submitted_by, old.rounds, old.submitted_at) == ("old", "ann@h", 2, NOON)
    assert client.run("ol").id == "old"


def test_many_candidates_are_cut(client, submitted):
    for number in range(12):
        submitted(f"d-{number:02}")
    with pytest.raises(AmbiguousRun, match=r"d-07\n  …$") as error:
        client.run("d")
    assert len(error.value.candidates) == 8


def test_what_redis_has_no_longer_is_no_candidate(client, connection, submitted):
    submitted("d-1")
    submitted("d-2")
    connection.delete("pydag:run:d-1")
    assert client.run("d").id == "d-2"
    submitted("e")  # each submission forgets the oldest that are gone
    assert connection.zrange("pydag:names", 0, -1) == ["d-2", "e"]


@pytest.mark.usefixtures("berlin")
def test_a_run_is_named_by_its_dag_and_when(client, submitted):
    submitted("first", NOON - 12.9 * 3600)  # 00:06 in Berlin, the day before in UTC
    submitted("noon", NOON)
    submitted("late", NOON + 10.9 * 3600)
    submitted("next", NOON + 11.1 * 3600)
    submitted("other", NOON + 1, dag_id="e")
    assert client.run("d@last").id == "next"
    assert client.run("e@last").id == "other"
    assert client.run("d@2026-01-31").id == "late"
    assert client.run("d@2026-02-01").id == "next"
    with pytest.raises(UnknownRun, match="no run of DAG d that was submitted on 2026-01-30"):
        client.run("d@2026-01-30")
    with pytest.raises(UnknownRun, match="no run of DAG x:"):
        client.run("x@last")


@pytest.mark.parametrize(
    "name", ["d@", "d@yesterday", "d@31.1.2026", "@last", "a/b", "", "d@9999-12-31"]
)
def test_what_is_no_name_is_told(client, name):
    with pytest.raises(PydagError, match=r"^run .*: "):
        client.run(name)


def test_no_run_is_in_the_way_of_one_that_was_never_there(client):
    with pytest.raises(UnknownRun, match="d-1"):
        _ = client.run("d-1").state


def test_the_shortest_name_names_the_run(client, connection, submitted):
    ids = ["d-1", "d-10", "d-11", "dd", "e-20260131t120000-0123456789abcdef"]
    for run_id in ids:
        submitted(run_id)
    near = Engine(connection).runs.neighbours(ids)
    for run_id in ids:
        short = shortest_name(run_id, near[run_id], 1)
        assert client.run(short).id == run_id
    assert shortest_name(ids[-1], near[ids[-1]], 10) == "e-20260131"


def test_who_submitted_is_kept(client, monkeypatch, submitted):
    monkeypatch.setenv("LOGNAME", "ann e\x1b[31m")
    monkeypatch.setattr("socket.gethostname", lambda: "h" * 300)
    submitted("d-1")
    [run] = client.runs()
    assert run.submitted_by == f"ann_e__31m@{'h' * 89}"
    monkeypatch.setattr("getpass.getuser", lambda: {}["no such user"])
    submitted("d-2")
    assert client.runs()[0].submitted_by.startswith(f"uid-{os.getuid()}@h")


def test_runs_are_found_by_what_they_are(client, submitted):
    submitted("a", NOON, params={"country": "pe", "limit": 10}, tags=["nightly", "übung"])
    submitted("b", NOON + 1, dag_id="e", params={"country": "pe"}, tags=["nightly"])
    submitted("c", NOON + 2)
    client.run("c").cancel()

    def found(**wanted):
        return [run.run_id for run in client.runs(wanted=RunFilter(**wanted))]

    assert found() == ["c", "b", "a"]
    assert found(dag_id="d") == ["c", "a"]
    assert found(states=["queued", "running"]) == ["b", "a"]
    assert found(since=NOON + 1) == ["c", "b"]
    assert found(until=NOON + 1) == ["a"]
    assert found(tags=["nightly"]) == ["b", "a"]
    assert found(tags=["nightly", "übung"]) == ["a"]
    assert found(params={"country": "pe"}) == ["b", "a"]
    assert found(params={"country": "pe", "limit": "10"}) == ["a"]
    assert found(params={"limit": 11}) == []


def test_a_list_looks_at_so_many_runs_and_says_so(client, monkeypatch, submitted):
    monkeypatch.setattr("pydag_dist.engine.listing.MAX_SCANNED", 4)
    monkeypatch.setattr("pydag_dist.engine.listing._PAGE", 2)
    submitted("first", NOON, dag_id="e")
    for number in range(5):
        submitted(f"d-{number}", NOON + 1 + number)
    listing = client.listing(3, RunFilter("e"))
    assert (listing.runs, listing.looked_back_to) == ([], NOON + 2)
    assert [run.run_id for run in client.listing(3, RunFilter("e", until=NOON + 2)).runs] == [
        "first"
    ]
    whole = client.listing(20, RunFilter())
    assert (len(whole.runs), whole.looked_back_to) == (6, None)


def test_a_resumed_run_took_what_its_rounds_took(installation, connection, client, submitted):
    submitted("r", NOON)
    installation.plan("r")
    installation.end(installation.claim(), "failed", error="no luck")
    key = "pydag:run:r"
    # It took 10 s, and ended an hour ago.
    now = connection.time()[0]
    connection.hset(
        key, mapping={"round_at": (now - 3610) * 10**6, "ended_at": (now - 3600) * 10**6}
    )
    client.run("r").resume()
    [run] = client.runs()
    assert (run.rounds, run.spent, run.round_at) == (2, 10, None)
    assert run.took(now + 9999) == 10
    installation.plan("r")
    run = client.run("r").snapshot()
    assert run.rounds == 2
    assert run.took(run.round_at + 5) == 15
    client.run("r").cancel()
    connection.hset(key, "ended_at", connection.hget(key, "round_at"))  # as if at once
    client.run("r").resume()
    assert (client.runs()[0].rounds, client.runs()[0].spent) == (3, 10)
