"""DAGs that somebody writes: what they may have, what is wrong with them, their other forms."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Final, Literal

from fastapi import Query, Request
from pydantic_core import to_json
from starlette.responses import Response

from pydag_dist.dag import Dag, schema
from pydag_dist.dag.forms import FORMS
from pydag_dist.dag.operators import (
    SCRIPTS,
    family,
    is_sensor,
    may_be_cached,
    may_have_secrets,
    operator_names,
    params_model,
)
from pydag_dist.dag.templates.expressions import NAMES
from pydag_dist.dag.templates.filters import FILTERS
from pydag_dist.dag.templates.operations import TESTS
from pydag_dist.dag.text.problem_places import placed
from pydag_dist.errors import InvalidDag, Problem
from pydag_dist.web.models import checking as models
from pydag_dist.web.problems import pointer
from pydag_dist.web.routing import EDITOR, VIEWER, answer, router, site, tagged

PROBLEMS: Final = 200  # that are told with their places
DUE: Final = 5  # next times that are told

routes = router()


@routes.get("/schema", openapi_extra=VIEWER)
def dag_schema(request: Request) -> Response:
    """Get the JSON Schema of DAG files."""
    return tagged(request, to_json(schema()))


@routes.get("/operators", response_model=models.Operators, openapi_extra=VIEWER)
def operators(request: Request) -> Response:
    """List what tasks may run: the operators that they may name, and those of scripts.

    `params` is null where only a worker knows them.
    """
    items = [_operator(name) for name in sorted({*operator_names(), *SCRIPTS})]
    return tagged(request, to_json({"items": items}))


def _operator(name: str) -> dict[str, Any]:
    model = params_model(name)
    _, _, says = ((model and model.__doc__) or "").partition("``: ")
    return {
        "name": name,
        "help": says.partition("\n")[0],
        "queue": family(name),
        "is_script": name in SCRIPTS,
        "is_sensor": is_sensor(name),
        "may_be_cached": may_be_cached(name),
        "may_have_secrets": may_have_secrets(name),
        "params": model.model_json_schema() if model else None,
    }


@routes.get("/templates", response_model=models.Templates, openapi_extra=VIEWER)
def templates(request: Request) -> Response:
    """Say what templates may name: what stands in front of a dot, filters, and tests."""
    filters = [{"name": n, "arguments": _arguments(each)} for n, each in FILTERS.items()]
    return tagged(request, to_json({"names": NAMES, "filters": filters, "tests": sorted(TESTS)}))


def _arguments(function: Callable[..., Any]) -> list[str]:
    """What is given in brackets: neither the value nor the account of what it costs."""
    named = list(inspect.signature(function).parameters.values())[2:]
    return [each.name for each in named]


@routes.post("/validate", response_model=models.Validated, openapi_extra=EDITOR)
def validate(request: Request, body: models.DagText) -> Response:
    """Check a DAG file's text: its problems with their places, and what no live worker can run.

    Of a text without problems also the next times at which it would be due.
    """
    try:
        dag = Dag.parse(body.text, source="dag")
    except InvalidDag as error:
        problems = placed_problems(body.text, error.problems)
        nothing = {"dag_id": None, "tasks": None, "zone": None}
        return answer({**nothing, "problems": problems, "unserved": [], "due": []})
    unserved = [vars(each) for each in site(request).client.unserved(dag)]
    right = {"dag_id": dag.dag_id, "tasks": len(dag.tasks), "problems": [], "unserved": unserved}
    return answer({**right, "zone": dag.timezone, "due": next_due(dag, DUE)})


def next_due(dag: Dag, count: int) -> list[float]:
    """The next times at which a DAG is due, in epoch seconds; none without a schedule."""
    if dag.schedule is None:
        return []
    times = dag.schedule.between(datetime.now(UTC), datetime.max.replace(tzinfo=UTC))
    return [at.timestamp() for at in islice(times, count)]


@routes.post("/convert", response_model=models.DagText, openapi_extra=EDITOR)
def convert(
    body: models.DagText,
    to: Annotated[
        Literal["own", "python", "mermaid", "text"], Query(description="own: our JSON")
    ] = "own",
) -> Response:
    """Write a DAG otherwise: in our own form, as Python, as a Mermaid flowchart, drawn as text."""
    dag = Dag.parse(body.text, source="dag")
    return answer({"text": FORMS[to](dag)})


def placed_problems(text: str, problems: list[Problem]) -> list[dict[str, Any]]:
    """The first problems of a text, with their places in it."""
    return [
        {
            "pointer": pointer(path),
            "task": problem.task,
            "field": problem.field,
            "detail": problem.message,
            "offset": begin,
            "length": end - begin,
        }
        for problem, path, (begin, end) in placed(text, problems[:PROBLEMS])
    ]
