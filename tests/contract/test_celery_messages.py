"""What a message must look like for a worker to run it when a script pushes it onto the list."""

from __future__ import annotations

import base64
import copy
import json
import uuid
from typing import Any

import pytest
import redis
from celery.app.task import Context

from tests.contract.celery_worker import Sender, Worker
from tests.support import wait_until

CALLBACK = {
    "task": "release",
    "args": ["run-1"],
    "kwargs": {},
    "options": {},
    "subtask_type": None,
    "immutable": True,
}


def minimal() -> dict[str, Any]:
    task_id = uuid.uuid4().hex
    return {
        "body": json.dumps([[], {}, {"chord": CALLBACK}]),
        "content-type": "application/json",
        "headers": {"task": "succeed", "id": task_id},
        "properties": {"delivery_tag": task_id},
    }


def without(message: dict[str, Any], *path: str) -> dict[str, Any]:
    cut = copy.deepcopy(message)
    holder = cut
    for name in path[:-1]:
        holder = holder[name]
    del holder[path[-1]]
    return cut


def push(sender: Sender, message: dict[str, Any], key: str = "one") -> None:
    sender.store.lpush(key, json.dumps(message))


def was_run(sender: Sender, message: dict[str, Any]) -> bool:
    return bool(sender.store.llen(f"started:{message['headers']['id']}"))


def run_one_more(sender: Sender) -> None:
    """Run a good message through the worker, so that what stood before it has been dealt with."""
    message = minimal()
    push(sender, message)
    sender.wait_hooks(message["headers"]["id"])


def test_the_least_message_is_a_body_a_content_type_two_headers_and_a_tag(sender, worker):
    message = minimal()
    push(sender, message)
    (call,) = sender.wait_hooks(message["headers"]["id"])
    assert (call["state"], call["chord"]) == ("SUCCESS", "release")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (("headers", "task"), "Received and deleted unknown message"),
        (("headers", "id"), "KeyError('id')"),
        (("properties", "delivery_tag"), "KeyError('delivery_tag')"),
        (("properties",), "KeyError('properties')"),
    ],
)
def test_a_message_without_one_of_these_is_lost_and_the_worker_goes_on(sender, worker, path, said):
    message = without(minimal(), *path)
    push(sender, message)
    wait_until(lambda: said in worker.text(), f"the worker says {said}")
    run_one_more(sender)
    task_id = message["headers"].get("id")
    assert task_id is None or sender.store.llen(f"started:{task_id}") == 0
    assert sender.store.llen("one") == 0


@pytest.mark.parametrize("field", ["body", "content-type"])
def test_a_message_without_body_or_content_type_ends_the_worker(
    broker_url, sender, tmp_path, field
):
    with Worker(broker_url, tmp_path / "log", queues="two", concurrency=1) as victim:
        push(sender, without(sender.template("succeed", "two"), field), "two")
        assert victim.wait(30) == 1
        assert "Unrecoverable error" in victim.text()


def test_a_body_is_plain_text_or_says_that_it_is_base64(sender, worker):
    plain, encoded, unsaid = minimal(), minimal(), minimal()
    for message in (encoded, unsaid):
        message["body"] = base64.b64encode(message["body"].encode()).decode()
    encoded["properties"]["body_encoding"] = "base64"
    for message in (plain, encoded, unsaid):
        push(sender, message)
    wait_until(lambda: "Can't decode message body" in worker.text(), "the worker refuses one")
    run_one_more(sender)
    assert [was_run(sender, m) for m in (plain, encoded, unsaid)] == [True, True, False]


def test_kombu_pushes_left_and_takes_the_oldest_from_the_right(broker_url, sender, tmp_path):
    first, second = (sender.send("succeed", queue="two") for _ in range(2))
    ids = [json.loads(m)["headers"]["id"] for m in sender.store.lrange("two", 0, -1)]
    assert ids == [second, first]
    with Worker(broker_url, tmp_path / "log", queues="two", concurrency=1):
        sender.wait_hooks(second)
    assert sender.hooks(first)[0]["at"] < sender.hooks(second)[0]["at"]


def test_the_list_is_named_as_the_queue_for_priority_0_which_comes_first(
    broker_url, sender, tmp_path
):
    low = sender.send("succeed", queue="two", priority=9)
    middle = sender.send("succeed", queue="two", priority=3)
    high = sender.send("succeed", queue="two", priority=0)
    assert sender.store.llen("two") == 1
    assert sender.store.llen("two\x06\x163") == sender.store.llen("two\x06\x169") == 1
    with Worker(broker_url, tmp_path / "log", queues="two", concurrency=1):
        times = [sender.wait_hooks(task_id)[0]["at"] for task_id in (high, middle, low)]
    assert times == sorted(times)


def test_a_global_keyprefix_stands_before_the_list_s_name(broker_url, tmp_path):
    with (
        Sender(broker_url, keyprefix="pre:") as sender,
        Worker(broker_url, tmp_path / "log", queues="two", keyprefix="pre:") as worker,
    ):
        message = minimal()
        push(sender, message, "two")
        sent = sender.send("succeed", queue="two")
        sender.wait_hooks(sent)
        assert not was_run(sender, message)
        sender.store.rename("two", "pre:two")
        sender.wait_hooks(message["headers"]["id"])
        assert worker.poll() is None


def test_one_delivery_tag_for_several_messages_loses_them_on_a_queue_with_acks(
    broker_url, sender, tmp_path
):
    messages = [minimal() for _ in range(2)]
    for message in messages:
        message["headers"]["task"] = "hold"
        message["properties"] |= {
            "delivery_tag": "same",
            "delivery_info": {"exchange": "", "routing_key": "acked"},
        }
        push(sender, message, "acked")
    with Worker(broker_url, tmp_path / "log", queues="acked"):
        for message in messages:
            sender.wait_started(message["headers"]["id"])
        # Two messages are being run, but only one would be restored if the worker died now.
        assert sender.store.hlen("unacked") == 1
    sender.store.delete("unacked", "unacked_index")


def test_a_captured_template_is_the_message_that_redis_would_hold(sender, broker_url):
    options = {
        "task_id": "run/task/1",
        "root_id": "run",
        "shadow": "dag.task",
        "argsrepr": "run/task",
        "headers": {"pydag": {"run": "run"}},
        "chord": sender.app.signature("release", args=("run",), immutable=True),
    }
    template = sender.template("succeed", "three", **options)
    sender.app.send_task("succeed", queue="three", ignore_result=True, **options)
    (sent,) = sender.store.lrange("three", 0, -1)
    real = json.loads(sent)
    sender.store.delete("three")

    assert template["properties"].pop("body_encoding") is None
    assert real["properties"].pop("body_encoding") == "base64"
    for message in (template, real):
        message["properties"].pop("delivery_tag")
    assert template["body"].encode() == base64.b64decode(real["body"])
    assert {**template, "body": ""} == {**real, "body": ""}


def test_capturing_a_template_touches_no_broker():
    with Sender("redis://127.0.0.1:1/0") as sender:
        with pytest.raises(redis.ConnectionError):
            sender.store.ping()
        assert sender.template("succeed", "one")["headers"]["task"] == "succeed"


def test_headers_that_are_left_out_mean_the_same_as_empty_ones(sender):
    """So the engine's messages leave them out."""
    headers = sender.template("succeed", "one")["headers"]
    empty = {name for name, value in headers.items() if value in (None, "", 0, {}, [None, None])}
    assert {"eta", "expires", "group", "retries", "stamps", "timelimit"} <= empty
    instead = Context()
    assert {getattr(instead, name, None) for name in empty} <= {None, 0}


def test_a_message_that_says_its_headers_spares_celery_looking_for_them():
    assert Context({"id": "1", "pydag": {"run": "r"}}).headers == {"pydag": {"run": "r"}}
    said = Context({"id": "1", "pydag": {"run": "r"}, "headers": {}})
    assert (said.headers, said.pydag) == ({}, {"run": "r"})


def test_a_captured_template_runs(sender, worker):
    chord = sender.app.signature("release", args=("run",), immutable=True)
    template = sender.template(
        "succeed", "one", task_id="ID", headers={"pydag": {"run": "RUN"}}, chord=chord
    )
    text = json.dumps(template).replace("ID", "run/task/1").replace("RUN", "run")
    sender.store.lpush("one", text)
    (call,) = sender.wait_hooks("run/task/1")
    assert (call["state"], call["header"]) == ("SUCCESS", {"run": "run"})
