"""Runs, read: lists of them, one, its DAG, and why it is where it is."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Final

from fastapi import Query, Request
from pydantic import StringConstraints
from pydantic_core import to_json
from starlette.responses import Response

from pydag_dist.dag import limits
from pydag_dist.engine import RunFilter
from pydag_dist.engine.protocol import RunState
from pydag_dist.errors import UnknownRun
from pydag_dist.web import models
from pydag_dist.web.columns import graph
from pydag_dist.web.problems import Refusal
from pydag_dist.web.routing import answer, role, router, site, tagged
from pydag_dist.web.site import place_of
from pydag_dist.web.views import run_item, run_view
from pydag_dist.why import why_run
from pydag_dist.why.past import explain_past

MOST: Final = 500  # runs of a page
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
    found = site(request).listing(limit, wanted)
    following = None
    if len(found.runs) == limit:
        following = _cursor(*place_of(found.runs[-1]))
    elif found.looked_back_to is not None:
        following = _cursor(round(found.looked_back_to * 1e6), "")
    now = time.time()
    return answer({"items": [run_item(run, now) for run in found.runs], "next": following})


@routes.get("/runs/{run_id}", response_model=models.Run, openapi_extra=VIEWER)
def run(request: Request, run_id: Text) -> Response:
    """Get a run: its state, its times, its tasks by state, and what BigQuery billed."""
    return tagged(request, to_json(run_view(site(request), run_id)))


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
