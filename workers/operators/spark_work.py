"""What a Dataproc job or batch runs, as the messages of Dataproc's API have it."""

from __future__ import annotations

from typing import Any

from pydag_dist.dag.dataproc_params import DataprocSubmitBatch, DataprocSubmitJob, SparkParams

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
