"""The Celery app of a worker: ``celery -A workers worker``, or ``pydag worker``."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from kombu.connection import Connection

from pydag_dist.engine.messages import QUEUES, celery_config
from pydag_dist.settings import load_settings
from workers.lifecycle import EventBatches, HubBeat, WorkerLease
from workers.task import Execute, Release


class SteadyConnection(Connection):
    """Looks for a Redis that is away every 2 s; kombu's own pauses grow to 30 s."""

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Wait until the broker is there."""
        return super().ensure_connection(*args, interval_start=2, interval_step=0, **kwargs)  # type: ignore[no-untyped-call]


# Queues beyond the operators' families have to be known before Celery reads its -Q.
_extra = [q for q in os.environ.get("PYDAG_WORKER_QUEUES", "").split(",") if q]

app = Celery("workers", set_as_current=True)
app.config_from_object(celery_config(load_settings(), dict.fromkeys([*QUEUES, *_extra])))
app.amqp.Connection = SteadyConnection
app.register_task(Execute())
app.register_task(Release())
app.steps["worker"].add(WorkerLease)
app.steps["consumer"].update([EventBatches, HubBeat])
