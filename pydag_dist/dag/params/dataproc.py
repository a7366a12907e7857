"""The params of Dataproc's operators, named as Dataproc's API names them."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pydag_dist.dag.params.dataproc_config import check
from pydag_dist.dag.params.types import (
    ClusterName,
    Filled,
    GoogleParams,
    MainUri,
    Region,
    Sql,
    TemplateId,
    TemplateParameter,
)

MOST_MACHINES: Final = 100_000
MOST_PARAMETERS: Final = 100
_SCRIPTS: Final = ("main_python_file_uri", "main_r_file_uri")
_CLASSES: Final = ("main_class", "main_jar_file_uri")
_QUERIES: Final = ("query_file_uri", "queries")
_CODE: Final = ("args", "jar_file_uris", "file_uris", "archive_uris")
_SQL: Final = (*_QUERIES, "query_variables", "jar_file_uris")
_ASKED: Final = (*_QUERIES, "continue_on_failure", "output_format", "client_tags")
# The fields of each kind; a contract test compares them with those of Google's client library.
_OF_KINDS: Final = {
    "pyspark": ("main_python_file_uri", "python_file_uris", *_CODE),
    "spark": (*_CLASSES, *_CODE),
    "spark_r": ("main_r_file_uri", "args", "file_uris", "archive_uris"),
    "spark_sql": _SQL,
    "hadoop": (*_CLASSES, *_CODE),
    "flink": (*_CLASSES, "args", "jar_file_uris", "savepoint_uri"),
    "hive": (*_SQL, "continue_on_failure"),
    "pig": (*_SQL, "continue_on_failure"),
    "presto": _ASKED,
    "trino": _ASKED,
}
_OF_ALL: Final = (
    "properties", "job_type", "cluster_name", "runtime_version", "container_image", "environment",
)  # fmt: skip


class RegionParams(GoogleParams):
    """The params that all operators of Dataproc have."""

    region: Region


class ClusterParams(RegionParams):
    """Which Dataproc cluster."""

    cluster_name: ClusterName


class DataprocCreateCluster(ClusterParams):
    """``dataproc.create_cluster``: create it, or find the one that this try created."""

    config: Annotated[dict[str, Any], AfterValidator(partial(check, message="ClusterConfig"))] = (
        Field({}, description="Dataproc's ClusterConfig, in snake_case")
    )
    use_if_exists: bool = Field(False, description="take a cluster of that name as it is")
    # Google's limits are 5 minutes and 14 days.
    idle_delete_ttl: int | None = Field(
        1800, ge=300, le=1_209_600, description="seconds without a job after which it goes"
    )
    delete_on_error: bool = Field(True, description="after its diagnosis was saved")


class DataprocDeleteCluster(ClusterParams):
    """``dataproc.delete_cluster``: delete it; it is no error if it is gone already."""

    only_own: bool = Field(False, description="not one that this run did not make")


class DataprocUpdateCluster(ClusterParams):
    """``dataproc.update_cluster``: give it more or fewer machines."""

    num_workers: int | None = Field(None, ge=0, le=MOST_MACHINES, description="primary workers")
    num_secondary_workers: int | None = Field(None, ge=0, le=MOST_MACHINES)
    decommission_timeout: int = Field(
        0, ge=0, le=86_400, description="seconds that work on machines that go may take to end"
    )

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.num_workers is None and self.num_secondary_workers is None:
            raise ValueError('give "num_workers", "num_secondary_workers" or both')
        return self


class DataprocStartCluster(ClusterParams):
    """``dataproc.start_cluster``: start it, if it is stopped."""


class DataprocStopCluster(ClusterParams):
    """``dataproc.stop_cluster``: stop its machines, and keep their disks."""


class WorkParams(RegionParams):
    """What to run. The field that names it decides what it is, if `job_type` doesn't."""

    main_python_file_uri: MainUri | None = Field(None, description="PySpark: the script")
    main_r_file_uri: MainUri | None = Field(None, description="SparkR: the script")
    main_class: Filled | None = Field(None, description="Spark: a class of the jars")
    main_jar_file_uri: Filled | None = Field(None, description="Spark: a jar with its main class")
    query_file_uri: MainUri | None = Field(None, description="SparkSQL: a file of statements")
    query_variables: dict[str, str] = Field({}, description="SparkSQL: of ${name}")
    args: list[str] = Field([], description="of a script or class")
    python_file_uris: list[str] = Field([], description="PySpark")
    jar_file_uris: list[str] = Field([])
    file_uris: list[str] = Field([], description="other files, in the driver's directory")
    archive_uris: list[str] = Field([], description="of a script or class")
    properties: dict[str, str] = Field({}, description="settings of Spark, Hive, …")
    mains: ClassVar[tuple[str, ...]] = (*_SCRIPTS, *_CLASSES, "query_file_uri")

    @property
    def kind(self) -> str:
        """Which of Dataproc's kinds of work it is, as pyspark."""
        if self.main_python_file_uri:
            return "pyspark"
        if self.main_r_file_uri:
            return "spark_r"
        return "spark" if self.main_class or self.main_jar_file_uri else "spark_sql"

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [name for name in self.mains if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(self.mains)}")
        allowed = {*_OF_KINDS[self.kind], *RegionParams.model_fields, *_OF_ALL}
        given = [name for name in type(self).model_fields if getattr(self, name)]
        if refused := [name for name in given if name not in allowed]:
            raise ValueError(f"{', '.join(refused)}: not for a job of kind {self.kind}")
        return self


class DataprocSubmitJob(ClusterParams, WorkParams):
    """``dataproc.submit_job``: run Spark, Hive, Hadoop, … on a cluster that is there."""

    job_type: Literal["hadoop", "flink", "hive", "pig", "presto", "trino"] | None = Field(
        None, description="if it is not of Spark: what runs the class, jar or queries"
    )
    queries: list[Sql] | None = Field(None, description="statements", min_length=1)
    continue_on_failure: bool = Field(False, description="Hive, Pig, Presto, Trino")
    output_format: Filled | None = Field(None, description="Presto, Trino: as CSV")
    client_tags: list[str] = Field([], description="Presto, Trino")
    savepoint_uri: Filled | None = Field(None, description="Flink: where to go on from")
    mains: ClassVar[tuple[str, ...]] = (*WorkParams.mains, "queries")

    @property
    def kind(self) -> str:
        """Which of Dataproc's kinds of work it is, as pyspark."""
        return self.job_type or super().kind


class DataprocSubmitBatch(WorkParams):
    """``dataproc.submit_batch``: run PySpark, SparkR, Spark or SparkSQL without a cluster."""

    runtime_version: Filled | None = Field(None, description="of Dataproc's runtime, as 2.3")
    container_image: Filled | None = Field(None, description="in place of Dataproc's own")
    environment: Annotated[
        dict[str, Any], AfterValidator(partial(check, message="EnvironmentConfig"))
    ] = Field({}, description="Dataproc's EnvironmentConfig, in snake_case")


class DataprocWorkflowTemplate(RegionParams):
    """``dataproc.workflow_template``: run a workflow: jobs that Dataproc orders, and a cluster."""

    template_id: TemplateId | None = Field(None, description="a template that is there")
    version: int | None = Field(None, ge=1, description="that it must have")
    parameters: Annotated[
        dict[TemplateParameter, Annotated[str, Field(max_length=1000)]],
        Field(max_length=MOST_PARAMETERS),
    ] = Field({}, description="values of the template's parameters")
    template: (
        Annotated[dict[str, Any], AfterValidator(partial(check, message="WorkflowTemplate"))] | None
    ) = Field(None, description="Dataproc's WorkflowTemplate, in snake_case, that is nowhere else")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.template_id is None) == (self.template is None):
            raise ValueError('give "template_id" or "template"')
        names = ("version", "parameters") if self.template_id is None else ("labels",)
        if refused := [name for name in names if getattr(self, name)]:
            other = "template_id" if self.template_id is None else "template"
            raise ValueError(f"{', '.join(refused)}: only with {other}")
        return self
