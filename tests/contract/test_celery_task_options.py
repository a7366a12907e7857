"""What is decided by the task itself, whatever an app's settings say."""

from __future__ import annotations

import pytest
from celery import Celery

LATE = {"task_acks_late": True, "task_reject_on_worker_lost": True}


def nothing() -> None:
    pass


@pytest.fixture
def app():
    with Celery(broker="memory://", set_as_current=False) as app:
        app.conf.update(LATE)
        yield app


def test_a_task_without_options_of_its_own_follows_the_app_s_settings(app):
    task = app.task(name="plain")(nothing)
    assert (task.acks_late, task.reject_on_worker_lost) == (True, True)


def test_options_on_the_task_itself_beat_the_app_s_settings(app):
    task = app.task(name="own", acks_late=False, reject_on_worker_lost=False)(nothing)
    assert (task.acks_late, task.reject_on_worker_lost) == (False, False)


def test_a_lost_worker_s_task_is_not_retried_unless_it_says_so(app):
    assert app.task(name="plain")(nothing).retry_on_worker_lost in (None, False)
