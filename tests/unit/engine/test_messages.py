"""The messages that the engine pushes, as Celery and kombu build them."""

from __future__ import annotations

import json

from celery import Celery

from pydag_dist.engine.celery.messages import celery_config, template
from pydag_dist.settings import Settings


def test_a_message_names_the_queue_that_it_is_for():
    app = Celery("coordinator", set_as_current=False)
    app.config_from_object(celery_config(Settings()))
    built = json.loads(template(app))
    assert built["properties"]["delivery_info"] == {"exchange": "", "routing_key": "<<queue>>"}
