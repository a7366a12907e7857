"""Lineage: which tables and files tasks read and wrote, as events of OpenLineage (spec 2-0-2).

A task's START is told together with its end, since only then it is known what it read and wrote.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from operator import itemgetter
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from pydag_dist.coordinator.watching.outbox import ERROR, lean
from pydag_dist.engine import ENDED_RUN_STATES
from pydag_dist.history import Batch, HistoryReader

DATASETS: Final = 50  # of an event, inputs and outputs each

_SPEC: Final = "https://openlineage.io/spec"
_PRODUCER: Final = f"urn:pydag:{version('pydag-dist')}"
_NAMES: Final = UUID("6c1f0a52-30a4-5b0e-9d0b-0d5f3f6f2c11")  # of the ids of runs
_TABLE: Final = re.compile(r"[^\s./`]+\.[^\s./`]+\.[^\s/`]+")
_ENDS: Final = {"success": "COMPLETE", "skipped": "ABORT", "failed": "FAIL", "cancelled": "ABORT"}
# Operators whose failures are told, although nobody knows then what they would have written.
_MOVES_DATA: Final = (
    *("bigquery.", "gcs.compose", "gcs.copy", "gcs.move", "gcs.upload", "script.bq"),
    *("dataproc.submit_", "script.spark"),
)
# One of these is in each result that is told of; of a job on Dataproc nobody knows what it moved.
_MARKS: Final = ('"writes"', '"reads"', '"driver_output"')

_NAME: Final = 1_100  # characters of a data set's: a bucket and an object
_RUNS: Final = 200  # of which it is remembered what their tasks are

Row = dict[str, Any]


class _Known(NamedTuple):
    """Of a run its DAG, the operators of its tasks, and its round."""

    dag_id: str
    operators: Mapping[str, str]
    rounds: str


class Lineage:
    """Makes events of what the history gets."""

    def __init__(self, history: HistoryReader, namespace: str) -> None:
        self._history = history
        self._namespace = namespace
        self._known: OrderedDict[str, _Known] = OrderedDict()

    @staticmethod
    def chosen(batch: Batch) -> list[Row]:
        """The rows of a batch that may have to be told: few of those of runs that move no data."""
        runs = [lean(r) for r in batch.runs if r["state"] == "running" or r["ended_at"]]
        tries = [_lean_try(r) for r in batch.tries if r["started_at"] and _may_tell(r)]
        return sorted(runs + tries, key=itemgetter("event"))

    def bodies(self, row: Row) -> Iterator[bytes]:
        """The events of a run or a try, each the body of a POST."""
        events = self._of_try(row) if "task_id" in row else self._of_run(row)
        for event in events:
            yield json.dumps(event).encode()

    def _of_run(self, row: Row) -> Iterator[dict[str, Any]]:
        head = json.loads(row["head"])
        self._known.pop(row["run_id"], None)  # of an earlier round
        ended = row["state"] in ENDED_RUN_STATES
        facets: dict[str, Any] = {"processing_engine": _engine()}
        if date := row["logical_date"]:
            facets["nominalTime"] = _facet("1-0-1/NominalTimeRunFacet", nominalStartTime=date)
        if ended and row["state"] != "success":
            facets["errorMessage"] = _error(row["error"] or row["reason"] or row["state"])
        run = {"runId": self._run_id(row["run_id"], head.get("rounds", "1")), "facets": facets}
        begin = int(head["round_at"]) / 1e6 if head.get("round_at") else row["started_at"]
        kind = _ENDS[row["state"]] if ended else "START"
        at = row["ended_at"] if ended else begin or row["submitted_at"]
        yield self._event(kind, at, run, self._job(row["dag_id"], "DAG"))

    def _of_try(self, row: Row) -> Iterator[dict[str, Any]]:
        result = row["told"]
        dag_id, operators, rounds = self._run(row["run_id"])
        task = row["task_id"]
        name = task if task in operators else task.rpartition(".")[0]
        if not result and not operators.get(name, "").startswith(_MOVES_DATA):
            return
        parent = {
            "run": {"runId": self._run_id(row["run_id"], rounds)},
            "job": {"namespace": self._namespace, "name": dag_id},
        }
        facets = {
            "parent": _facet("1-2-0/ParentRunFacet", **parent),
            "processing_engine": _engine(),
        }
        job = self._job(f"{dag_id}.{name}", "TASK")
        run_id = self._run_id(row["run_id"], task, str(row["try_number"]))
        data = {
            "inputs": [_dataset(each) for each in result.get("reads", ())],
            "outputs": [_dataset(each) for each in result.get("writes", ())],
        }
        started = {"runId": run_id, "facets": facets}
        yield self._event("START", row["started_at"], started, job, **data)
        kind = _ENDS.get(row["state"], "FAIL")  # of one that will be tried again, too
        if kind == "FAIL":
            facets = {**facets, "errorMessage": _error(row["error"] or row["state"])}
        ended = {"runId": run_id, "facets": facets}
        yield self._event(kind, row["ended_at"] or row["started_at"], ended, job, **data)

    def _run(self, run_id: str) -> _Known:
        if run_id not in self._known:
            head, text = self._history.head(run_id), self._history.submitted_dag(run_id)
            dag = json.loads(text or '{"dag_id": "unknown", "tasks": []}')
            operators = {
                task["task_id"]: task.get("operator") or _script(task.get("script", ""))
                for task in dag["tasks"]
            }
            rounds = json.loads(head.head).get("rounds", "1") if head else "1"
            self._known[run_id] = _Known(dag["dag_id"], operators, rounds)
            if len(self._known) > _RUNS:
                self._known.popitem(last=False)
        return self._known[run_id]

    def _event(
        self, kind: str, at: float, run: dict[str, Any], job: dict[str, Any], **data: Any
    ) -> dict[str, Any]:
        return {
            "eventType": kind,
            "eventTime": datetime.fromtimestamp(at, UTC).isoformat(),
            "run": run,
            "job": job,
            "inputs": [],
            "outputs": [],
            **data,
            "producer": _PRODUCER,
            "schemaURL": f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
        }

    def _job(self, name: str, kind: str) -> dict[str, Any]:
        about = {"processingType": "BATCH", "integration": "PYDAG", "jobType": kind}
        facets = {"jobType": _facet("2-0-4/JobTypeJobFacet", **about)}
        return {"namespace": self._namespace, "name": name, "facets": facets}

    def _run_id(self, *of: str) -> str:
        return str(uuid5(_NAMES, "/".join((self._namespace, *of))))


def _may_tell(row: Row) -> bool:
    result = row["result"] or ""
    return any(mark in result for mark in _MARKS) or row["state"] in {"failed", "up_for_retry"}


def _lean_try(row: Row) -> Row:
    """What is told of a try, without its result and most of its error."""
    names = ("event", "run_id", "task_id", "try_number", "state", "started_at", "ended_at")
    kept = {name: row[name] for name in names}
    return kept | {"told": _told(row["result"]), "error": (row["error"] or "")[:ERROR]}


def _told(result: str | None) -> dict[str, list[str]]:
    """What a result says that its task read and wrote; somebody's function may say anything."""
    try:
        found = json.loads(result or "null")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    lists = {what: found.get(what) for what in ("reads", "writes")}
    return {
        what: [name for name in names if isinstance(name, str) and _is_data(name)][:DATASETS]
        for what, names in lists.items()
        if isinstance(names, list)
    }


def _is_data(name: str) -> bool:
    return len(name) <= _NAME and (name.startswith("gs://") or bool(_TABLE.fullmatch(name)))


def _dataset(name: str) -> dict[str, Any]:
    """As https://openlineage.io/docs/spec/naming has it."""
    if name.startswith("gs://"):
        bucket, _, path = name.removeprefix("gs://").partition("/")
        return {"namespace": f"gs://{bucket}", "name": path or "/", "facets": {}}
    return {"namespace": "bigquery", "name": name, "facets": {}}


def _engine() -> dict[str, Any]:
    about = {"version": version("pydag-dist"), "name": "pydag_dist"}
    return _facet("1-1-1/ProcessingEngineRunFacet", **about)


def _error(text: str) -> dict[str, Any]:
    about = {"message": text[:ERROR], "programmingLanguage": "PYTHON"}
    return _facet("1-0-1/ErrorMessageRunFacet", **about)


def _facet(kind: str, **fields: Any) -> dict[str, Any]:
    number, _, name = kind.partition("/")
    schema = f"{_SPEC}/facets/{number}/{name}.json#/$defs/{name}"
    return {"_producer": _PRODUCER, "_schemaURL": schema, **fields}


def _script(path: str) -> str:
    """The operator of a script such as ``gcs.bucket.folder.bq.name``."""
    parts = path.split(".")
    return f"script.{parts[-2]}" if len(parts) > 1 else "script"
