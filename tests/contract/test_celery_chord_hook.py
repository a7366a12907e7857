"""When Celery calls the result backend's chord hook, from which process, and how often.

The engine records a task's outcome in that hook, so each line here decides whether a run can
get stuck or count an outcome twice.
"""

from __future__ import annotations

import psutil
import pytest
from celery import Celery

from tests.contract.celery_app import RecordingBackend
from tests.contract.celery_worker import Sender, Worker, is_alive
from tests.support import wait_until

HEADER = {"run": "run-1", "try": 1}
ENDINGS = {
    "success": ("succeed", (), {}),
    "error": ("fail", (), {}),
    "soft time limit": ("hold", (), {"soft_time_limit": 0.5}),
    "hard time limit": ("hold", (), {"time_limit": 0.5}),
    "killed": ("die_by_signal", (), {}),
    "exited": ("die_by_exit", (), {}),
    "retry": ("retry", (), {}),
    "ignore": ("ignore", (), {}),
    "reject": ("reject", (False,), {}),
    "reject and requeue": ("reject", (True,), {}),
    "killed after its success": ("succeed", (), {"header": {"die after": True}}),
    "hook raises": ("succeed", (), {"header": {"hook raises": True}}),
    "terminated": ("hold", (), {}),
}
NEVER = ("retry", "ignore", "reject and requeue")
TWICE = ("hard time limit", "killed after its success", "hook raises")


@pytest.fixture(scope="module")
def ends(sender: Sender, worker: Worker) -> dict[str, str]:
    """The ids of tasks that have ended, one in each way."""
    ids = {}
    for way, (name, args, options) in ENDINGS.items():
        ids[way] = sender.send(name, *args, **{"header": HEADER, **options})
    sender.wait_started(ids["terminated"])
    sender.app.control.revoke(ids["terminated"], terminate=True)
    for way in NEVER:
        sender.wait_ended(ids[way])
    for way in ids.keys() - set(NEVER):
        sender.wait_hooks(ids[way], 2 if way in TWICE else 1)
    # One more task through every child: whatever a call too many would do has happened then.
    last = [sender.send("hold") for _ in range(4)]
    for task_id in last:
        sender.wait_started(task_id)
    for task_id in last:
        sender.let_go(task_id)
        sender.wait_hooks(task_id)
    return ids


def calls(sender: Sender, task_id: str) -> list[tuple[str, str, str]]:
    return [
        (call["state"], call["result"], "parent" if call["in_parent"] else "child")
        for call in sender.hooks(task_id)
    ]


@pytest.mark.parametrize(
    ("way", "call"),
    [
        ("success", ("SUCCESS", "the result", "child")),
        ("error", ("FAILURE", "ValueError", "child")),
        ("soft time limit", ("FAILURE", "SoftTimeLimitExceeded", "child")),
        ("killed", ("FAILURE", "WorkerLostError", "parent")),
        ("exited", ("FAILURE", "WorkerLostError", "parent")),
        ("terminated", ("REVOKED", "TaskRevokedError", "parent")),
        ("reject", ("FAILURE", "Reject", "parent")),
    ],
)
def test_the_hook_is_called_once(sender, ends, way, call):
    assert calls(sender, ends[way]) == [call]


def test_a_hard_time_limit_calls_the_hook_twice_from_the_parent(sender, ends):
    assert calls(sender, ends["hard time limit"]) == [
        ("FAILURE", "TimeLimitExceeded", "parent"),
        ("FAILURE", "TimeLimitExceeded", "parent"),
    ]


@pytest.mark.parametrize("way", NEVER)
def test_the_hook_is_never_called(sender, ends, way):
    assert calls(sender, ends[way]) == []


def test_a_success_can_be_followed_by_a_failure_when_the_child_dies(sender, ends):
    assert calls(sender, ends["killed after its success"]) == [
        ("SUCCESS", "the result", "child"),
        ("FAILURE", "WorkerLostError", "parent"),
    ]


def test_a_hook_that_raises_is_called_again_with_failure(sender, ends):
    assert calls(sender, ends["hook raises"]) == [
        ("SUCCESS", "the result", "child"),
        ("FAILURE", "RuntimeError", "child"),
    ]


def test_revoke_with_terminate_calls_the_hook_while_the_task_still_cleans_up(sender, worker):
    task_id = sender.send("hold", header={"slow clean-up": True})
    child = psutil.Process(sender.wait_started(task_id))
    sender.app.control.revoke(task_id, terminate=True)
    wait_until(lambda: sender.store.llen(f"cleaning_up:{task_id}"), "it cleans up")
    assert [call["state"] for call in sender.wait_hooks(task_id)] == ["REVOKED"]
    assert is_alive(child)
    sender.let_go(task_id)
    wait_until(lambda: not is_alive(child), "the child ends")
    assert len(sender.hooks(task_id)) == 1


def test_a_message_header_of_ours_is_on_the_request_in_the_child_and_in_the_parent(sender, ends):
    for way in ("success", "error", "killed", "terminated", "hard time limit"):
        assert [call["header"] for call in sender.hooks(ends[way])] == [HEADER] * (
            2 if way in TWICE else 1
        )


def test_the_chord_option_arrives_as_a_signature_that_can_be_run_in_place(sender, ends):
    task_id = ends["success"]
    assert sender.hooks(task_id)[0]["chord"] == "release"
    # The signature's argument is the task's id; the callback counted in the hook's process.
    assert sender.store.get(f"released:{task_id}") == "1"


def test_the_backend_is_loaded_by_a_url_that_names_module_and_class(broker_url):
    with Celery(backend=f"{RecordingBackend.__module__}:RecordingBackend+{broker_url}") as app:
        assert type(app.backend) is RecordingBackend
        assert app.backend.client.ping()
        assert f"redis://127.0.0.1:{app.backend.connparams['port']}/9" == broker_url
        app.backend.client.close()


def test_ignored_results_leave_no_result_key(sender, ends):
    assert sender.hooks(ends["success"])
    assert sender.store.keys("celery-task-meta-*") == []


def test_a_rejected_message_without_acks_is_not_requeued(sender, ends):
    assert sender.store.llen(f"started:{ends['reject and requeue']}") == 1
    assert sender.store.llen("one") == 0
