"""The messages that the engine pushes, as Celery and kombu build them."""

from __future__ import annotations

import json

from celery import Celery

from pydag_dist.engine.messages import QUEUES, celery_config, templates
from pydag_dist.settings import Settings


def test_a_message_names_the_queue_that_it_is_for():
    app = Celery("coordinator", set_as_current=False)
    app.config_from_object(celery_config(Settings()))
    built = templates(app, [*QUEUES, "other"])
    named = {q: json.loads(text)["properties"]["delivery_info"] for q, text in built.items()}
    assert named == {q: {"exchange": "", "routing_key": q} for q in (*QUEUES, "other")}
