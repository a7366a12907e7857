"""The Celery app of a worker: ``celery -A workers worker``, or ``pydag worker``."""

from __future__ import annotations

import os

from celery import Celery

from pydag_dist.engine.broker import SteadyConnection
from pydag_dist.engine.messages import QUEUES, celery_config
from pydag_dist.settings import load_settings
from workers.lifecycle import EventBatches, HubBeat, WorkerLease
from workers.task import Execute, Release

# Queues beyond the operators' families have to be known before Celery reads its -Q.
_extra = [q for q in os.environ.get("PYDAG_WORKER_QUEUES", "").split(",") if q]

app = Celery("workers", set_as_current=True)
app.config_from_object(celery_config(load_settings(), dict.fromkeys([*QUEUES, *_extra])))
app.amqp.Connection = SteadyConnection
app.register_task(Execute())
app.register_task(Release())
app.steps["worker"].add(WorkerLease)
app.steps["consumer"].update([EventBatches, HubBeat])
