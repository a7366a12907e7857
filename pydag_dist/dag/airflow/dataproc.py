"""Dataproc's operators of Airflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydag_dist.dag.airflow.arguments import Arguments, NotTaken
from pydag_dist.dag.airflow.bigquery import Made, common

_KINDS: Final = ("pyspark", "spark", "spark_sql")
_FIELDS: Final = frozenset(
    {
        "main_python_file_uri", "main_class", "main_jar_file_uri", "query_file_uri", "args",
        "python_file_uris", "jar_file_uris", "file_uris", "archive_uris", "properties",
    }
)  # fmt: skip
_OTHERS: Final = ("logging_config",)


def _cluster(a: Arguments) -> dict[str, Any]:
    params = common(a, region=a.needs("region"))
    a.ignore("num_retries_if_resource_is_not_ready", "retry", "timeout", "metadata", "request_id")
    return params


def _create(a: Arguments) -> Made:
    params = _cluster(a) | {"cluster_name": a.needs("cluster_name")}
    config = a.take("cluster_config", default={})
    if isinstance(config, str):
        raise NotTaken("its cluster_config is known only when the file runs")
    if config:
        params["config"] = config
    if a.take("use_if_exists", default=True):
        params["use_if_exists"] = True
    if a.take("delete_on_error", default=True) is False:
        params["delete_on_error"] = False
    return "dataproc.create_cluster", params


def _delete(a: Arguments) -> Made:
    params = _cluster(a) | {"cluster_name": a.needs("cluster_name")}
    a.ignore("cluster_uuid")
    return "dataproc.delete_cluster", params


def _spark(a: Arguments, given: Any, kind: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise NotTaken("what it runs is known only when the file runs")
    made = {name: value for name, value in given.items() if name in _FIELDS}
    if kind == "spark_sql" and isinstance(given.get("query_list"), dict):
        made["queries"] = given["query_list"].get("queries")
    if variables := given.get("script_variables") or given.get("query_variables"):
        made["query_variables"] = variables
    known = {*_FIELDS, *_OTHERS, "query_list", "script_variables", "query_variables"}
    if others := [name for name in given if name not in known]:
        a.note(f"{', '.join(others)}: left out")
    return made


def _job(a: Arguments) -> Made:
    job = a.needs("job")
    if not isinstance(job, dict):
        raise NotTaken("its job is known only when the file runs")
    kinds = [name for name in job if name.endswith("_job")]
    kind = kinds[0].removesuffix("_job") if kinds else ""
    if kind not in _KINDS:
        raise NotTaken(f"jobs of kind {kind or 'none'} are not run: only {', '.join(_KINDS)}")
    params = _cluster(a)
    params["cluster_name"] = job.get("placement", {}).get("cluster_name")
    params |= _spark(a, job[kinds[0]], kind)
    labels = job.get("labels") or params.get("labels")
    a.ignore("cancel_on_kill", "wait_timeout")
    if a.take("asynchronous"):
        a.note("it was asynchronous: here the task ends when the job has")
    return "dataproc.submit_job", params | ({"labels": labels} if labels else {})


def _batch(a: Arguments) -> Made:
    batch = a.needs("batch")
    if not isinstance(batch, dict):
        raise NotTaken("its batch is known only when the file runs")
    names = [name for name in batch if name.endswith("_batch")]
    kind = names[0].removesuffix("_batch") if names else ""
    if kind not in _KINDS:
        raise NotTaken(f"batches of kind {kind or 'none'} are not run: only {', '.join(_KINDS)}")
    params = _cluster(a) | _spark(a, batch[names[0]], kind)
    runtime = dict(batch.get("runtime_config") or {})
    moved = {"version": "runtime_version", "container_image": "container_image"}
    params |= {ours: runtime.pop(name) for name, ours in moved.items() if name in runtime}
    if properties := runtime.pop("properties", None):
        params["properties"] = properties
    if environment := batch.get("environment_config"):
        params["environment"] = environment
    if labels := batch.get("labels"):
        params["labels"] = labels
    known = {names[0], "runtime_config", "environment_config", "labels"}
    if others := [*runtime, *(name for name in batch if name not in known)]:
        a.note(f"{', '.join(others)}: left out")
    if a.take("batch_id") is not None:
        a.note("batch_id: left out, since each try has an id of its own")
    if a.take("asynchronous"):
        a.note("it was asynchronous: here the task ends when the batch has")
    a.ignore("result_retry")
    return "dataproc.submit_batch", params


def _pyspark(a: Arguments) -> Made:
    params = _cluster(a) | {"cluster_name": a.needs("cluster_name")}
    params["main_python_file_uri"] = a.needs("main")
    names = {
        "arguments": "args", "pyfiles": "python_file_uris", "files": "file_uris",
        "archives": "archive_uris", "dataproc_jars": "jar_file_uris",
        "dataproc_properties": "properties",
    }  # fmt: skip
    for name, ours in names.items():
        if value := a.take(name):
            params[ours] = value
    a.ignore("job_name")
    return "dataproc.submit_job", params


DATAPROC: Final[Mapping[str, Callable[[Arguments], Made]]] = {
    "DataprocCreateClusterOperator": _create,
    "DataprocDeleteClusterOperator": _delete,
    "DataprocSubmitJobOperator": _job,
    "DataprocSubmitPySparkJobOperator": _pyspark,
    "DataprocCreateBatchOperator": _batch,
}
