"""Runs, read: lists of them, one, its DAG, and why it is where it is."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from typing import Annotated, Any, Final

from fastapi import Header, Query, Request
from pydantic import StringConstraints
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from pydag_dist.dag import limits
from pydag_dist.engine import ENDED_RUN_STATES, RunFilter
from pydag_dist.engine.protocol import RunState
from pydag_dist.errors import UnknownRun
from pydag_dist.web import models
from pydag_dist.web.columns import graph
from pydag_dist.web.problems import Refusal
from pydag_dist.web.routing import answer, role, router, site, tagged
from pydag_dist.web.site import Site, place_of
from pydag_dist.web.views import run_item, run_view
from pydag_dist.why import why_run
from pydag_dist.why.past import explain_past

MOST: Final = 500  # runs of a page
MOST_SECONDS: Final = 60.0  # that a request may wait for a run
LOOK_SECONDS: Final = 0.25
_WAIT: Final = re.compile(r"\bwait=(\d{1,4})\b", re.ASCII)
Text = Annotated[str, StringConstraints(max_length=limits.ID)]
VIEWER: Final = role("viewer")

routes = router()


@routes.get("/runs", response_model=models.RunPage, openapi_extra=VIEWER)
def runs(
    request: Request,
    *,
    dag_id: Text = "",
    state: Annotated[list[RunState], Query()] = [],  # noqa: B006
    since: Annotated[float | None, Query(description="submitted then or later")] = None,
    until: Annotated[float | None, Query(description="submitted before then")] = None,
    q: Annotated[Text, Query(description="in the run's id")] = "",
    limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    cursor: Annotated[str, StringConstraints(max_length=300)] = "",
) -> Response:
    """List the newest runs: those in Redis and older ones of the history."""
    before = _before(cursor)
    wanted = RunFilter(dag_id, state, since, until, text=q, before=before)
    found, missing = site(request).listing(limit, wanted)
    following = None
    if len(found.runs) == limit:
        following = _cursor(*place_of(found.runs[-1]))
    elif found.looked_back_to is not None:
        following = _cursor(round(found.looked_back_to * 1e6), "")
    now = time.time()
    items = [run_item(run, now) for run in found.runs]
    return answer({"items": items, "next": following, "missing": missing})


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


def _cursor(micro: int, run_id: str) -> str:
    return f"{micro}.{run_id}"


def _before(cursor: str) -> tuple[int, str] | None:
    if not cursor:
        return None
    micro, dot, run_id = cursor.partition(".")
    if not (dot and micro.isascii() and micro.isdigit() and len(micro) <= 16):
        raise Refusal(422, "cursor: must be the `next` of a page before")
    return int(micro), run_id
