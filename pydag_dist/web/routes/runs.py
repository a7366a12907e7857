"""Runs, read: lists of them, one, its DAG, and why it is where it is."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from typing import Annotated, Any, Final

from fastapi import Header, Query, Request
from pydantic import Field, StringConstraints
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from pydag_dist.dag.text import patterns
from pydag_dist.engine import ENDED_RUN_STATES, RunFilter
from pydag_dist.engine.protocol import RunState, RunType
from pydag_dist.errors import UnknownRun
from pydag_dist.web.columns import graph
from pydag_dist.web.models import runs as models
from pydag_dist.web.problems import Refusal
from pydag_dist.web.routing import VIEWER, Text, answer, router, site, tagged
from pydag_dist.web.site import Site, place_of
from pydag_dist.web.views import run_item, run_view, task_item
from pydag_dist.why import why_run
from pydag_dist.why.past import explain_past

MOST: Final = 500  # runs of a page
COST_SECONDS: Final = 0.05  # that a list may count costs for
MOST_SECONDS: Final = 60.0  # that a request may wait for a run
LOOK_SECONDS: Final = 0.25
_WAIT: Final = re.compile(r"\bwait=(\d{1,4})\b", re.ASCII)
Param = Annotated[str, StringConstraints(max_length=1_000)]
TAGS: Final = 20  # and params, that runs are looked for by
Moment = Annotated[float, Field(allow_inf_nan=False)]

routes = router()


@routes.get("/runs", response_model=models.RunPage, openapi_extra=VIEWER)
def runs(
    request: Request,
    *,
    dag_id: Text = "",
    state: Annotated[list[RunState], Query()] = [],  # noqa: B006
    since: Annotated[Moment | None, Query(description="submitted then or later")] = None,
    until: Annotated[Moment | None, Query(description="submitted before then")] = None,
    q: Annotated[Text, Query(description="in the run's id")] = "",
    tag: Annotated[list[Text], Query(max_length=TAGS)] = [],  # noqa: B006
    param: Annotated[list[Param], Query(max_length=TAGS, description="NAME=JSON")] = [],  # noqa: B006
    logical_date: Annotated[
        str, Query(description="FIRST/LAST in UTC, as ISO 8601 begins", max_length=100)
    ] = "",
    backfill: Text = "",
    run_type: Annotated[list[RunType], Query()] = [],  # noqa: B006
    version: Annotated[int | None, Query(ge=1, description="of the DAG")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    cursor: Annotated[str, StringConstraints(max_length=300)] = "",
) -> Response:
    """List the newest runs: those in Redis and older ones of the history."""
    wanted = RunFilter(
        dag_id,
        state,
        since,
        until,
        tag,
        _params(param),
        _span(logical_date),
        backfill,
        q,
        _before(cursor),
        run_type,
        str(version or ""),
    )
    found, missing = site(request).listing(limit, wanted)
    following = None
    if len(found.runs) == limit:
        following = _cursor(*place_of(found.runs[-1]))
    elif found.looked_back_to is not None:
        following = _cursor(round(found.looked_back_to * 1e6), "")
    now = time.time()
    until = time.monotonic() + COST_SECONDS
    items = [run_item(site(request), run, now, until) for run in found.runs]
    return answer({"items": items, "next": following, "missing": missing})


@routes.get("/names", response_model=models.Names, openapi_extra=VIEWER)
def names(
    request: Request, prefix: Text, limit: Annotated[int, Query(ge=1, le=100)] = 10
) -> Response:
    """List runs whose ids begin so: those of Redis, or else of the history; a whole id first."""
    here = site(request)
    live = here.engine.runs.with_prefix(prefix, limit)
    if prefix in live:
        return answer({"items": live})
    nothing: list[str] = []
    past, _ = here.past(lambda history: history.with_prefix(prefix, limit), nothing)
    return answer({"items": past if prefix in past or not live else live})


@routes.get("/runs/{run_id}/status", response_model=models.RunStatus, openapi_extra=VIEWER)
def status(request: Request, run_id: Text) -> Response:
    """Get a run and all of its tasks at one moment, as `pydag status --json` prints them."""
    found = site(request).snapshot(run_id)
    told = vars(found) | {
        "tasks": {name: task_item(task) for name, task in found.tasks.items()},
        "took": found.took(time.time()),
        "counts": found.counts,
        "bytes_billed": found.bytes_billed,
        "acts": [vars(act) for act in found.acts],
    }
    return answer(told)


@routes.get("/runs/{run_id}/changes", response_model=models.RunEvents, openapi_extra=VIEWER)
async def changes(
    request: Request,
    run_id: Text,
    after: Annotated[str, Query(pattern=patterns.EVENT)] = "0",
    prefer: Annotated[str, Header(max_length=100)] = "",
) -> Response:
    """List what has happened after an event; with `Prefer: wait=5` wait so long for something.

    Of a long run only the newest thousands of events are kept, and none when Redis forgets it.
    """
    reading, wait = site(request).engine.reading, _WAIT.search(prefer)
    deadline = time.monotonic() + (min(float(wait[1]), MOST_SECONDS) if wait else 0)
    while not (found := await run_in_threadpool(reading.events, run_id, after)):
        if time.monotonic() >= deadline or await request.is_disconnected():
            break
        await asyncio.sleep(LOOK_SECONDS)
    return answer({"items": [vars(event) for event in found]})


@routes.get("/runs/{run_id}", response_model=models.Run, openapi_extra=VIEWER)
async def run(
    request: Request,
    run_id: Text,
    prefer: Annotated[str, Header(max_length=100)] = "",
    if_none_match: Annotated[str, Header(max_length=200)] = "",
) -> Response:
    """Get a run: its state, its times, its tasks by state, and what BigQuery billed.

    With `Prefer: wait=30` as soon as it has ended, or after so many seconds; with `If-None-Match`,
    too, as soon as it has changed.
    """
    here = site(request)
    found = await run_in_threadpool(run_view, here, run_id)
    wait = _WAIT.search(prefer)
    is_known = not if_none_match or _tag(found) in if_none_match
    if wait and is_known and found["state"] not in ENDED_RUN_STATES:
        seconds = min(float(wait[1]), MOST_SECONDS)
        await _until_changed(here, run_id, seconds, until_ended=not if_none_match)
        found = await run_in_threadpool(run_view, here, run_id)
    return tagged(request, to_json(found), _tag(found))


def _tag(found: Mapping[str, Any]) -> str:
    """What changes with the run; not what time changes by itself."""
    kept = {name: value for name, value in found.items() if name != "took"}
    return sha256(to_json(kept)).hexdigest()[:32]


async def _until_changed(here: Site, run_id: str, seconds: float, *, until_ended: bool) -> None:
    """Return when the run has changed, or has ended, or after that time."""
    deadline = time.monotonic() + seconds
    before = None
    while time.monotonic() < deadline:
        head, _ = await run_in_threadpool(here.engine.watching.some_rows, run_id, ())
        now = head.get("state"), head.get("left"), head.get("rounds")
        before = before or now
        if now[0] in {None, *ENDED_RUN_STATES} or (now != before and not until_ended):
            return
        await asyncio.sleep(LOOK_SECONDS)


@routes.get("/runs/{run_id}/dag", openapi_extra=VIEWER)
def run_dag(request: Request, run_id: Text) -> Response:
    """Get the DAG of a run as it was submitted, or resumed with."""
    return tagged(request, site(request).dag_text(run_id).encode())


@routes.get("/runs/{run_id}/graph", response_model=models.Graph, openapi_extra=VIEWER)
def run_graph(request: Request, run_id: Text) -> Response:
    """Get what is drawn of a run's DAG."""
    here = site(request)
    hash_ = here.dag_hash(run_id)
    made = here.graphs.get(hash_)
    if made is None:
        made = to_json(graph(here.dag_of(run_id), hash_))
        here.graphs.put(hash_, len(made), made)
    return tagged(request, made, hash_)


@routes.get("/runs/{run_id}/why", response_model=models.Why, openapi_extra=VIEWER)
def run_why(request: Request, run_id: Text) -> Response:
    """Say what keeps a run from its success: the most important first."""
    here = site(request)
    try:
        reasons = why_run(here.engine.reading, run_id, dag_of=here.dag_of)
    except UnknownRun:
        if (history := here.history) is None or (past := history.snapshot(run_id)) is None:
            raise
        reasons = explain_past(history, past, None)
    return answer({"reasons": [asdict(reason) for reason in reasons]})


def _params(given: list[str]) -> dict[str, Any]:
    found = {}
    for each in given:
        name, equals, text = each.partition("=")
        try:
            found[name] = json.loads(text)
        except ValueError:
            equals = ""
        if not equals:
            raise Refusal(422, 'param: must be NAME=JSON, such as country="pe"')
    return found


def _span(text: str) -> tuple[str, str] | None:
    first, slash, last = text.partition("/")
    if text and not slash:
        raise Refusal(422, "logical_date: must be FIRST/LAST, such as 2026-01-01/2026-01-31")
    return (first, last) if text else None


def _cursor(micro: int, run_id: str) -> str:
    return f"{micro}.{run_id}"


def _before(cursor: str) -> tuple[int, str] | None:
    if not cursor:
        return None
    micro, dot, run_id = cursor.partition(".")
    if not (dot and micro.isascii() and micro.isdigit() and len(micro) <= 16):
        raise Refusal(422, "cursor: must be the `next` of a page before")
    return int(micro), run_id
