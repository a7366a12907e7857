"""What changes published DAGs and backfills."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import Body, Header, Query, Request
from pydantic import StringConstraints
from starlette.responses import Response

from pydag_dist.client.backfills import with_past
from pydag_dist.client.submitter import acting_for
from pydag_dist.dag import Dag
from pydag_dist.engine.backfills.backfill import Backfill
from pydag_dist.engine.publications import check_scheduled
from pydag_dist.engine.published import PublishedDag
from pydag_dist.errors import EngineError
from pydag_dist.web.models import backfills as backfill_models
from pydag_dist.web.models import dags as dag_models
from pydag_dist.web.once import once, repeatable
from pydag_dist.web.problems import Refusal
from pydag_dist.web.routes.dags import etag_of, owned, published_dag
from pydag_dist.web.routing import EDITOR, OPERATOR, VIEWER, Key, Text, answer, needs, router, site
from pydag_dist.web.site import Site

IfMatch = Annotated[str, Header(alias="If-Match", max_length=200)]

Day = Annotated[str, StringConstraints(max_length=64)]

routes = router()


@routes.put("/dags/{dag_id}", response_model=dag_models.Published, openapi_extra=EDITOR,
            responses={201: {"model": dag_models.Published}})  # fmt: skip
def publish(
    request: Request,
    dag_id: Text,
    body: Annotated[dict[str, Any], Body(description="the DAG, as in a file")],
    if_match: IfMatch = "",
) -> Response:
    """Publish a DAG: 201 if that is a new version, 200 if it is the newest one already."""
    here, who = site(request), needs(request, "editor").name
    dag = Dag.parse(body, source="dag")
    if dag.dag_id != dag_id:
        raise Refusal(422, f"the DAG's dag_id is {dag.dag_id}, and the address says {dag_id}")
    check_scheduled(dag)
    before = here.engine.publishing.dag(dag_id)
    _check_match(if_match, before if before.is_published else None)
    with acting_for(who):
        done = here.client.published.publish(dag)
    told = {"dag_id": dag_id, "version": done.version, "is_new": done.is_new}
    told["due"] = done.due.timestamp() if done.due else None
    return answer(told, 201 if done.is_new else 200)


@routes.patch("/dags/{dag_id}", response_model=dag_models.ChangedDag, openapi_extra=OPERATOR)
def pause(
    request: Request, dag_id: Text, body: dag_models.Pause, if_match: IfMatch = ""
) -> Response:
    """Pause a DAG's schedule, or let it go on."""
    here, who = site(request), needs(request, "operator").name
    _check_match(if_match, published_dag(here, dag_id))
    change = here.client.pause if body.paused else here.client.unpause
    with acting_for(who):
        changed = change(dag_id)
    found = published_dag(here, dag_id)
    return answer({**owned(here, [found])[0], "changed": changed}, ETag=f'"{etag_of(found)}"')


@routes.delete("/dags/{dag_id}", status_code=204, openapi_extra=EDITOR)
def unpublish(request: Request, dag_id: Text, if_match: IfMatch = "") -> Response:
    """Take a DAG's name back: it is never due again, and its runs go on."""
    here, who = site(request), needs(request, "editor").name
    _check_match(if_match, published_dag(here, dag_id))
    with acting_for(who):
        here.client.unpublish(dag_id)
    return Response(None, 204)


@routes.post("/dags/{dag_id}/backfills", status_code=201, response_model=backfill_models.Backfill,
             openapi_extra=OPERATOR)  # fmt: skip
def begin(
    request: Request,
    dag_id: Text,
    body: backfill_models.NewBackfill,
    idempotency_key: Annotated[Key, Header()] = "",
) -> Response:
    """Begin to run a published DAG for each of its due times of a span.

    With an `Idempotency-Key` the same backfill each time that it is sent again; for a day 422 if
    another request of the same user or token had that key.
    """
    here, who = site(request), needs(request, "operator").name
    published_dag(here, dag_id)
    keyed = once(here.engine.store, who, idempotency_key, request.url.path, body.model_dump())
    with keyed, acting_for(who):
        begun, _ = here.client.all_backfills.begin(
            dag_id,
            body.first,
            body.last,
            max_active=body.max_active,
            newest_first=body.newest_first,
            again=body.again,
            weight=body.weight,
            number=repeatable(who, idempotency_key)[:12] if idempotency_key else "",
        )
    made = here.client.all_backfills.get(begun)
    place = f"{here.web.prefix}/api/v1/backfills/{made.backfill_id}"
    return answer(_told(made), 201, Location=place)


@routes.get("/dags/{dag_id}/backfills/preview", response_model=backfill_models.BackfillPreview,
            openapi_extra=VIEWER)  # fmt: skip
def preview(
    request: Request, dag_id: Text, first: Day, last: Day, *, runs: bool = False
) -> Response:
    """Say which due times a backfill of that span would have; nothing is begun.

    With `runs=true` also which runs the history has of them.
    """
    here = site(request)
    published_dag(here, dag_id)
    found = here.client.all_backfills.span(dag_id, first, last)
    later = found.left_to_schedule
    told = {"total": len(found.due), "left_to_schedule": later and later.timestamp()}
    ends = {"first": found.due[0].timestamp(), "last": found.due[-1].timestamp()}
    known: dict[str, dict[str, str]] | None = None
    missing = None
    if runs:
        dates = [at.isoformat() for at in found.due]
        known, missing = here.past(lambda history: history.states_at(dag_id, dates), known)
    return answer({**told, **ends, "runs": known, "missing": missing})


@routes.get("/backfills", response_model=backfill_models.Backfills, openapi_extra=VIEWER)
def backfills(
    request: Request, dag_id: Annotated[Text, Query(description="of this DAG")] = ""
) -> Response:
    """List the backfills, the newest first: those of Redis, then those that ended before."""
    here = site(request)
    found = [one for one in here.client.backfills() if dag_id in {"", one.dag_id}]
    nothing: list[Backfill] = []
    past, missing = here.past(lambda history: history.ended_backfills(dag_id), nothing)
    items = [_told(one) for one in with_past(found, past)]
    return answer({"items": items, "missing": missing})


@routes.get(
    "/backfills/{backfill_id}", response_model=backfill_models.Backfill, openapi_extra=VIEWER
)
def backfill(request: Request, backfill_id: Text) -> Response:
    """Get a backfill, also one of those that ended last which Redis has no longer."""
    here = site(request)
    try:
        return answer(_told(_backfill(here, backfill_id)))
    except Refusal:
        nothing: list[Backfill] = []
        past, _ = here.past(lambda history: history.ended_backfills(), nothing)
        for one in past:
            if one.backfill_id == backfill_id:
                return answer(_told(one))
        raise


@routes.patch("/backfills/{backfill_id}", response_model=backfill_models.ChangedBackfill,
              openapi_extra=OPERATOR)  # fmt: skip
def pause_backfill(request: Request, backfill_id: Text, body: dag_models.Pause) -> Response:
    """Let a backfill make no more runs for now, or go on."""
    here, who = site(request), needs(request, "operator").name
    _backfill(here, backfill_id)
    change = here.client.pause_backfill if body.paused else here.client.unpause_backfill
    with acting_for(who):
        changed = change(backfill_id)
    return answer({**_told(_backfill(here, backfill_id)), "changed": changed})


@routes.delete("/backfills/{backfill_id}", status_code=202, response_model=backfill_models.Backfill,
               openapi_extra=OPERATOR)  # fmt: skip
def cancel_backfill(request: Request, backfill_id: Text) -> Response:
    """Let a backfill make no more runs, and cancel those that go on."""
    here, who = site(request), needs(request, "operator").name
    _backfill(here, backfill_id)
    with acting_for(who):
        here.client.cancel_backfill(backfill_id)
    return answer(_told(_backfill(here, backfill_id)), 202)


def _backfill(here: Site, backfill_id: str) -> Backfill:
    try:
        found = here.client.all_backfills.get(backfill_id)
    except EngineError as error:
        raise Refusal(404, str(error)) from None
    if found.backfill_id != backfill_id:  # by the beginning of its id
        raise Refusal(404, f"there is no backfill {backfill_id}")
    return found


def _told(backfill: Backfill) -> dict[str, Any]:
    return {
        name: value.timestamp() if isinstance(value, datetime) else value
        for name, value in asdict(backfill).items()
    }


def _check_match(if_match: str, found: PublishedDag | None) -> None:
    """Refuse to change what has changed since it was looked at."""
    if not if_match:
        return
    tags = [tag.strip() for tag in if_match.split(",")]
    if found is None or not ("*" in tags or f'"{etag_of(found)}"' in tags):
        raise Refusal(412, "the DAG has changed since you looked at it: look again")
