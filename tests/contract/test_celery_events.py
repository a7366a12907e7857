"""What Flower and the worker's log show of a task, and what its headers have to do with it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.contract.celery_worker import Sender, Worker


@pytest.fixture
def shown(sender: Sender, worker: Worker) -> tuple[str, dict[str, dict[str, Any]]]:
    """A task's id, and the events of it by type."""
    with sender.store.pubsub() as events:
        events.psubscribe("*celeryev/task.*")
        task_id = sender.send(
            "succeed", shadow="dag.task", argsrepr="run/task", root_id="run", queue="one"
        )
        seen: dict[str, dict[str, Any]] = {}
        while "task-succeeded" not in seen:
            message = events.get_message(timeout=30)
            assert message is not None, f"only {list(seen)} came"
            if message["type"] != "pmessage":
                continue
            body = json.loads(base64.b64decode(json.loads(message["data"])["body"]))
            seen |= {event["type"]: event for event in body if event["uuid"] == task_id}
    return task_id, seen


def test_the_shadow_header_is_the_name_in_events(shown):
    _, events = shown
    assert events["task-received"]["name"] == "dag.task"


def test_argsrepr_and_root_id_are_shown_as_the_headers_say(shown):
    _, events = shown
    assert events["task-received"]["args"] == "run/task"
    assert events["task-received"]["root_id"] == "run"


def test_the_shadow_header_is_the_name_in_the_log(shown, worker):
    task_id, _ = shown
    assert f"Task dag.task[{task_id}] received" in worker.text()


def test_a_return_value_stands_in_events_and_in_the_log(shown, worker):
    """Which is why the engine's task returns None."""
    task_id, events = shown
    assert events["task-succeeded"]["result"] == "'the result'"
    assert f"[{task_id}] succeeded in " in worker.text()
    assert "'the result'" in worker.text()


def test_a_worker_without_gossip_and_mingle_hears_no_other_worker(sender, worker):
    # One subscription is left: that of remote control.
    assert sender.store.pubsub_numpat() == 1
    assert [c for c in sender.store.pubsub_channels() if "celeryev" in c] == []
    assert "mingle" not in worker.text()
