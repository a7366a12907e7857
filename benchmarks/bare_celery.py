"""The Celery app to compare with. It is written as Celery's documentation shows, for Redis.

Results are ignored, except those of a chord's header, which the chord needs.
"""

from __future__ import annotations

import os

import redis
from celery import Celery


def noop() -> None:
    """Do nothing."""


def make_app(url: str) -> Celery:
    """An app on that Redis; the worker's is `app`."""
    app = Celery("bare", broker=url, backend=url)
    app.conf.update(broker_connection_retry_on_startup=True, result_expires=3600)
    app.task(name="bare.noop", ignore_result=True, shared=False)(noop)
    app.task(name="bare.part", shared=False)(noop)

    @app.task(name="bare.mark", ignore_result=True, shared=False)
    def mark(key: str) -> None:
        """Note the time by Redis's clock."""
        with redis.Redis.from_url(url) as client:
            seconds, microseconds = client.time()
            client.rpush(key, seconds + microseconds / 1e6)

    app.finalize()
    return app


app = make_app(os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/0"))
