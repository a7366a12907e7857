"""What Dataproc's jobs and batches share: what they run, and how they come along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydag_dist.dag.params.dataproc import DataprocSubmitBatch, DataprocSubmitJob, SparkParams
from workers import time_limit
from workers.contract.answer import Handle, Pending
from workers.contract.context import TaskContext
from workers.errors import TaskFailed
from workers.google.access import access_of
from workers.operators.dataproc import driver_output

_FIELDS = (
    *("main_python_file_uri", "main_class", "main_jar_file_uri", "query_file_uri"),
    *("args", "python_file_uris", "jar_file_uris", "file_uris", "archive_uris"),
)


def of_job(params: DataprocSubmitJob) -> dict[str, Any]:
    """The field of a job that says what it runs."""
    work = _work(params) | {"properties": params.properties}
    if params.queries:
        work["query_list"] = {"queries": params.queries}
    if params.query_variables:
        work["script_variables"] = params.query_variables
    return {f"{params.kind}_job": work}


def of_batch(params: DataprocSubmitBatch) -> dict[str, Any]:
    """The fields of a batch that say what it runs, and on what."""
    work = _work(params)
    if params.query_variables:
        work["query_variables"] = params.query_variables
    runtime = {
        "version": params.runtime_version,
        "container_image": params.container_image,
        "properties": params.properties,
    }
    return {
        f"{params.kind}_batch": work,
        "runtime_config": {name: value for name, value in runtime.items() if value},
        "environment_config": params.environment,
    }


def _work(params: SparkParams) -> dict[str, Any]:
    return {name: value for name in _FIELDS if (value := getattr(params, name))}


@dataclass(frozen=True)
class Run:
    """A job or batch at one moment; `said` is Dataproc's own word about its end."""

    name: str  # as "Dataproc job ID"
    state: str
    over: bool
    failed: bool
    said: str
    output_uri: str


def pending(context: TaskContext, handle: Handle, run: Run) -> Pending | None:
    """Log what its driver has printed since the last time; None if it is done and all is read."""
    kind = run.name.rpartition(" ")[0]
    if run.output_uri:
        access = access_of(context, handle)
        driver_output.follow(context, access, run.output_uri, handle["output"], over=run.over)
        if run.over and time_limit.is_out():
            return Pending(f"{kind} {run.state}, its output is being read")
    if run.failed:
        last = driver_output.last_lines(handle["output"])
        raise TaskFailed(f"{run.name} ended as {run.state}: {run.said}\n{last}".strip())
    return None if run.over else Pending(f"{kind} {run.state}")
