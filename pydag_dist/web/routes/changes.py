"""What changes runs: submit, cancel, resume."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Header, Request
from starlette.responses import Response

from pydag_dist.client.client import new_run_id
from pydag_dist.client.submitter import acting_for
from pydag_dist.dag import Dag
from pydag_dist.dag.ids import is_id
from pydag_dist.engine import ENDED_RUN_STATES
from pydag_dist.errors import UnknownRun
from pydag_dist.web.models import runs as models
from pydag_dist.web.once import once, repeatable
from pydag_dist.web.problems import Refusal
from pydag_dist.web.routes.dags import published_dag
from pydag_dist.web.routing import OPERATOR, Key, Text, answer, needs, router, site
from pydag_dist.web.site import Site

routes = router()


@routes.put("/runs/{run_id}", response_model=models.Submitted, openapi_extra=OPERATOR,
            responses={201: {"model": models.Submitted}})  # fmt: skip
def put_run(request: Request, run_id: Text, body: models.Submission) -> Response:
    """Submit a run under that id: 201 if it is new, 200 if the same is there, 409 if another is.

    An inline `dag` needs the role editor; `dag_id` is a published DAG's.
    """
    return _submitted(request, run_id, body)


@routes.post("/runs", response_model=models.Submitted, openapi_extra=OPERATOR,
             responses={201: {"model": models.Submitted}})  # fmt: skip
def post_run(
    request: Request,
    body: models.Submission,
    idempotency_key: Annotated[Key, Header()] = "",
) -> Response:
    """Submit a run; with an `Idempotency-Key` the same run each time that it is sent again.

    For a day 422 if another request of the same user or token had that key.
    """
    who = needs(request, "operator").name
    dag_id = body.dag_id or str((body.dag or {}).get("dag_id", "run"))
    if idempotency_key:
        run_id = f"{dag_id[:80]}-{repeatable(who, idempotency_key)[:24]}"
    else:
        run_id = new_run_id(dag_id)
    store, path = site(request).engine.store, request.url.path
    with once(store, who, idempotency_key, path, body.model_dump()):
        return _submitted(request, run_id, body)


@routes.post("/runs/{run_id}/cancel", status_code=202, response_model=models.RunNow,
             openapi_extra=OPERATOR, responses={200: {"model": models.RunNow}})  # fmt: skip
def cancel(request: Request, run_id: Text) -> Response:
    """Stop a run: 202 while the last of its tasks is being stopped, 200 if it has ended."""
    here, who = site(request), needs(request, "operator").name
    with acting_for(who):
        try:
            state = here.client.by_id(run_id).cancel()
        except UnknownRun:
            state = _ended(here, run_id)
    ended = state in ENDED_RUN_STATES
    return answer({"run_id": run_id, "state": state}, 200 if ended else 202)


@routes.post("/runs/{run_id}/resume", status_code=202, response_model=models.RunNow,
             openapi_extra=OPERATOR, responses={200: {"model": models.Resumption}})  # fmt: skip
def resume(
    request: Request,
    run_id: Text,
    body: Annotated[models.Resume | None, Body()] = None,
) -> Response:
    """Go on with an ended run, from a task if one is named; with another DAG: editors only.

    With `dry_run` nothing is changed: 200, and what would run.
    """
    here, who = site(request), needs(request, "operator").name
    wanted = body or models.Resume()
    dag = None
    if wanted.dag is not None:
        needs(request, "editor")
        dag = Dag.parse(wanted.dag, source="dag")
    run = here.client.by_id(run_id)
    with acting_for(who):
        try:
            if wanted.dry_run:
                return answer(vars(run.resumption(wanted.from_task, dag)))
            run.resume(wanted.from_task, dag)
            state = run.state
        except UnknownRun:
            _ended(here, run_id)
            raise Refusal(
                409,
                f"run {run_id} is in the history only: Redis has forgotten it, so it can't go on",
            ) from None
    return answer({"run_id": run_id, "state": state}, 202)


@routes.post("/runs/{run_id}/tasks/{task}/mark", response_model=models.RunNow,
             openapi_extra=OPERATOR)  # fmt: skip
def mark(request: Request, run_id: Text, task: Text, body: models.Mark) -> Response:
    """Say how a task ended whose work somebody did by hand."""
    run = site(request).client.by_id(run_id)
    with acting_for(needs(request, "operator").name):
        run.mark(task, body.state, body.result)
    return answer({"run_id": run_id, "state": run.state})


def _submitted(request: Request, run_id: str, body: models.Submission) -> Response:
    here, principal = site(request), needs(request, "operator")
    if not is_id(run_id):
        raise Refusal(422, f"{run_id!r} is no id of a run: letters, digits, _, - and . are")
    if (body.dag is None) == (body.dag_id is None):
        raise Refusal(422, "give either dag, a DAG, or dag_id, that of a published DAG")
    if body.from_task and body.dag is None:
        raise Refusal(422, "from_task goes with dag: a published DAG runs as a whole")
    dag = None
    if body.dag is not None:
        needs(request, "editor")
        dag = Dag.parse(body.dag, source="dag")
        dag_id = dag.dag_id
    else:
        dag_id = str(body.dag_id)
    with acting_for(principal.name):
        about: dict[str, Any] = {"logical_date": body.logical_date, "run_id": run_id}
        if dag is None:
            published_dag(here, dag_id)
            made = here.client.start(dag_id, body.params, **about)
        else:
            made = here.client.submit(dag, body.params, **about, from_task=body.from_task)
    place = f"{here.web.prefix}/api/v1/runs/{run_id}"
    told = {"run_id": run_id, "dag_id": dag_id, "is_new": made.is_new}
    return answer(told, 201 if made.is_new else 200, Location=place)


def _ended(here: Site, run_id: str) -> str:
    """The state of a run that only the history has."""
    row = here.history.head(run_id) if here.history else None
    if row is None:
        raise UnknownRun(f"there is no run {run_id}")
    return str(row.state)
