"""Published DAGs, read: which there are, their versions, how long their tasks take."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from hashlib import sha256
from itertools import pairwise
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic_core import to_json
from starlette.responses import Response

from pydag_dist.client.difference import difference
from pydag_dist.client.published import schedule_text
from pydag_dist.engine.published import PublishedDag, Version
from pydag_dist.errors import EngineError
from pydag_dist.history.published import DagChange, PastDag, all_versions
from pydag_dist.web.models import dags as models
from pydag_dist.web.problems import Refusal
from pydag_dist.web.routes.checking import next_due
from pydag_dist.web.routing import VIEWER, Text, answer, router, site, tagged
from pydag_dist.web.site import Site

routes = router()


@routes.get("/dags", response_model=models.Dags, openapi_extra=VIEWER)
def dags(request: Request) -> Response:
    """List the published DAGs."""
    here = site(request)
    items = owned(here, here.client.published.all())
    return answer({"items": items, "problems": here.client.published.problems()})


@routes.get("/dags/{dag_id}", response_model=models.DescribedDag, openapi_extra=VIEWER)
def dag(request: Request, dag_id: Text) -> Response:
    """Get a published DAG."""
    here = site(request)
    found = published_dag(here, dag_id)
    newest = json.loads(here.engine.publishing.text(dag_id) or "{}")
    said = {name: newest.get(name, "") for name in ("owner", "description")}
    told = {**_as_json(found), **said, "tags": newest.get("tags", [])}
    return tagged(request, to_json(told), etag_of(found))


@routes.get("/dags/{dag_id}/dag", openapi_extra=VIEWER)
def dag_text(request: Request, dag_id: Text) -> Response:
    """Get the newest version of a published DAG, as JSON."""
    found = published_dag(site(request), dag_id)
    text = site(request).engine.publishing.text(dag_id) or ""
    return tagged(request, text.encode(), found.hash)


@routes.get("/dags/{dag_id}/versions", response_model=models.DagVersions, openapi_extra=VIEWER)
def versions(request: Request, dag_id: Text, *, text: bool = False) -> Response:
    """List the versions of a DAG, the newest first, and what each has changed.

    With `text=true` also the DAGs themselves, as JSON.
    """
    found, missing = versions_of(site(request), dag_id)
    changed = [difference(before.text, new.text) for new, before in pairwise(found)]
    items = [
        {
            "number": v.number,
            "at": _epoch(v.at),
            "by": v.by,
            "hash": v.hash,
            "difference": lines,
            "text": v.text if text else None,
        }
        for v, lines in zip(found, [*changed, []], strict=True)
    ]
    return answer({"items": items, "missing": missing})


@routes.get("/dags/{dag_id}/changes", response_model=models.DagChanges, openapi_extra=VIEWER)
def changes(
    request: Request, dag_id: Text, limit: Annotated[int, Query(ge=1, le=1000)] = 50
) -> Response:
    """List who published, paused and unpublished a DAG, and what it missed, the newest first.

    All of it is of the history, which has it within seconds.
    """
    nothing: list[DagChange] = []
    past, missing = site(request).past(lambda history: history.dag_changes(dag_id, limit), nothing)
    return answer({"items": [vars(change) for change in past], "missing": missing})


@routes.get("/dags/{dag_id}/durations", response_model=models.Durations, openapi_extra=VIEWER)
def durations(
    request: Request, dag_id: Text, runs: Annotated[int, Query(ge=1, le=100)] = 10
) -> Response:
    """Say how long each task usually takes: the median of the newest runs of the DAG."""
    history = site(request).history
    return answer({"durations": history.durations(dag_id, runs) if history else {}})


@routes.get("/dags/{dag_id}/schedule/preview", response_model=models.Preview, openapi_extra=VIEWER)
def preview(
    request: Request, dag_id: Text, limit: Annotated[int, Query(ge=1, le=1000)] = 10
) -> Response:
    """Say when a DAG is due next, whether it is paused or not."""
    published_dag(site(request), dag_id)
    newest = site(request).client.published.newest(dag_id)
    return answer({"zone": str(newest.zone), "due": next_due(newest, limit)})


def published_dag(here: Site, dag_id: str) -> PublishedDag:
    """The DAG, if it is published."""
    try:
        return here.client.published.dag(dag_id)
    except EngineError as error:
        raise Refusal(404, str(error)) from None


def etag_of(dag: PublishedDag) -> str:
    """What changes whenever the DAG, or what is known of it, does."""
    return f"{dag.version}-{sha256(to_json(_as_json(dag))).hexdigest()[:16]}"


def owned(here: Site, dags: Sequence[PublishedDag]) -> list[dict[str, Any]]:
    """Published DAGs: see `models.dags`. The text of each version is read once for its owner."""
    owners = {dag.dag_id: here.owners.get(dag.hash) for dag in dags}
    new = [dag for dag in dags if owners[dag.dag_id] is None]
    owners |= here.client.published.owners(new)
    for dag in new:
        owner = owners[dag.dag_id] or ""
        here.owners.put(dag.hash, len(dag.hash) + len(owner), owner)
    return [{**_as_json(dag), "owner": owners[dag.dag_id]} for dag in dags]


def _as_json(dag: PublishedDag) -> dict[str, Any]:
    told = {n: _epoch(v) if isinstance(v, datetime) else v for n, v in asdict(dag).items()}
    return {**told, "schedule_text": schedule_text(dag)}


def versions_of(here: Site, dag_id: str) -> tuple[list[Version], str | None]:
    """The newest first, and why older ones are missing, if they are."""
    published_dag(here, dag_id)
    nothing: list[PastDag] = []
    past, missing = here.past(lambda history: history.published(dag_id), nothing)
    return all_versions(here.client.published.kept_versions(dag_id), past), missing


def _epoch(at: datetime | None) -> float | None:
    return at.timestamp() if at else None
