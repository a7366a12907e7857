"""The Celery app of a worker: ``celery -A workers worker``, or ``pydag worker``."""

from __future__ import annotations

import os
import sys

from celery import Celery

from pydag_dist.engine.celery.broker import SteadyConnection
from pydag_dist.engine.celery.messages import QUEUES, celery_config
from pydag_dist.errors import InvalidSettings
from pydag_dist.settings import load_settings
from workers.parent import revoking  # noqa: F401  it takes the place of Celery's command
from workers.parent.events import EventBatches, TryEvents
from workers.parent.steps import HubBeat, WorkerLease
from workers.task import Estimate, Execute, Release

# Queues beyond the operators' families have to be known before Celery reads its -Q.
_extra = [q for q in os.environ.get("PYDAG_WORKER_QUEUES", "").split(",") if q]

# Celery prefers them (and its option --broker, which is the first of them) to what it is told here.
_OTHERS = ("BROKER_URL", "BROKER_READ_URL", "BROKER_WRITE_URL", "RESULT_BACKEND")
if _set := [f"CELERY_{name}" for name in _OTHERS if os.environ.get(f"CELERY_{name}")]:
    sys.exit(
        f"Error: {', '.join(_set)} would lead this process to another Redis than PYDAG_REDIS_URL: "
        "unset it here, and leave out Celery's -b and --result-backend"
    )

app = Celery("workers", set_as_current=True)
try:
    app.config_from_object(celery_config(load_settings(), dict.fromkeys([*QUEUES, *_extra])))
except InvalidSettings as error:
    sys.exit(f"Error: {error}")
app.amqp.Connection = SteadyConnection
app.events.dispatcher_cls = TryEvents
app.register_task(Execute())
app.register_task(Release())
app.register_task(Estimate())
app.steps["worker"].add(WorkerLease)
app.steps["consumer"].update([EventBatches, HubBeat])
