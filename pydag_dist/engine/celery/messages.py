"""The Celery side of the contract: names, queues, settings, and the template of messages."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from celery import Celery
from kombu.connection import Connection
from kombu.entity import Queue

from pydag_dist.engine.connection.client import (
    ANSWER_SECONDS,
    CONNECT_SECONDS,
    HEALTH_SECONDS,
    KEEPALIVE,
    RECONNECT_SECONDS,
)
from pydag_dist.redis_url import RedisUrl
from pydag_dist.settings import Settings

EXECUTE = "pydag.execute"
RELEASE = "pydag.release"

# The families of operators; a worker without -Q listens to all of them.
QUEUES = ("bigquery", "dataproc", "gcs", "python")

_MARKS = {name: f"<<{name}>>" for name in ("queue", "id", "run", "task", "try", "push", "dag")}

# Values of headers that mean the same to Celery as no header.
_EMPTY: tuple[Any, ...] = (None, "", 0, {}, [None, None])


def celery_config(settings: Settings, queues: Iterable[str] = QUEUES) -> dict[str, Any]:
    """Celery's settings for every part; `queues` are those that a worker may listen to.

    The engine's state is the truth and a message only a hint, so nothing is acknowledged,
    prefetched or stored: Celery's list of unacknowledged messages alone is 43 % of a worker
    parent's CPU time.
    """
    redis = RedisUrl.parse(settings.redis_url)
    return {
        "broker_url": f"redis+{redis.for_celery}" if redis.path else redis.for_celery,
        "broker_use_ssl": redis.tls,
        "redis_backend_use_ssl": redis.tls,
        "result_backend": f"pydag_dist.engine.celery.chord:DagBackend+{redis.for_celery}",
        "broker_transport_options": {
            "global_keyprefix": f"{settings.key_prefix}:q:",
            # One list a queue: else each BRPOP names four, one a priority.
            "priority_steps": [0],
            "socket_timeout": ANSWER_SECONDS,
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_keepalive": True,
            "socket_keepalive_options": KEEPALIVE,
            # kombu drops a connection for messages whose answer is overdue by so much.
            "health_check_interval": HEALTH_SECONDS,
            "interval_start": RECONNECT_SECONDS,
            "interval_step": 0,
            **redis.times,
        },
        "redis_socket_timeout": ANSWER_SECONDS,
        "redis_socket_connect_timeout": CONNECT_SECONDS,
        "redis_socket_keepalive": True,
        "redis_backend_health_check_interval": HEALTH_SECONDS,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "task_queues": [Queue(name, no_ack=True) for name in queues],  # type: ignore[no-untyped-call]
        "task_default_queue": "python",
        "task_create_missing_queues": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_acks_late": False,
        "task_reject_on_worker_lost": False,
        "task_store_errors_even_if_ignored": False,
        "worker_disable_prefetch": True,
        # A process of the pool loads the modules that python.call may call before it is ready.
        "worker_proc_alive_timeout": 120,
        "worker_prefetch_multiplier": 1,
        # What tasks print goes to their logs: workers/pool/output/capture.py.
        "worker_redirect_stdouts": False,
        "worker_send_task_events": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
    }


def template(app: Celery) -> str:
    """The message of a task as Celery and kombu build it, with marks for its queue and ids.

    The body is plain JSON instead of base64, so that the engine's script can fill in ids there.
    """
    return json.dumps(_message(app), separators=(",", ":"))


def captured(app: Celery, name: str, **options: Any) -> dict[str, Any]:
    """The message of a task as Celery and kombu build it; whoever asks puts it onto a list."""
    made: list[dict[str, Any]] = []
    plain = {"body_encoding": None}
    with Connection("memory://", transport_options=plain) as connection:  # type: ignore[no-untyped-call]
        channel = connection.channel()
        channel._put = lambda _queue, message, **_: made.append(message)  # noqa: SLF001
        # The exchange is declared nowhere.
        app.send_task(name, producer=app.amqp.Producer(channel), exchange="", **options)
    (message,) = made
    return message


def _message(app: Celery) -> dict[str, Any]:
    callback = app.signature(
        RELEASE, args=[_MARKS["run"], _MARKS["task"], _MARKS["try"]], immutable=True
    )
    message = captured(
        app,
        EXECUTE,
        routing_key=_MARKS["queue"],
        task_id=_MARKS["id"],
        root_id=_MARKS["id"],
        shadow=f"{_MARKS['dag']}.{_MARKS['task']}",
        argsrepr=f"{_MARKS['run']} {_MARKS['task']}",
        kwargsrepr="",
        chord=callback,
        ignore_result=True,
        headers={"pydag": {name: _MARKS[name] for name in ("run", "task", "try", "push")}},
    )
    return message | {"headers": _headers(message), "properties": _properties()}


def _headers(message: dict[str, Any]) -> dict[str, Any]:
    """What is not empty: a message is pushed, popped, read and handed to a child for each task."""
    headers = {name: value for name, value in message["headers"].items() if value not in _EMPTY}
    # Without "headers" Celery looks for headers that it does not know, 8 µs in every child.
    return headers | {"origin": "pydag", "headers": {}}


def _properties() -> dict[str, Any]:
    """Those that are no copies of headers, and not about an answer, which nobody waits for."""
    # Not Celery's own: it takes the default queue's key, since it can't route by no exchange.
    delivery_info = {"exchange": "", "routing_key": _MARKS["queue"]}
    return {"delivery_info": delivery_info, "delivery_tag": _MARKS["push"]}
