"""Which events of OpenLineage rows of the history become, and how little waits of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pydag_dist.coordinator.watching.lineage import DATASETS, Lineage
from pydag_dist.coordinator.watching.traces import SPANS, Traces
from pydag_dist.history import Batch, History, batch_of

DAG = json.dumps(
    {
        "dag_id": "d",
        "tasks": [
            {"task_id": "q", "operator": "bigquery.query", "params": {"sql": "SELECT 1"}},
            {"task_id": "s", "script": "gcs.bucket.folder.bq.name"},
            {"task_id": "j", "operator": "dataproc.submit_job", "params": {}},
            {"task_id": "f", "operator": "python.call", "params": {"callable": "m:f"}},
        ],
    }
)
HEAD = {
    "dag_id": "d",
    "state": "running",
    "submitted_at": "1000000",
    "started_at": "2000000",
    "rounds": "3",
}


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History(f"sqlite:///{tmp_path / 'h.sqlite'}") as history:
        history.open()
        yield history
        history.close()


def run_event(state: str = "running", **fields: str) -> dict[str, str]:
    return {"kind": "run", "run": "r", "at": "9000000", "state": state, **fields}


def try_event(task: str, state: str = "success", **fields: str) -> dict[str, str]:
    times = {"ready_at": "2500000", "started_at": "3000000", "ended_at": "4000000"}
    return {
        "kind": "task", "run": "r", "at": "4000000", "task": task, "state": state, "try": "1",
        **times, **fields,
    }  # fmt: skip


def written(history: History, *events: dict[str, str], **head: str) -> Batch:
    entries = [(f"1-{number}", event) for number, event in enumerate(events, start=1)]
    batch = batch_of(entries, {"r": HEAD | head}, {"r": DAG})
    history.write(batch)
    return batch


def told(history: History, *events: dict[str, str]) -> list[dict[str, Any]]:
    batch = written(history, run_event(), *events)
    lineage = Lineage(history, "ns")
    rows = [row for row in lineage.chosen(batch) if "task_id" in row]
    return [json.loads(body) for row in rows for body in lineage.bodies(row)]


def test_what_fails_to_move_data_is_told_and_nothing_else(history: History) -> None:
    events = told(
        history,
        try_event("q", "failed", error="no such table"),
        try_event("s", "up_for_retry", error="away"),
        try_event("f", "failed", error="a bug"),
    )
    assert [(each["job"]["name"], each["eventType"]) for each in events] == [
        *(("d.q", "START"), ("d.q", "FAIL"), ("d.s", "START"), ("d.s", "FAIL")),
    ]
    assert events[1]["run"]["facets"]["errorMessage"]["message"] == "no such table"


def test_a_job_on_dataproc_is_told_without_what_it_moved(history: History) -> None:
    result = json.dumps({"job_id": "1", "driver_output": "gs://b/o"})
    events = told(history, try_event("j", result=result), try_event("f", result=result))
    assert [(each["job"]["name"], each["eventType"]) for each in events] == [
        *(("d.j", "START"), ("d.j", "COMPLETE")),
    ]
    assert [each["inputs"] + each["outputs"] for each in events] == [[], []]


def test_a_function_may_return_anything(history: History) -> None:
    results = [
        {"reads": "p.d.t", "writes": 3},
        {"reads": ["no table", "x" * 2_000, None, "p.d.t` --"], "writes": ["gs://b"]},
        {"writes": [f"p.d.t{number}" for number in range(1_000)]},
        ["reads"],
    ]
    events = told(
        history,
        *(try_event(f"f.{n}", result=json.dumps(result)) for n, result in enumerate(results)),
        try_event("f.9", result='"reads"'),
    )
    ends = [each for each in events if each["eventType"] == "COMPLETE"]
    assert [(len(e["inputs"]), len(e["outputs"])) for e in ends] == [(0, 1), (0, DATASETS)]
    assert ends[0]["outputs"][0] == {"namespace": "gs://b", "name": "/", "facets": {}}
    assert {each["job"]["name"] for each in events} == {"d.f"}


def test_little_waits_of_a_run_and_a_try(history: History) -> None:
    result = json.dumps({"writes": ["p.d.t"], "rest": "x" * 60_000})
    batch = written(
        history,
        run_event(),
        try_event("f", result=result),
        run_event("failed", error="e" * 9_000),
        params=json.dumps({"k": "x" * 90_000}),
    )
    for rows in (Lineage(history, "ns").chosen(batch), Traces.chosen(batch)):
        assert rows
        assert all(len(json.dumps(row)) < 5_000 for row in rows)


def test_a_trace_of_many_tries_is_several_requests(history: History) -> None:
    events = [try_event(f"f.{number}") for number in range(SPANS + 1)]
    batch = written(history, run_event(), *events, run_event("success"), ended_at="9000000")
    [row] = Traces.chosen(batch)
    requests = list(Traces(history, "s").bodies(row))
    assert len(requests) == 2
    assert len(requests[0]) > 100 * len(requests[1])


def test_a_run_that_nobody_planned_is_a_span(history: History) -> None:
    head = {name: value for name, value in HEAD.items() if name != "started_at"}
    event = run_event("cancelled")
    batch = batch_of([("1-1", event)], {"r": head}, {"r": DAG})
    history.write(batch)
    [row] = Traces.chosen(batch)
    assert len(list(Traces(history, "s").bodies(row))) == 1
    lineage = Lineage(history, "ns")
    [chosen] = lineage.chosen(batch)
    [body] = lineage.bodies(chosen)
    assert json.loads(body)["eventType"] == "ABORT"
