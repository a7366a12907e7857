"""The kinds of work that the service can do: PySpark, Spark and SparkSQL."""

from __future__ import annotations

from typing import Any

from google.cloud.dataproc_v1 import Batch, Job

from pydag_emulators.dataproc.calls.refused import Refused, invalid, unimplemented

KINDS = ("pyspark_job", "spark_job", "spark_sql_job")


def kind_of(job: Job) -> str:
    """Which field of a job says what it runs."""
    return str(Job.pb(job).WhichOneof("type_job"))


def work_of(job: Job) -> Any:
    """What it runs: a PySparkJob, SparkJob or SparkSqlJob."""
    return getattr(job, kind_of(job))


def check_job(job: Job) -> None:
    """Refuse work, and ways to run it, that can't be carried out."""
    kind = Job.pb(job).WhichOneof("type_job")
    if kind is None:
        raise invalid("Job.type_job is required: a job must have pyspark_job or another one")
    if kind not in KINDS:
        raise unimplemented(f"A {kind}")
    if refused := _lack(kind.removesuffix("_job"), getattr(job, kind)):
        raise refused
    if job.scheduling.max_failures_per_hour or job.scheduling.max_failures_total:
        raise unimplemented("A job that is started again when it fails (scheduling)")


def check_batch(batch: Batch) -> None:
    """Refuse work and settings that can't be carried out."""
    kind = Batch.pb(batch).WhichOneof("batch_config")
    if kind is None:
        raise invalid("Batch.batch_config is required: a batch must have pyspark_batch or another")
    if f"{kind.removesuffix('_batch')}_job" not in KINDS:
        raise unimplemented(f"A {kind}")
    if batch.runtime_config.container_image:
        raise unimplemented("A batch in a container_image")
    if batch.environment_config.peripherals_config.metastore_service:
        raise unimplemented("A batch with a metastore_service")
    if refused := _lack(kind.removesuffix("_batch"), getattr(batch, kind)):
        raise refused


def work_of_batch(batch: Batch) -> dict[str, Any]:
    """The same work as a field of a job."""
    kind = str(Batch.pb(batch).WhichOneof("batch_config")).removesuffix("_batch")
    work = getattr(batch, f"{kind}_batch")
    fields = {name: getattr(work, name) for name in type(work).meta.fields}
    if "query_variables" in fields:
        fields["script_variables"] = fields.pop("query_variables")
    fields = {name: value for name, value in fields.items() if value}
    properties = dict(batch.runtime_config.properties)
    # These are settings of Google's runtime, which Spark does not know.
    fields["properties"] = {k: v for k, v in properties.items() if k.startswith("spark.")}
    return {f"{kind}_job": fields}


def _lack(kind: str, work: Any) -> Refused | None:
    if kind == "pyspark" and not work.main_python_file_uri:
        return invalid("main_python_file_uri is required")
    if kind == "spark" and not (work.main_class or work.main_jar_file_uri):
        return invalid("main_class or main_jar_file_uri is required")
    if kind == "spark_sql" and not work.query_file_uri and not getattr(work, "query_list", None):
        return invalid("query_file_uri or query_list is required")
    return None
