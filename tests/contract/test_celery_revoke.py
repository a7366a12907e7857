"""What revoking, the way Flower does it, does to a task that runs, waits, or is not there."""

from __future__ import annotations

import json

import pytest

from tests.contract.celery_worker import Sender, Worker
from tests.support import wait_until

DAY = 86400


@pytest.fixture
def revoked(sender: Sender, worker: Worker, request: pytest.FixtureRequest) -> str:
    """The id of a task that was revoked before it was ever sent."""
    task_id = request.node.name
    sender.app.control.revoke(task_id)
    wait_until(lambda: f"flagged as revoked: {task_id}" in worker.text(), "the worker heard it")
    return task_id


def test_a_revoked_id_is_discarded_with_one_call_of_the_hook_from_the_parent(sender, revoked):
    sender.send("succeed", task_id=revoked)
    (call,) = sender.wait_hooks(revoked)
    assert (call["state"], call["in_parent"]) == ("REVOKED", True)
    sender.wait_hooks(sender.send("succeed"))
    assert sender.store.llen(f"started:{revoked}") == 0


def test_an_id_that_nobody_runs_is_marked_as_revoked_without_a_request(sender, revoked):
    key = f"celery-task-meta-{revoked}"
    result = json.loads(wait_until(lambda: sender.store.get(key), "a result is stored"))
    assert result["status"] == "REVOKED"
    assert sender.hooks(revoked) == []


def test_the_result_of_a_revoked_id_stays_for_a_day(sender, revoked):
    key = f"celery-task-meta-{revoked}"
    wait_until(lambda: sender.store.exists(key), "a result is stored")
    assert DAY - 60 < sender.store.ttl(key) <= DAY


def test_an_id_whose_state_is_ready_is_not_marked_as_revoked(sender, worker):
    """So `get_state` has to say PENDING for our ids, or the engine never hears of the cancel."""
    done = json.dumps({"status": "SUCCESS", "result": None, "traceback": None, "children": []})
    sender.store.set("celery-task-meta-done", done)
    sender.app.control.revoke(["done"])
    wait_until(lambda: "flagged as revoked: done" in worker.text(), "the worker heard it")
    sender.reserved(worker)
    assert sender.store.get("celery-task-meta-done") == done


def test_terminate_with_one_id_twice_in_a_worker_stops_only_one(sender, worker):
    """Which is why a second delivery of a try gets an id of its own."""
    for _ in range(2):
        sender.send("hold", task_id="twice")
    wait_until(lambda: sender.store.llen("started:twice") == 2, "both run")
    sender.app.control.revoke("twice", terminate=True)
    assert [call["state"] for call in sender.wait_hooks("twice")] == ["REVOKED"]
    sender.let_go("twice")
    assert [c["state"] for c in sender.wait_hooks("twice", 2)] == ["REVOKED", "SUCCESS"]
