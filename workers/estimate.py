"""`python -m workers.estimate`, which `pydag estimate` becomes: dry runs of a DAG's queries."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydag_dist.dag import Dag, Task
from pydag_dist.dag.planning.prices import priced, usd
from pydag_dist.dag.planning.task_spec import RunParams, spec_of
from pydag_dist.dag.text.quote import quote
from pydag_dist.engine import Held, connect
from pydag_dist.errors import PydagError
from workers import operators, time_limit
from workers.contract.context import TaskContext
from workers.errors import TaskFailed
from workers.operators.bigquery.estimate import Estimate, estimate_query
from workers.operators.bigquery.query import Query
from workers.process import worker_settings
from workers.tries.templates import rendered

_AT_ONCE = 8  # dry runs
_SECONDS = 120.0  # of all dry runs
_ASKED_SECONDS = 25.0  # likewise, if somebody waits for the answer

# What costs nothing: https://cloud.google.com/bigquery/pricing#free
_FREE = frozenset({"bigquery.load", "bigquery.extract"})
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


class _NotBefore(Exception):
    """A template names the results of these tasks."""


def estimates(dag: Dag, run: RunParams) -> dict[str, Estimate]:
    """What each BigQuery task of a DAG will read, as far as that can be known before it runs."""
    walk = (dag.tasks[name] for name in dag.walk())
    tasks = [task for task in walk if task.operator in _FREE or _query(task)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda task: _estimate(dag, task, run), tasks)
        return dict(zip((task.task_id for task in tasks), found, strict=True))


def _query(task: Task) -> Query | None:
    if not task.operator.startswith(("bigquery.", "script.bq")):
        return None
    operator = operators.find(task.operator)
    return operator if isinstance(operator, Query) else None


def _estimate(dag: Dag, task: Task, run: RunParams) -> Estimate:
    query = _query(task)
    if query is None:
        return Estimate(0, 0, "free")
    if task.expand:
        return Estimate(None, None, f"once for each item of {quote(task.expand.over)}")
    try:
        context = _context(dag, task, run)
    except _NotBefore as error:
        return Estimate(None, None, f"needs the result of {error}")
    except TaskFailed as error:
        return Estimate(None, None, str(error), wrong=True)
    return estimate_query(query, context, has_upstream=bool(task.dependencies))


def _context(dag: Dag, task: Task, run: RunParams) -> TaskContext:
    """The first try of the task in a run that does not exist."""

    def results(tasks: Sequence[str]) -> dict[str, Any]:
        raise _NotBefore(", ".join(tasks))

    held = Held("estimate", task.task_id, 1, "")
    spec = json.loads(spec_of(dag, task, None, run))
    return TaskContext(
        run_id=held.run,
        dag_id=dag.dag_id,
        task_id=task.task_id,
        try_number=1,
        operator=task.operator,
        script=spec["script"],
        params=rendered(held, spec, results, lambda _: {**dag.params, **run.params}),
        script_cache=False,
        expire_cache=0,
        log=logging.getLogger(__name__),
        settings=worker_settings(),
        redis=connect("redis://"),  # for the script cache only, which is off
    )


def answer(text: str, params: Mapping[str, Any], logical_date: str) -> dict[str, Any]:
    """The document of a DAG given as JSON, without prices; or why there is none, as ``error``."""
    settings = worker_settings()
    if not settings.estimates:
        return {"error": "the workers' settings allow no estimates (PYDAG_WORKER_ESTIMATES)"}
    try:
        dag = Dag.parse(text, source="dag")
        with time_limit.limited(_ASKED_SECONDS):
            found = estimates(dag, RunParams(params, logical_date))
    except PydagError as error:
        return {"error": str(error)}
    return _document(dag, found)


def main() -> int:
    """Print what is known; the exit code: 1 if a query is wrong."""
    parser = argparse.ArgumentParser(prog="python -m workers.estimate")
    parser.add_argument("file", type=Path)
    parser.add_argument("--price", type=float, required=True, help="USD for a TiB")
    parser.add_argument("--params", type=json.loads, required=True)
    parser.add_argument("--logical-date", required=True)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    try:
        dag = Dag.load(arguments.file)
        with time_limit.limited(_SECONDS):
            found = estimates(dag, RunParams(arguments.params, arguments.logical_date))
    except PydagError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 2
    print_as = _as_json if arguments.json else _as_text
    sys.stdout.write(print_as(dag, found, arguments.price) + "\n")
    return 1 if any(each.wrong for each in found.values()) else 0


def _document(dag: Dag, found: Mapping[str, Estimate]) -> dict[str, Any]:
    return {
        "dag_id": dag.dag_id,
        "bytes": sum(each.bytes or 0 for each in found.values()),
        "billed": sum(each.billed or 0 for each in found.values()),
        "budget": dag.budget_bytes,
        "unknown": [name for name, each in found.items() if each.billed is None],
        "tasks": {name: asdict(each) for name, each in found.items()},
    }


def _as_json(dag: Dag, found: Mapping[str, Estimate], price: float) -> str:
    return json.dumps(priced(_document(dag, found), price), indent=2)


def _as_text(dag: Dag, found: Mapping[str, Estimate], price: float) -> str:
    rows = [("task", "reads", "billed", "USD", "")]
    for name, each in found.items():
        if each.bytes is None or each.billed is None:
            rows.append((name, "?", "?", "?", each.note))
        else:
            cost = f"{usd(each.billed, price):.4f}"
            rows.append((name, _size(each.bytes), _size(each.billed), cost, each.note))
    billed = sum(each.billed or 0 for each in found.values())
    read = sum(each.bytes or 0 for each in found.values())
    unknown = sum(each.billed is None for each in found.values())
    note = f"and what {unknown} of {len(found)} tasks read" if unknown else ""
    rows.append(("in all", _size(read), _size(billed), f"{usd(billed, price):.4f}", note))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join(
            (row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in (1, 2, 3)), row[4])
        ).rstrip()
        for row in rows
    ]
    if dag.budget_bytes is not None and billed > dag.budget_bytes:
        lines.append(f"More than the DAG's budget_bytes, {_size(dag.budget_bytes)}.")
    if others := len(dag.tasks) - len(found):
        lines.append(f"{others} tasks run no jobs of BigQuery, or only ask for tables.")
    return "\n".join(lines)


def _size(count: float) -> str:
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


if __name__ == "__main__":
    sys.exit(main())
