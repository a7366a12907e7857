"""Asks a worker what a DAG's queries will read: workers have the credentials for dry runs."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any, Final

from celery import Celery

from pydag_dist.engine.celery.messages import captured
from pydag_dist.engine.store import Store

ESTIMATE: Final = "pydag.estimate"
QUEUE: Final = "bigquery"
SECONDS: Final = 30.0  # that an answer is waited for; then the question is void
KEPT_SECONDS: Final = 60  # an answer that nobody has taken
BYTES: Final = 2**20  # of a DAG, in one message
_LOOK_SECONDS: Final = 0.1


def ask(store: Store, dag: str, params: dict[str, Any], logical_date: str) -> Any:
    """What a worker answers, see `workers.estimate`; None if none does in time."""
    name = secrets.token_hex(16)
    redis = store.redis
    given = {"dag": dag, "params": params, "logical_date": logical_date, "reply": name}
    redis.lpush(store.key(f"q:{QUEUE}"), _message(name, given))
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        found = redis.lpop(_key(store, name))
        if isinstance(found, str | bytes):
            return json.loads(found)
        time.sleep(_LOOK_SECONDS)
    return None


def reply(store: Store, name: str, answer: Any) -> None:
    """Answer whoever asked under that name."""
    pipeline = store.redis.pipeline()
    pipeline.rpush(_key(store, name), json.dumps(answer))
    pipeline.expire(_key(store, name), KEPT_SECONDS)
    pipeline.execute()


def _key(store: Store, name: str) -> str:
    return store.key(f"estimate:{name}")


def _message(name: str, given: dict[str, Any]) -> str:
    app = Celery("pydag", set_as_current=False)
    message = captured(
        app, ESTIMATE, routing_key=QUEUE, task_id=name, kwargs=given, expires=SECONDS,
        argsrepr="", kwargsrepr="", ignore_result=True,
    )  # fmt: skip
    place = {"exchange": "", "routing_key": QUEUE}
    properties = message["properties"] | {"delivery_info": place, "delivery_tag": name}
    return json.dumps(message | {"properties": properties})
