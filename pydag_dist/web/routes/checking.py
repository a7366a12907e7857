"""DAGs that somebody writes: what they may have, what is wrong with them, their other forms."""

from __future__ import annotations

import inspect
import json
import re
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
from pydag_dist.dag.text.places import Span, items, place
from pydag_dist.dag.text.strict_json import Loaded, NotJson
from pydag_dist.errors import InvalidDag, Problem
from pydag_dist.web.models import checking as models
from pydag_dist.web.routes.runs import VIEWER
from pydag_dist.web.routing import answer, role, router, site, tagged

EDITOR: Final = role("editor")
PROBLEMS: Final = 200  # that are told with their places
DUE: Final = 5  # next times that are told
_NUMBER: Final = re.compile(r"\[(\d{1,9})\]")

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
        problems = told(body.text, error.problems)
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


def _located(text: str, problems: list[Problem]) -> list[tuple[Problem, list[str | int]]]:
    """Each of the first problems, and the path of the value that it is about, as far as it goes."""
    try:
        value = Loaded(text.removeprefix("\ufeff")).value
    except NotJson:
        value = None
    root: list[str | int] = []
    if isinstance(value, dict) and "dag" in value and "tasks" not in value:
        root, value = ["dag"], value["dag"]
    tasks = value.get("tasks") if isinstance(value, dict) else None
    numbers = {
        str(task.get("task_id")): number
        for number, task in reversed([*enumerate(tasks if isinstance(tasks, list) else ())])
        if isinstance(task, dict)
    }
    found = []
    for problem in problems[:PROBLEMS]:
        path, about = list(root), value
        if problem.task in numbers and isinstance(tasks, list):
            number = numbers[str(problem.task)]
            path += ["tasks", number]
            about = tasks[number]
        found.append((problem, [*path, *_steps(about, problem.field or "")]))
    return found


def _steps(value: Any, field: str) -> list[str | int]:
    """The path of a field, such as ``params.args[0]``; of what is not there that of its parent."""
    path: list[str | int] = []
    while field:
        step: str | int
        number = _NUMBER.match(field)
        if isinstance(value, list) and number:
            if int(number[1]) >= len(value):
                break
            step = int(number[1])
            field = field[number.end() :]
        elif isinstance(value, dict):
            field = field.removeprefix(".")
            keys = [k for k in value if field == k or field.startswith((f"{k}.", f"{k}["))]
            if not keys:
                break
            name = max(keys, key=len)
            step, field = name, field[len(name) :]
        else:
            break
        path.append(step)
        value = value[step]
    return path


class _Places:
    """Where values stand in a text. The tasks are looked for once, since there may be many."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tasks: dict[tuple[str | int, ...], list[Span]] = {}

    def of(self, path: list[str | int]) -> Span | None:
        """Of the value of that path; None if the text is no JSON."""
        if "tasks" not in path[:2] or len(path) <= path.index("tasks") + 1:
            return place(self._text, path)
        at = path.index("tasks")
        root = tuple(path[: at + 1])
        if root not in self._tasks:
            self._tasks[root] = items(self._text, root)
        begin, end = self._tasks[root][int(path[at + 1])]
        inner = place(self._text[begin:end], path[at + 2 :])
        return inner and (begin + inner[0], begin + inner[1])


def told(text: str, problems: list[Problem]) -> list[dict[str, Any]]:
    """The first problems of a text, with their places in it."""
    places = _Places(text)
    found = []
    for problem, path in _located(text, problems):
        span = places.of(path) or _syntax_error(text)
        pointer = "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)
        found.append(
            {
                "pointer": pointer,
                "task": problem.task,
                "field": problem.field,
                "detail": problem.message,
                "offset": span[0],
                "length": span[1] - span[0],
            }
        )
    return found


def _syntax_error(text: str) -> Span:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos, min(error.pos + 1, len(text))
    except (ValueError, RecursionError):
        pass
    return 0, len(text)
