"""Live streams: server-sent events of one run, or of the newest runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated, Final

from fastapi import Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from pydag_dist.web.live.hub import Hub, follow
from pydag_dist.web.live.run_topic import LogTopic
from pydag_dist.web.live.topic import Topic
from pydag_dist.web.routing import VIEWER, Text, needs, router

routes = router()

LastEventId = Annotated[str, Header(alias="Last-Event-ID", max_length=200)]
_STREAM: Final = {
    "responses": {200: {"content": {"text/event-stream": {}}, "description": "Frames"}},
    "response_class": StreamingResponse,
    "openapi_extra": VIEWER,
}


@routes.get("/runs/{run_id}/events", **_STREAM)  # type: ignore[arg-type]
async def run_events(
    request: Request,
    run_id: Text,
    log: Annotated[Text, Query(description="the task whose log is told, too; *: all")] = "",
    last_event_id: LastEventId = "",
) -> StreamingResponse:
    """Follow a run: frames `snapshot`, `changes`, `run`, `log`, `reset`, `here`, at last `end`."""
    topic, lines = await run_in_threadpool(_hub(request).run, run_id, log)
    return _streamed(request, topic, lines, last_event_id)


@routes.get("/events", **_STREAM)  # type: ignore[arg-type]
async def events(
    request: Request, dag_id: Text = "", last_event_id: LastEventId = ""
) -> StreamingResponse:
    """Follow the newest runs, all or a DAG's: frames `snapshot`, `changes`, `reset`, `here`."""
    topic = await run_in_threadpool(_hub(request).newest, dag_id)
    return _streamed(request, topic, None, last_event_id)


def _hub(request: Request) -> Hub:
    hub: Hub = request.app.state.hub
    return hub


def _streamed(
    request: Request, topic: Topic, lines: LogTopic | None, last_id: str
) -> StreamingResponse:
    hub, who = _hub(request), needs(request, "viewer").name
    hub.admit(who)
    # Else the end of an answer is the end of its connection, and it has no chunks.
    wire = request.scope.get("wire") if request.scope["http_version"] == "1.1" else None
    frames = follow(topic, lines, last_id, wire, request.scope["asks_again"])
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return _Admitted(partial(hub.leave, who), frames, headers)


class _Admitted(StreamingResponse):
    """A stream that was counted: it is counted off however it ends, even before it has begun."""

    def __init__(
        self, leave: Callable[[], None], frames: AsyncIterator[bytes], headers: dict[str, str]
    ) -> None:
        super().__init__(frames, media_type="text/event-stream", headers=headers)
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()
