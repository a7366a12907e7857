"""Operators of Airflow for Cloud Storage, Python, and other DAGs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydag_dist.dag.airflow.arguments import Arguments, NotTaken
from pydag_dist.dag.airflow.bigquery import Made, common
from pydag_dist.dag.airflow.things import Function, Named

_BYTES: Final = "application/octet-stream"  # what Airflow calls any file
_ALWAYS: Final = "left_out"  # the module of what stands where no operator of ours does


def _gcs(a: Arguments, **params: Any) -> dict[str, Any]:
    a.ignore("project_id", "user_project", "google_impersonation_chain", "timeout_")
    made = common(a, **params)
    made.pop("project", None)
    if made.pop("labels", None):
        a.note("labels: left out")
    return made


def _copy(a: Arguments) -> Made:
    bucket = a.needs("source_bucket")
    to = a.take("destination_bucket", default=bucket)
    source, many = a.take("source_object"), a.take("source_objects")
    if many and len(many) == 1:
        source = many[0]
    if source is None:
        raise NotTaken("it copies several objects: write a gcs.copy for each, or one of a folder")
    target = a.take("destination_object", default=source)
    moves = a.take("move_object", default=False)
    match = a.take("match_glob")
    if "*" in source:
        before, _, behind = source.partition("*")
        folder, _, rest = before.rpartition("/")
        source, match = f"{folder}/" if folder else "", f"{rest}*{behind}"
    params: dict[str, Any] = {
        "source": f"gs://{bucket}/{source}",
        "destination": f"gs://{to}/{target}",
    }
    if source.endswith("/") and not target.endswith("/"):
        params["destination"] += "/"
    if match:
        params["match"] = match
    if a.take("replace", default=True) is False:
        params["overwrite"] = False
    a.ignore("exact_match", "source_object_required")
    return "gcs.move" if moves else "gcs.copy", _gcs(a, **params)


def _synchronize(a: Arguments) -> Made:
    source, target = a.take("source_object", default=""), a.take("destination_object", default="")
    if not source.strip("/") or not target.strip("/"):
        raise NotTaken("it copies from or to a whole bucket: write a gcs.copy for each folder")
    params: dict[str, Any] = {
        "source": f"gs://{a.needs('source_bucket')}/{source.strip('/')}/",
        "destination": f"gs://{a.needs('destination_bucket')}/{target.strip('/')}/",
    }
    if a.take("delete_extra_files"):
        a.note("it deleted what the source has not: a gcs.copy deletes nothing")
    if not a.take("allow_overwrite", default=False):
        params["overwrite"] = False
    a.ignore("recursive")
    return "gcs.copy", _gcs(a, allow_empty=True, **params)


def _upload(a: Arguments) -> Made:
    source, target = a.needs("src"), a.needs("dst")
    if isinstance(source, list):
        if len(source) != 1:
            raise NotTaken(
                "it uploads several files: write a gcs.upload for each, or one of a folder"
            )
        [source] = source
    if not isinstance(source, str) or "*" in source:
        raise NotTaken("its files are known only when it runs: write a gcs.upload of their folder")
    if not source.startswith(("/", "{{")):
        a.note(
            "its file is beside the DAG: here the worker's host must have it, so its path is needed"
        )
        source = f"/{source}"
    if target.endswith("/") and not source.endswith("/"):
        target += source.rpartition("/")[2]
    if a.take("gzip"):
        a.note("gzip: left out, the object is as the file is")
    params = {"source": source, "destination": f"gs://{a.needs('bucket')}/{target}"}
    a.ignore("chunk_size")
    kind = a.take("mime_type")
    return "gcs.upload", _gcs(a, content_type=kind if kind != _BYTES else None, **params)


def _delete(a: Arguments) -> Made:
    bucket = a.needs("bucket_name")
    objects, prefix = a.take("objects"), a.take("prefix")
    if prefix is not None:
        prefixes = prefix if isinstance(prefix, list) else [prefix]
        if not all(isinstance(each, str) and each.endswith("/") for each in prefixes):
            raise NotTaken("its prefix is no folder with a / at its end")
        return "gcs.delete", _gcs(a, folders=[f"gs://{bucket}/{each}" for each in prefixes])
    if not isinstance(objects, list):
        raise NotTaken("its objects are known only when the file runs")
    return "gcs.delete", _gcs(a, uris=[f"gs://{bucket}/{each}" for each in objects])


def _object_sensor(a: Arguments) -> Made:
    uri = f"gs://{a.needs('bucket')}/{a.needs('object')}"
    a.ignore("use_glob", "retry")
    return "gcs.wait_object", _gcs(a, **{"glob" if "*" in uri else "object": uri})


def _update_sensor(a: Arguments) -> Made:
    a.ignore("ts_func")
    a.note("it waits for an object newer than the logical date")
    operator, params = _object_sensor(a)
    return operator, params | {"newer_than": "{{ logical_date }}"}


def _prefix_sensor(a: Arguments) -> Made:
    uri = f"gs://{a.needs('bucket')}/{a.needs('prefix')}"
    least = a.take("min_objects")
    quiet = a.take("inactivity_period")
    a.ignore("previous_objects", "allow_delete")
    return "gcs.wait_object", _gcs(
        a, prefix=uri, min_objects=least if least != 1 else None, quiet_for=quiet
    )


def _callable(a: Arguments, thing: Any) -> str:
    if isinstance(thing, Named) and "." in thing.name:
        module, _, name = thing.name.rpartition(".")
        return f"{module}:{name}"
    if not isinstance(thing, Function | Named):
        raise NotTaken("its function has no name")
    name = thing.name
    module = thing.module if isinstance(thing, Function) else ""
    if not module:
        raise NotTaken("its function is of no module")
    a.note(f"its function {name} must stand in a module without Airflow: here {module}")
    return f"{module}:{name}"


def _function(a: Arguments) -> dict[str, Any]:
    params: dict[str, Any] = {"callable": _callable(a, a.raw("python_callable"))}
    if args := a.take("op_args"):
        params["args"] = args
    if kwargs := a.take("op_kwargs"):
        params["kwargs"] = kwargs
    if a.take("templates_dict"):
        a.note("templates_dict: left out, give it as an argument")
    a.ignore("provide_context", "show_return_value_in_logs", "multiple_outputs", "do_xcom_push")
    return params


def _python(a: Arguments) -> Made:
    return "python.call", _function(a)


def _branch(a: Arguments) -> Made:
    return "branch", _function(a)


def _short_circuit(a: Arguments) -> Made:
    if a.take("ignore_downstream_trigger_rules", default=True):
        a.note("the trigger rules further down decide for themselves what is skipped")
    return "branch", _function(a)


def _run(a: Arguments) -> Made:
    params: dict[str, Any] = {"dag": a.needs("trigger_dag_id")}
    if conf := a.take("conf"):
        params["params"] = conf
    if (date := a.take("logical_date", "execution_date")) is not None:
        params["logical_date"] = date
    if not a.take("wait_for_completion", default=False):
        a.note("it did not wait for the run that it starts: here it does")
    a.ignore("poke_interval", "reset_dag_run", "allowed_states", "failed_states", "deferrable")
    return "dag.run", params


def _wait(a: Arguments) -> Made:
    params: dict[str, Any] = {"dag": a.needs("external_dag_id")}
    if a.take("external_task_id", "external_task_ids", "external_task_group_id") is not None:
        a.note("it waited for a task of that DAG: here for its whole run")
    if a.raw("execution_delta") is not None or a.raw("execution_date_fn") is not None:
        a.note("the logical date of the run that it waited for: give it as logical_date")
    a.ignore("allowed_states", "failed_states", "check_existence", "mode", "poke_interval")
    a.ignore("deferrable")
    return "dag.wait", params


def stand_in(task_id: str) -> Made:
    """What stands where no operator of ours does, so that the graph is whole: it fails if run."""
    name = "".join(char if char.isalnum() and char.isascii() else "_" for char in task_id)
    return "python.call", {"callable": f"{_ALWAYS}:task_{name}"}


OTHERS: Final[Mapping[str, Callable[[Arguments], Made]]] = {
    "GCSToGCSOperator": _copy,
    "GCSSynchronizeBucketsOperator": _synchronize,
    "LocalFilesystemToGCSOperator": _upload,
    "GCSDeleteObjectsOperator": _delete,
    "GCSObjectExistenceSensor": _object_sensor,
    "GCSObjectExistenceAsyncSensor": _object_sensor,
    "GCSObjectUpdateSensor": _update_sensor,
    "GCSObjectsWithPrefixExistenceSensor": _prefix_sensor,
    "GCSUploadSessionCompleteSensor": _prefix_sensor,
    "PythonOperator": _python,
    "@task": _python,
    "BranchPythonOperator": _branch,
    "@branch": _branch,
    "ShortCircuitOperator": _short_circuit,
    "@short_circuit": _short_circuit,
    "TriggerDagRunOperator": _run,
    "ExternalTaskSensor": _wait,
}
# Operators in whose place there is nothing, and why.
_BUCKET: Final = "make the bucket once, by hand or by Terraform"
_BATCH: Final = "a batch that has ended costs nothing"
_WAITED: Final = "the task that starts that waits for its end"
NOTHING: Final[Mapping[str, str]] = {
    "EmptyOperator": "it does nothing",
    "DummyOperator": "it does nothing",
    "GCSCreateBucketOperator": _BUCKET,
    "GCSDeleteBucketOperator": f"{_BUCKET}; what is in it stays",
    "DataprocDeleteBatchOperator": _BATCH,
    "DataprocJobSensor": _WAITED,
    "DataprocBatchSensor": _WAITED,
}
