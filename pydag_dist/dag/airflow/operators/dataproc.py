"""Dataproc's operators of Airflow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from pydag_dist.dag.airflow.operators.arguments import Arguments, NotTaken
from pydag_dist.dag.airflow.operators.bigquery import Made, common

_SPARK: Final = ("pyspark", "spark", "spark_r", "spark_sql")
_KINDS: Final = (*_SPARK, "flink", "hadoop", "hive", "pig", "presto", "trino")
_FIELDS: Final = frozenset(
    {
        "main_python_file_uri", "main_r_file_uri", "main_class", "main_jar_file_uri",
        "query_file_uri", "args", "python_file_uris", "jar_file_uris", "file_uris",
        "archive_uris", "properties", "continue_on_failure", "output_format", "client_tags",
        "savepoint_uri",
    }
)  # fmt: skip
_OTHERS: Final = ("logging_config",)
# Arguments of the operators for one kind of job.
_OF_ONE_KIND: Final = {
    "arguments": "args", "main": "main_python_file_uri", "main_class": "main_class",
    "main_jar": "main_jar_file_uri", "query_uri": "query_file_uri",
    "pyfiles": "python_file_uris", "files": "file_uris", "archives": "archive_uris",
    "dataproc_jars": "jar_file_uris", "dataproc_properties": "properties",
    "variables": "query_variables",
}  # fmt: skip
_SIZES: Final = {
    "worker_config": "num_workers",
    "secondary_worker_config": "num_secondary_workers",
}


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


def _start(a: Arguments) -> Made:
    return "dataproc.start_cluster", _cluster(a) | {"cluster_name": a.needs("cluster_name")}


def _stop(a: Arguments) -> Made:
    return "dataproc.stop_cluster", _cluster(a) | {"cluster_name": a.needs("cluster_name")}


def _update(a: Arguments) -> Made:
    params = _cluster(a) | {"cluster_name": a.needs("cluster_name")}
    config, mask = a.needs("cluster").get("config", {}), a.needs("update_mask")["paths"]
    sizes = {f"config.{name}.num_instances": (name, ours) for name, ours in _SIZES.items()}
    if others := [path for path in mask if path not in sizes]:
        raise NotTaken(f"it changes {', '.join(others)}: only how many machines there are")
    for name, ours in map(sizes.__getitem__, mask):
        params[ours] = config[name]["num_instances"]
    patience = a.take("graceful_decommission_timeout")
    seconds = patience.get("seconds") if isinstance(patience, dict) else patience
    return "dataproc.update_cluster", params | (
        {"decommission_timeout": seconds} if seconds else {}
    )


def _workflow(a: Arguments) -> Made:
    params = _cluster(a) | {"template_id": a.needs("template_id")}
    for name in ("version", "parameters"):
        if value := a.take(name):
            params[name] = value
    a.ignore("cancel_on_kill")
    return "dataproc.workflow_template", params


def _inline_workflow(a: Arguments) -> Made:
    template = a.needs("template")
    if not isinstance(template, dict):
        raise NotTaken("its template is known only when the file runs")
    a.ignore("cancel_on_kill")
    return "dataproc.workflow_template", _cluster(a) | {"template": template}


def _spark(a: Arguments, given: Any, kind: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise NotTaken("what it runs is known only when the file runs")
    made = {name: value for name, value in given.items() if name in _FIELDS}
    if isinstance(given.get("query_list"), dict):
        made["queries"] = given["query_list"].get("queries")
    if kind not in _SPARK:
        made["job_type"] = kind
    if variables := given.get("script_variables") or given.get("query_variables"):
        made["query_variables"] = variables
    known = {*_FIELDS, *_OTHERS, "query_list", "script_variables", "query_variables"}
    if others := [name for name in given if name not in known]:
        a.note(f"{', '.join(others)}: left out")
    return made


def _described(a: Arguments, noun: str, kinds: Collection[str]) -> tuple[dict[str, Any], Any, str]:
    """A job or a batch, the field of it that says what it runs, and of which kind that is."""
    given = a.needs(noun)
    if not isinstance(given, dict):
        raise NotTaken(f"its {noun} is known only when the file runs")
    name = next((name for name in given if name.endswith(f"_{noun}")), "")
    kind = name.removesuffix(f"_{noun}")
    if kind not in kinds:
        these = {"job": "jobs", "batch": "batches"}[noun]
        raise NotTaken(f"{these} of kind {kind or 'none'} are not run: only {', '.join(kinds)}")
    return given, given[name], kind


def _job(a: Arguments) -> Made:
    job, work, kind = _described(a, "job", _KINDS)
    params = _cluster(a)
    params["cluster_name"] = job.get("placement", {}).get("cluster_name")
    params |= _spark(a, work, kind)
    labels = job.get("labels") or params.get("labels")
    a.ignore("cancel_on_kill", "wait_timeout")
    if a.take("asynchronous"):
        a.note("it was asynchronous: here the task ends when the job has")
    return "dataproc.submit_job", params | ({"labels": labels} if labels else {})


def _batch(a: Arguments) -> Made:
    batch, work, kind = _described(a, "batch", _SPARK)
    params = _cluster(a) | _spark(a, work, kind)
    runtime = dict(batch.get("runtime_config") or {})
    moved = {"version": "runtime_version", "container_image": "container_image"}
    params |= {ours: runtime.pop(name) for name, ours in moved.items() if name in runtime}
    if properties := runtime.pop("properties", None):
        params["properties"] = properties
    if environment := batch.get("environment_config"):
        params["environment"] = environment
    if labels := batch.get("labels"):
        params["labels"] = labels
    known = {f"{kind}_batch", "runtime_config", "environment_config", "labels"}
    if others := [*runtime, *(name for name in batch if name not in known)]:
        a.note(f"{', '.join(others)}: left out")
    if a.take("batch_id") is not None:
        a.note("batch_id: left out, since each try has an id of its own")
    if a.take("asynchronous"):
        a.note("it was asynchronous: here the task ends when the batch has")
    a.ignore("result_retry")
    return "dataproc.submit_batch", params


def _of_one_kind(kind: str) -> Callable[[Arguments], Made]:
    """For the operators that Airflow once had for each kind of job."""

    def make(a: Arguments) -> Made:
        params = _cluster(a) | {"cluster_name": a.needs("cluster_name")}
        if kind not in _SPARK:
            params["job_type"] = kind
        for name, ours in _OF_ONE_KIND.items():
            if value := a.take(name):
                params[ours] = value
        if query := a.take("query"):
            params["queries"] = [query]
        a.ignore("job_name", "asynchronous")
        return "dataproc.submit_job", params

    return make


DATAPROC: Final[Mapping[str, Callable[[Arguments], Made]]] = {
    "DataprocCreateClusterOperator": _create,
    "DataprocDeleteClusterOperator": _delete,
    "DataprocStartClusterOperator": _start,
    "DataprocStopClusterOperator": _stop,
    "DataprocUpdateClusterOperator": _update,
    "DataprocInstantiateWorkflowTemplateOperator": _workflow,
    "DataprocInstantiateInlineWorkflowTemplateOperator": _inline_workflow,
    "DataprocSubmitJobOperator": _job,
    "DataprocSubmitHadoopJobOperator": _of_one_kind("hadoop"),
    "DataprocSubmitHiveJobOperator": _of_one_kind("hive"),
    "DataprocSubmitPigJobOperator": _of_one_kind("pig"),
    "DataprocSubmitPySparkJobOperator": _of_one_kind("pyspark"),
    "DataprocSubmitSparkJobOperator": _of_one_kind("spark"),
    "DataprocSubmitSparkSqlJobOperator": _of_one_kind("spark_sql"),
    "DataprocCreateBatchOperator": _batch,
}
