"""Tasks of a run, read: all as columns or objects, one, its tries, its log, and why."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Annotated, Any, Final, Literal

from fastapi import Query, Request
from pydantic_core import to_json
from starlette.responses import Response, StreamingResponse

from pydag_dist.client.logs import LogFilter, LogLine, LogReader
from pydag_dist.engine import TaskSnapshot
from pydag_dist.engine.protocol import LogLevel, TaskState
from pydag_dist.errors import EngineError, UnknownRun
from pydag_dist.history import Row
from pydag_dist.web.columns import columns
from pydag_dist.web.models import runs as run_models
from pydag_dist.web.models import tasks as task_models
from pydag_dist.web.problems import Refusal
from pydag_dist.web.routes.runs import Moment
from pydag_dist.web.routing import VIEWER, Text, answer, router, site
from pydag_dist.web.task_params import params_of
from pydag_dist.web.views import task_item
from pydag_dist.why import why_task
from pydag_dist.why.past import explain_past

MOST: Final = 1_000  # tasks of a page
MOST_LINES: Final = 10_000

routes = router("/api/v1/runs/{run_id}")


@routes.get(
    "/tasks", response_model=task_models.TaskColumns | task_models.TaskPage, openapi_extra=VIEWER
)
def tasks(
    request: Request,
    run_id: Text,
    *,
    state: Annotated[list[TaskState], Query()] = [],  # noqa: B006
    q: Annotated[Text, Query(description="in the task's id")] = "",
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
    cursor: Text = "",
    as_: Annotated[Literal["columns", "objects"], Query(alias="as")] = "objects",
) -> Response:
    """List tasks by their ids, a page at a time; `as=columns`: all of them at once."""
    here = site(request)

    def fits(name: str, its_state: str) -> bool:
        return (not state or its_state in state) and q.lower() in name.lower()

    if as_ == "columns":
        rows = here.rows(run_id)
        if state or q:
            rows = {name: row for name, row in rows.items() if fits(name, row.state)}
        return answer({"run_id": run_id, **columns(rows)})
    found = here.snapshot(run_id).tasks
    names = sorted(n for n, task in found.items() if n > cursor and fits(n, task.state))
    following = names[limit - 1] if len(names) > limit else None
    items = [_item(name, found[name]) for name in names[:limit]]
    return answer({"items": items, "next": following})


@routes.get("/tasks/{task}", response_model=task_models.Task, openapi_extra=VIEWER)
def task(request: Request, run_id: Text, task: Text) -> Response:
    """Get a task: its state, its result or its error."""
    found = site(request).task(run_id, task)
    if found is None:
        raise _no_task(run_id, task)
    return answer(_item(task, found))


@routes.get("/tasks/{task}/params", response_model=task_models.TaskParams, openapi_extra=VIEWER)
def params(request: Request, run_id: Text, task: Text) -> Response:
    """Get a task's params, as its DAG has them and with values in the place of templates."""
    found = params_of(site(request), run_id, task)
    if found is None:
        raise _no_task(run_id, task)
    return answer(found)


@routes.get("/costs", response_model=task_models.Costs, openapi_extra=VIEWER)
def costs(request: Request, run_id: Text) -> Response:
    """Say what BigQuery billed for each task of a run."""
    found = site(request).snapshot(run_id).tasks
    billed = {name: task.bytes_billed for name, task in found.items() if task.bytes_billed}
    return answer({"bytes_billed": billed})


@routes.get("/tasks/{task}/tries", response_model=task_models.Tries, openapi_extra=VIEWER)
def tries(request: Request, run_id: Text, task: Text) -> Response:
    """List the tries of a task: those that have ended, of the history, and the newest."""
    here = site(request)
    newest = here.task(run_id, task)
    if newest is None:
        raise _no_task(run_id, task)
    names = list(task_models.Try.model_fields)
    nothing: list[Row] = []
    past, missing = here.past(lambda history: history.tries(run_id, task), nothing)
    found = {one.try_number: {name: getattr(one, name) for name in names} for one in past}
    number = newest.try_number
    if number not in found or found[number]["state"] != newest.state:
        found[number] = {name: getattr(newest, name, None) for name in names}
    return answer({"items": [found[number] for number in sorted(found)], "missing": missing})


@routes.get("/tasks/{task}/why", response_model=run_models.Why, openapi_extra=VIEWER)
def why(request: Request, run_id: Text, task: Text) -> Response:
    """Say why a task is not running, or where it runs, or how it ended."""
    here = site(request)
    try:
        dag = here.dag_of(run_id)
        sentence = why_task(here.engine.reading, run_id, task, dag)
        row = here.engine.watching.row(run_id, task)
        reasons = [{"state": row.state if row else "none", "why": sentence, "task": task}]
    except UnknownRun:
        if (history := here.history) is None or (past := history.snapshot(run_id)) is None:
            raise
        if task not in past.tasks:
            raise _no_task(run_id, task) from None
        reasons = [vars(reason) for reason in explain_past(history, past, task)]
    except EngineError as error:
        raise Refusal(404, str(error)) from None
    return answer({"reasons": reasons})


@routes.get("/logs", response_model=task_models.Logs, openapi_extra=VIEWER)
def logs(
    request: Request,
    run_id: Text,
    *,
    task: Text = "",
    try_: Annotated[int | None, Query(alias="try", ge=1)] = None,
    level: Annotated[LogLevel, Query(description="this one and those above it")] = "DEBUG",
    since: Annotated[Moment | None, Query(description="written then or later")] = None,
    q: Annotated[Text, Query(description="in the line, whatever its case")] = "",
    after: Annotated[int, Query(ge=0, description="the `next` of an earlier answer")] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_LINES)] = 1_000,
    last: Annotated[bool, Query(description="the last ones, in place of the first")] = False,
    as_: Annotated[Literal["json", "text", "ndjson"], Query(alias="as")] = "json",
) -> Response:
    """Get what a run's tasks wrote, by time: all of them, or one and its children.

    What Redis has no longer comes from the log store. `as=ndjson` has all lines, each as JSON,
    whatever `limit` and `after` say.
    """
    here = site(request)
    found = here.snapshot(run_id)
    if task and task not in found.tasks:
        raise _no_task(run_id, task)
    store = here.engine.store
    reader = LogReader(store.redis, store.prefix, run_id, task or None, here.log_store)
    wanted = LogFilter(since, level, q)

    def fits(line: LogLine) -> bool:
        return (try_ is None or line.try_number == try_) and wanted.fits(line)

    if as_ == "ndjson":
        packed = (to_json(vars(line)) + b"\n" for line in filter(fits, reader.read(found)))
        parts = iter(lambda: b"".join(islice(packed, MOST)), b"")
        return StreamingResponse(parts, media_type="application/x-ndjson")
    lines = deque[LogLine](maxlen=limit)
    number = 0
    for number, line in enumerate(reader.read(found), 1):
        if number <= after:
            continue
        if fits(line):
            lines.append(line)
        if len(lines) == limit and not last:
            break
    if as_ == "text":
        text = "".join(f"{line}\n" for line in lines)
        return Response(text, media_type="text/plain")
    items = [vars(line) for line in lines]
    return answer({"items": items, "next": max(number, after), "ended": found.ended})


def _item(name: str, task: TaskSnapshot) -> dict[str, Any]:
    return {"task": name, **task_item(task)}


def _no_task(run_id: str, task: str) -> Refusal:
    return Refusal(404, f"run {run_id} has no task {task!r}")
