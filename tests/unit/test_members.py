"""Which live worker could run a task, and what the commands say of it."""

from __future__ import annotations

import json

import pytest

from pydag_dist.dag import Dag
from pydag_dist.engine.members import Member, unserved

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
