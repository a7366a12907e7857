"""Edits of DAG files' texts, which change nothing else in them, and what would run by a text."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from threading import BoundedSemaphore
from typing import Annotated, Any, Final

from fastapi import Body, Request
from starlette.responses import Response

from pydag_dist.client.arguments import utc
from pydag_dist.dag import Dag
from pydag_dist.dag.editing.changes import Change, inverse
from pydag_dist.dag.editing.comparing import Differences, differences, since
from pydag_dist.dag.editing.edits import edited
from pydag_dist.dag.planning.prices import priced
from pydag_dist.dag.planning.rendering import Unrendered
from pydag_dist.dag.planning.task_spec import RunParams
from pydag_dist.dag.planning.trial import tried
from pydag_dist.engine import RunFilter
from pydag_dist.engine.celery import estimates
from pydag_dist.web.models import editing as models
from pydag_dist.web.problems import Refusal
from pydag_dist.web.routes.dags import versions_of
from pydag_dist.web.routing import EDITOR, answer, router, site
from pydag_dist.web.site import Site

ASKING: Final = BoundedSemaphore(4)  # estimates at a time: each may wait for half a minute

routes = router()


@routes.post("/edit", response_model=models.Edited, openapi_extra=EDITOR)
def edit(body: Annotated[models.Edits, Body()]) -> Response:
    """Edit a DAG file's text: what to replace in it, and what to replace to undo that."""
    changes = edited(body.text, body.edits)
    return answer({"changes": _told(changes), "undo": _told(inverse(body.text, changes))})


def _told(changes: list[Change]) -> list[dict[str, Any]]:
    return [change._asdict() for change in changes]


@routes.post("/compare", response_model=models.Compared, openapi_extra=EDITOR)
def compare(request: Request, body: models.Compare) -> Response:
    """Say what a DAG file's text has otherwise than it had, or than what ran or was published."""
    if sum(each is not None for each in (body.base, body.run_id, body.version)) > 1:
        raise Refusal(422, "give one of base, run_id and version, or none of them")
    run_id, version = body.run_id, body.version
    if body.base is not None:
        return _compared(body.base, differences(body.base, body.text))
    here, dag = site(request), Dag.parse(body.text, source="dag")
    if version is not None:
        texts = {each.number: each.text for each in versions_of(here, dag.dag_id)[0]}
        if version not in texts:
            raise Refusal(404, f"the DAG {dag.dag_id} has no version {version}")
        was = Dag.stored(texts[version], source=dag.dag_id)
    else:
        run_id = run_id or _newest_run(here, dag.dag_id)
        was = here.dag_of(run_id)
    return _compared(*since(body.text, dag, was), run_id, version)


def _newest_run(here: Site, dag_id: str) -> str:
    runs = here.listing(1, RunFilter(dag_id))[0].runs
    if not runs:
        raise Refusal(404, f"the DAG {dag_id} has not run yet")
    return runs[0].run_id


def _compared(
    before: str, found: Differences, run_id: str | None = None, version: int | None = None
) -> Response:
    return answer({"run_id": run_id, "version": version, "before": before, **asdict(found)})


@routes.post("/render", response_model=models.Rendered, openapi_extra=EDITOR)
def render(body: models.Render) -> Response:
    """Render the templates of a task's params, as its first try in a run would."""
    dag = Dag.parse(body.text, source="dag")
    if body.task not in dag.tasks:
        raise Refusal(404, f"the DAG has no task {body.task}")
    run = RunParams(body.params, utc(body.logical_date or datetime.now(UTC), dag.zone))
    try:
        name, made = tried(dag, body.task, run, body.results, body.index)
    except Unrendered as error:
        wrong = {"task": body.task, "detail": str(error)}
        raise Refusal(422, str(error), errors=[wrong]) from None
    return answer({"task": name, "params": made})


@routes.post("/estimate", response_model=models.Estimated, openapi_extra=EDITOR)
def estimate(request: Request, body: models.ToEstimate) -> Response:
    """Ask a worker what the BigQuery tasks of a DAG will read: it dry-runs their queries."""
    if len(body.text) > estimates.BYTES:
        raise Refusal(413, f"a DAG to estimate has at most {estimates.BYTES:,} characters")
    dag = Dag.parse(body.text, source="dag")
    date = utc(body.logical_date or datetime.now(UTC), dag.zone)
    here = site(request)
    if not any(estimates.QUEUE in each.names("queues") for each in here.client.workers()):
        raise Refusal(503, f"no live worker listens to the queue {estimates.QUEUE}: start one")
    if not ASKING.acquire(blocking=False):
        raise Refusal(503, "others are waiting for estimates: try again in a moment")
    try:
        found = estimates.ask(here.engine.store, dag.to_json(), body.params, date)
    finally:
        ASKING.release()
    if found is None:
        raise Refusal(
            503,
            f"no worker has answered within {estimates.SECONDS:.0f} s: all of them are busy",
        )
    if "error" in found:
        raise Refusal(422, str(found["error"]))
    price = here.settings.bigquery_price if body.price is None else body.price
    return answer(priced(found, price))
