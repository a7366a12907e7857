"""Which live worker could run a task, and what the commands say of it."""

from __future__ import annotations

import json

import pytest

from pydag_dist.dag import Dag
from pydag_dist.engine.members import Member, unserved
from pydag_dist.errors import LeaseMismatch

CALL = {"task_id": "t", "operator": "python.call", "params": {"callable": "etl.jobs:load"}}
QUERY = {"task_id": "q", "operator": "bigquery.query", "params": {"sql": "SELECT 1"}}


def member(name, **info):
    told = {
        "queues": ["python"],
        "imports": [],
        "connections": [],
        "operators": ["python.call", "branch", "bigquery.query"],
    }
    return Member(name, "id", 0, 1000.0, told | info)


def dag(*tasks):
    return Dag.parse({"dag_id": "d", "tasks": list(tasks)})


def told(workers, *tasks):
    return [str(one) for one in unserved(dag(*tasks), workers)]


def test_nobody_listens():
    assert told([], CALL) == ["task t: no live worker can run it: none listens to its queue python"]
    other = member("w2@h", queues=["etl"], imports=["etl"])
    assert told([other], CALL) == [
        (
            "task t: no live worker can run it: none listens to its queue python; "
            "w2@h could run it, listening to other queues"
        )
    ]


@pytest.mark.parametrize(
    ("info", "tasks", "reason"),
    [
        ({}, [CALL], "w@h: module etl.jobs is not allowed (allowed: none)"),
        ({"imports": ["et"]}, [CALL], "w@h: module etl.jobs is not allowed (allowed: et)"),
        (
            {"queues": ["bigquery"]},
            [QUERY | {"params": {"sql": "SELECT 1", "connection": "LAKE"}}],
            "w@h: connection LAKE is not defined",
        ),
        (
            {"queues": ["bigquery"], "operators": []},
            [QUERY],
            "w@h: operator bigquery.query is not there (the google packages are not installed)",
        ),
    ],
)
def test_what_a_worker_lacks(info, tasks, reason):
    (line,) = told([member("w@h", **info)], *tasks)
    assert line.endswith(reason)


def test_one_that_can_is_enough():
    assert told([member("a@h"), member("b@h", imports=["etl"])], CALL) == []


def test_what_only_rendering_tells_is_left_to_the_worker():
    task = QUERY | {"params": {"sql": "SELECT 1", "connection": "{{ params.c }}"}}
    given = Dag.parse({"dag_id": "d", "params": {"c": "LAKE"}, "tasks": [task]})
    assert unserved(given, [member("w@h", queues=["bigquery"])]) == []


def test_members_come_and_go(installation):
    engine = installation.engine
    info = json.dumps({"host": "h"})
    assert engine.membership.register("workers", "w@h", "one.0", info, busy=1) is None
    assert (
        engine.membership.register("workers", "w@h", "one.1", info) is None
    )  # itself, modules anew
    assert engine.membership.register("workers", "w@h", "two.0", info) is not None
    assert engine.membership.register("workers", "w@h", "two.0", info, force=True) is None
    assert [m.process for m in engine.reading.members("workers").values()] == ["two.0"]
    engine.membership.unregister("workers", "w@h", "one.1")
    assert list(engine.reading.members("workers")) == ["w@h"]
    engine.membership.unregister("workers", "w@h", "two.0")
    assert engine.reading.members("workers") == {}


def test_who_comes_first_decides_on_the_lease(installation):
    engine, clock = installation.engine, installation.engine.store.key("clock")
    assert engine.membership.register("workers", "w@h", "one", "{}", lease=6) is None
    assert engine.membership.register("workers", "w2@h", "two", "{}", lease=6) is None
    with pytest.raises(LeaseMismatch, match=r"15 s here \(PYDAG_LEASE\), and 6 s for the workers"):
        engine.membership.register("coordinators", "c", "three", "{}")
    assert list(engine.reading.members("coordinators")) == []
    engine.membership.unregister("workers", "w@h", "one")
    # Alone again: all the others have ended.
    assert engine.membership.register("workers", "w2@h", "two", "{}", lease=7.5) is None
    assert installation.connection.hget(clock, "lease") == "7500000"
    [w2] = engine.reading.members("workers").values()
    seconds, microseconds = installation.connection.time()
    assert w2.heard_at == pytest.approx(seconds + microseconds / 1e6, abs=5)


def test_a_try_is_held_for_the_lease_of_the_installation(installation):
    engine = installation.engine
    engine.membership.register("workers", installation.worker, "one", "{}", lease=6)
    engine.steering.submit("r", dag(CALL).to_json(), "d")
    installation.plan("r")
    installation.claim()
    [(_, until)] = installation.connection.zrange(
        engine.store.key("leases"), 0, -1, withscores=True
    )
    seconds, microseconds = installation.connection.time()
    assert until / 1e6 - seconds - microseconds / 1e6 == pytest.approx(6, abs=2)
