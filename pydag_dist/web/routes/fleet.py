"""Who is there to run tasks: workers, coordinators, queues."""

from __future__ import annotations

import redis
from fastapi import Request
from starlette.responses import Response

from pydag_dist.web.models import fleet as models
from pydag_dist.web.problems import RETRY_AFTER
from pydag_dist.web.routing import ANYBODY, VIEWER, answer, router, site

routes = router()
health_route = router("")


@health_route.get("/health", response_model=models.Health, openapi_extra=ANYBODY)
def health(request: Request) -> Response:
    """Say whether Redis answers; 503 if it doesn't."""
    here = site(request)
    try:
        here.engine.store.redis.ping()
    except redis.RedisError:
        return answer({"redis": False, "history": False}, 503, Retry_After=RETRY_AFTER)
    return answer({"redis": True, "history": here.past(lambda _: True, otherwise=False)[0]})


@routes.get("/workers", response_model=models.Workers, openapi_extra=VIEWER)
def workers(request: Request) -> Response:
    """List the live workers and coordinators."""
    client = site(request).client
    running = client.running()
    members = [{**vars(m), "running": running.get(m.name, [])} for m in client.workers()]
    return answer({"workers": members, "coordinators": [vars(m) for m in client.coordinators()]})


@routes.get("/queues", response_model=models.Queues, openapi_extra=VIEWER)
def queues(request: Request) -> Response:
    """List the queues: their slots, their messages, and the runs that wait for them."""
    reading = site(request).engine.reading
    return answer({"items": [vars(queue) for queue in reading.queues()]})
