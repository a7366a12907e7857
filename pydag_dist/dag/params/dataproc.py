"""The params of Dataproc's operators, named as Dataproc's API names them."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from pydag_dist.dag.params.dataproc_config import check
from pydag_dist.dag.params.types import ClusterName, Filled, GcsUri, GoogleParams, Region, Sql


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


class SparkParams(RegionParams):
    """What to run: PySpark, Spark or SparkSQL. The field that names it decides which."""

    main_python_file_uri: GcsUri | None = Field(None, description="PySpark: the script")
    main_class: Filled | None = Field(None, description="Spark: a class of the jars")
    main_jar_file_uri: Filled | None = Field(None, description="Spark: a jar with its main class")
    query_file_uri: GcsUri | None = Field(None, description="SparkSQL: a file of statements")
    query_variables: dict[str, str] = Field({}, description="SparkSQL: of ${name}")
    args: list[str] = Field([], description="PySpark, Spark")
    python_file_uris: list[str] = Field([], description="PySpark")
    jar_file_uris: list[str] = Field([])
    file_uris: list[str] = Field([], description="PySpark, Spark")
    archive_uris: list[str] = Field([], description="PySpark, Spark")
    properties: dict[str, str] = Field({}, description="Spark's settings")

    @property
    def kind(self) -> str:
        """Which of Dataproc's kinds of jobs it is: pyspark, spark or spark_sql."""
        if self.main_python_file_uri:
            return "pyspark"
        return "spark" if self.main_class or self.main_jar_file_uri else "spark_sql"

    def mains(self) -> list[str]:
        """The fields that say what to run, of those that there are."""
        names = ("main_python_file_uri", "main_class", "main_jar_file_uri", "query_file_uri")
        return [name for name in names if getattr(self, name) is not None]

    def refused(self) -> list[str]:
        """The fields that are given and mean nothing for this kind."""
        sql, python = ("query_variables",), ("python_file_uris",)
        code = ("args", "file_uris", "archive_uris")
        wrong = {"pyspark": sql, "spark": sql + python, "spark_sql": python + code}[self.kind]
        return [name for name in wrong if getattr(self, name)]

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if len(self.mains()) != 1:
            raise ValueError(
                "give one of main_python_file_uri, main_class, main_jar_file_uri and the query's"
            )
        if refused := self.refused():
            raise ValueError(f"{', '.join(refused)}: not for a job of kind {self.kind}")
        return self


class DataprocSubmitJob(ClusterParams, SparkParams):
    """``dataproc.submit_job``: run PySpark, Spark or SparkSQL on a cluster that is there."""

    queries: list[Sql] | None = Field(None, description="SparkSQL: statements", min_length=1)

    def mains(self) -> list[str]:
        """The fields that say what to run, of those that there are."""
        return [*super().mains(), *(["queries"] if self.queries else [])]


class DataprocSubmitBatch(SparkParams):
    """``dataproc.submit_batch``: run PySpark, Spark or SparkSQL without a cluster."""

    runtime_version: Filled | None = Field(None, description="of Dataproc's runtime, as 2.3")
    container_image: Filled | None = Field(None, description="in place of Dataproc's own")
    environment: Annotated[
        dict[str, Any], AfterValidator(partial(check, message="EnvironmentConfig"))
    ] = Field({}, description="Dataproc's EnvironmentConfig, in snake_case")
