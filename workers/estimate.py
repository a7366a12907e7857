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
from pydag_dist.dag.planning.prices import estimate_text, priced
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
from workers.tries.context import rendered

_AT_ONCE = 8  # dry runs
_SECONDS = 120.0  # of all dry runs
_ASKED_SECONDS = 25.0  # likewise, if somebody waits for the answer

# What costs nothing: https://cloud.google.com/bigquery/pricing#free
_FREE = frozenset({"bigquery.copy", "bigquery.extract", "bigquery.load"})


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
    document = priced(_document(dag, found), arguments.price)
    told = (
        json.dumps(document, indent=2)
        if arguments.json
        else estimate_text(document, len(dag.tasks))
    )
    sys.stdout.write(told + "\n")
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


if __name__ == "__main__":
    sys.exit(main())
