"""What Flower hears of a worker."""

from __future__ import annotations

import json

import pytest
from celery.events.dispatcher import EventDispatcher

from pydag_dist.engine import Deferral
from workers.app import app
from workers.parent.events import POLL, TryEvents


@pytest.fixture
def sent(monkeypatch):
    """The events that are sent."""
    events = []
    monkeypatch.setattr(EventDispatcher, "send", lambda _, kind, **_fields: events.append(kind))
    return events


def test_polls_have_no_events(sent):
    events = TryEvents(enabled=False, app=app)
    events.send("task-received", uuid="*/bigquery.query/1", name="polls.bigquery.query")
    events.send("task-succeeded", uuid="run/task/1", result="None")
    events.send("worker-heartbeat", freq=2)
    assert sent == ["task-succeeded", "worker-heartbeat"]


def test_the_app_makes_such_a_dispatcher():
    assert issubclass(app.events.Dispatcher, TryEvents)


def test_poll_messages_have_ids_that_begin_so(installation, connection):
    engine = installation.engine
    engine.planning.set_template('{"id": "<<id>>", ' + json.dumps(MESSAGE)[1:])
    dag = {"task_id": "t", "operator": "python.call", "params": {"callable": "a:b"}}
    engine.steering.submit("r", json.dumps({"dag_id": "d", "tasks": [dag]}), "d")
    installation.plan("r")
    held = installation.claim()
    assert engine.working.defer(held, Deferral("g", 0.0, "{}")) == "ok"
    engine.store.call("tick", "1")
    pushed = json.loads(connection.lindex(engine.store.key("q:python"), 0))
    assert pushed["id"].startswith(POLL)
    assert not held.run.startswith(POLL)


MESSAGE = json.loads(
    '{"headers": {"pydag": {"run": "<<run>>", "task": "<<task>>", "try": "<<try>>", '
    '"push": "<<push>>"}}}'
)
