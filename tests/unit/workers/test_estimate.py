"""An estimate that somebody asks a worker for, by a Celery task."""

from __future__ import annotations

import json

import pytest

from pydag_dist.engine import Engine
from workers import estimate
from workers import task as task_module
from workers.operators.bigquery.estimate import Estimate
from workers.settings import WorkerSettings

DAG = json.dumps(
    {"dag_id": "d", "tasks": [{"task_id": "a", "operator": "gcs.delete", "params": {"uris": ["gs://b/o"]}}]}
)  # fmt: skip


@pytest.fixture
def found(monkeypatch):
    monkeypatch.setattr(estimate, "worker_settings", WorkerSettings)
    monkeypatch.setattr(estimate, "estimates", lambda *_: {"a": Estimate(5, None, "x")})


def test_the_answer_has_no_price_and_is_json(found):
    assert json.loads(json.dumps(estimate.answer(DAG, {}, "2026-01-31T00:00:00+00:00"))) == {
        "dag_id": "d", "bytes": 5, "billed": 0, "budget": None, "unknown": ["a"],
        "tasks": {
            "a": {"bytes": 5, "billed": None, "note": "x", "wrong": False, "tables": [],
                  "columns": []},
        },
    }  # fmt: skip


def test_what_is_no_dag_and_what_is_not_allowed_is_told(found, monkeypatch):
    assert "not JSON" in estimate.answer("{", {}, "")["error"]
    monkeypatch.setattr(estimate, "worker_settings", lambda: WorkerSettings(estimates=False))
    assert "PYDAG_WORKER_ESTIMATES" in estimate.answer(DAG, {}, "")["error"]


def test_the_task_answers_under_the_name_that_it_was_given(found, connection, monkeypatch):
    engine = Engine(connection, "pydag")
    monkeypatch.setattr(task_module, "engine", lambda: engine)
    task_module.Estimate().run(dag=DAG, params={}, logical_date="", reply="abc")
    key = engine.store.key("estimate:abc")
    assert json.loads(connection.lpop(key))["dag_id"] == "d"
    task_module.Estimate().run(dag=DAG, params={}, logical_date="", reply="abc")
    assert 0 < connection.ttl(key) <= 60
