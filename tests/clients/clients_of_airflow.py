"""Airflow's Google operators against local services; prints what became of each as JSON.

Run by `test_clients.py` with the Python of an environment that has Airflow. No scheduler runs:
an operator's `execute` is called, with a connection that is anonymous.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from unittest.mock import MagicMock

os.environ["AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT"] = json.dumps(
    {
        "conn_type": "google_cloud_platform",
        "extra": {"is_anonymous": True, "project": "local-project"},
    }
)

import grpc
from airflow.providers.google.cloud.hooks.dataproc import DataprocHook
from airflow.providers.google.cloud.operators import bigquery, dataproc, gcs
from airflow.providers.google.cloud.sensors.bigquery import (
    BigQueryTableExistenceSensor,
    BigQueryTablePartitionExistenceSensor,
)
from airflow.providers.google.cloud.sensors.gcs import (
    GCSObjectExistenceSensor,
    GCSObjectsWithPrefixExistenceSensor,
)
from airflow.providers.google.cloud.transfers.bigquery_to_bigquery import (
    BigQueryToBigQueryOperator,
)
from airflow.providers.google.cloud.transfers.bigquery_to_gcs import (
    BigQueryToGCSOperator,
)
from airflow.providers.google.cloud.transfers.gcs_to_bigquery import (
    GCSToBigQueryOperator,
)
from airflow.providers.google.cloud.transfers.gcs_to_gcs import GCSToGCSOperator
from airflow.providers.google.cloud.transfers.gcs_to_local import (
    GCSToLocalFilesystemOperator,
)
from airflow.providers.google.cloud.transfers.local_to_gcs import (
    LocalFilesystemToGCSOperator,
)
from google.cloud import dataproc_v1

PROJECT, REGION = "local-project", "us-central1"
PLACE = {"project_id": PROJECT, "region": REGION}
CLUSTER = {"cluster_name": "airflow", **PLACE}
MADE = {"dataset_id": "airflow", "table_id": "made"}
JOB = {
    "placement": {"cluster_name": "airflow"},
    "pyspark_job": {"main_python_file_uri": "gs://airflow/hello.py"},
}
SQL = {"use_legacy_sql": False}
DAY = datetime(2026, 1, 31, tzinfo=UTC)
DAG_RUN = MagicMock(run_id="r", run_after=DAY, logical_date=DAY, start_date=DAY)
ROWS = "PARTITION BY day AS SELECT n AS id, DATE '2026-01-31' AS day FROM UNNEST([1, 2, 3]) AS n"


def local_client(kind: type[Any]) -> Callable[..., Any]:
    """What makes a client of the local Dataproc: Airflow has no setting for that."""
    channel = grpc.insecure_channel(os.environ["DATAPROC_EMULATOR_HOST"])
    transport = kind.get_transport_class("grpc")
    return lambda *_, **__: kind(transport=transport(channel=channel))


DataprocHook.get_cluster_client = local_client(dataproc_v1.ClusterControllerClient)
DataprocHook.get_job_client = local_client(dataproc_v1.JobControllerClient)
DataprocHook.get_batch_client = local_client(dataproc_v1.BatchControllerClient)
DataprocHook.get_template_client = local_client(dataproc_v1.WorkflowTemplateServiceClient)


def query(sql: str, **more: Any) -> dict[str, Any]:
    """The configuration of a query's job."""
    return {"query": {"query": sql, "useLegacySql": False, **more}}


# In this order: later ones use what earlier ones made.
OPERATORS: list[tuple[type[Any], dict[str, Any]]] = [
    (bigquery.BigQueryCreateEmptyDatasetOperator, {"dataset_id": "airflow"}),
    (gcs.GCSCreateBucketOperator, {"bucket_name": "airflow-made"}),
    (
        bigquery.BigQueryCreateTableOperator,
        {
            "dataset_id": "airflow",
            "table_id": "empty",
            "table_resource": {"schema": {"fields": [{"name": "id", "type": "INT64"}]}},
        },
    ),
    (
        bigquery.BigQueryInsertJobOperator,
        {"configuration": query(f"CREATE OR REPLACE TABLE airflow.made {ROWS}")},
    ),
    (
        BigQueryTableExistenceSensor,
        {"project_id": PROJECT, "dataset_id": "airflow", "table_id": "made"},
    ),
    (bigquery.BigQueryGetDatasetOperator, {"dataset_id": "airflow"}),
    (
        bigquery.BigQueryUpdateDatasetOperator,
        {"dataset_id": "airflow", "dataset_resource": {"description": "of Airflow"}},
    ),
    (
        bigquery.BigQueryUpdateTableOperator,
        {**MADE, "fields": ["description"], "table_resource": {"description": "three rows"}},
    ),
    (
        bigquery.BigQueryUpdateTableSchemaOperator,
        {**MADE, "schema_fields_updates": [{"name": "id", "description": "a number"}]},
    ),
    (
        BigQueryTablePartitionExistenceSensor,
        {"project_id": PROJECT, **MADE, "partition_id": "20260131"},
    ),
    (bigquery.BigQueryGetDatasetTablesOperator, {"dataset_id": "airflow"}),
    (
        bigquery.BigQueryUpsertTableOperator,
        {"dataset_id": "airflow", "table_resource": {"tableReference": {"tableId": "upserted"}}},
    ),
    (bigquery.BigQueryCheckOperator, {"sql": "SELECT COUNT(*) = 3 FROM airflow.made", **SQL}),
    (
        bigquery.BigQueryValueCheckOperator,
        {"sql": "SELECT COUNT(*) FROM airflow.made", "pass_value": 3, **SQL},
    ),
    (
        bigquery.BigQueryColumnCheckOperator,
        {"table": "airflow.made", "column_mapping": {"id": {"min": {"equal_to": 1}}}, **SQL},
    ),
    (
        bigquery.BigQueryTableCheckOperator,
        {"table": "airflow.made", "checks": {"some": {"check_statement": "COUNT(*) > 1"}}, **SQL},
    ),
    (
        BigQueryToGCSOperator,
        {
            "source_project_dataset_table": f"{PROJECT}.airflow.made",
            "destination_cloud_storage_uris": ["gs://airflow/out/made.csv"],
        },
    ),
    (GCSObjectExistenceSensor, {"bucket": "airflow", "object": "out/made.csv"}),
    (GCSObjectsWithPrefixExistenceSensor, {"bucket": "airflow", "prefix": "out/"}),
    (
        GCSToBigQueryOperator,
        {
            "bucket": "airflow",
            "source_objects": ["out/made.csv"],
            "destination_project_dataset_table": f"{PROJECT}.airflow.loaded",
            "skip_leading_rows": 1,
            "schema_fields": [
                {"name": "id", "type": "INTEGER"},
                {"name": "day", "type": "DATE"},
            ],
        },
    ),
    (
        BigQueryToBigQueryOperator,
        {
            "source_project_dataset_tables": f"{PROJECT}.airflow.made",
            "destination_project_dataset_table": f"{PROJECT}.airflow.copied",
        },
    ),
    (bigquery.BigQueryGetDataOperator, {"dataset_id": "airflow", "table_id": "copied"}),
    (
        GCSToGCSOperator,
        {
            "source_bucket": "airflow",
            "source_object": "out/made.csv",
            "destination_bucket": "airflow",
            "destination_object": "copy.csv",
        },
    ),
    (gcs.GCSListObjectsOperator, {"bucket": "airflow", "prefix": "copy"}),
    (gcs.GCSDeleteObjectsOperator, {"bucket_name": "airflow", "objects": ["copy.csv"]}),
    (
        LocalFilesystemToGCSOperator,
        {"src": __file__, "dst": "script.py", "bucket": "airflow"},
    ),
    (
        gcs.GCSFileTransformOperator,
        {
            "source_bucket": "airflow",
            "source_object": "script.py",
            "destination_object": "again.py",
            "transform_script": ["cp"],
        },
    ),
    (
        GCSToLocalFilesystemOperator,
        {"bucket": "airflow", "object_name": "again.py", "filename": os.devnull},
    ),
    (
        gcs.GCSSynchronizeBucketsOperator,
        {"source_bucket": "airflow", "destination_bucket": "airflow-copies"},
    ),
    (gcs.GCSDeleteBucketOperator, {"bucket_name": "airflow-made"}),
    (dataproc.DataprocCreateClusterOperator, {**CLUSTER, "cluster_config": {}}),
    (dataproc.DataprocSubmitJobOperator, {**PLACE, "job": JOB}),
    (
        dataproc.DataprocCreateBatchOperator,
        {
            **PLACE,
            "batch_id": "airflow-batch",
            "batch": {"pyspark_batch": JOB["pyspark_job"]},
            "timeout": 120,
        },
    ),
    (dataproc.DataprocListBatchesOperator, PLACE),
    (
        dataproc.DataprocUpdateClusterOperator,
        {
            **CLUSTER,
            "cluster": {"config": {"worker_config": {"num_instances": 3}}},
            "update_mask": {"paths": ["config.worker_config.num_instances"]},
            "graceful_decommission_timeout": {"seconds": 60},
        },
    ),
    (dataproc.DataprocDiagnoseClusterOperator, CLUSTER),
    (
        dataproc.DataprocInstantiateInlineWorkflowTemplateOperator,
        {
            **PLACE,
            "template": {
                "id": "airflow-template",
                "placement": {"managed_cluster": {"cluster_name": "managed", "config": {}}},
                "jobs": [{"step_id": "hello", "pyspark_job": JOB["pyspark_job"]}],
            },
        },
    ),
    (dataproc.DataprocStopClusterOperator, CLUSTER),
    (dataproc.DataprocStartClusterOperator, CLUSTER),
    (dataproc.DataprocDeleteClusterOperator, CLUSTER),
    (bigquery.BigQueryDeleteTableOperator, {"deletion_dataset_table": f"{PROJECT}.airflow.made"}),
    (
        bigquery.BigQueryDeleteDatasetOperator,
        {"dataset_id": "airflow", "delete_contents": True},
    ),
]


def run(kind: type[Any], params: dict[str, Any]) -> str:
    """Nothing if an operator does what it should, else why not."""
    try:
        if kind.__module__.split(".")[-2] == "sensors":
            params = params | {"poke_interval": 0.5, "timeout": 30}
        operator = kind(task_id=f"t{kind.__name__}", **params)
        task = MagicMock(try_number=1, map_index=-1)
        context = {"ti": task, "task_instance": task, "task": operator, "dag_run": DAG_RUN}
        operator.execute(context | {"logical_date": DAY, "run_id": "r", "ds": "2026-01-31"})
    except Exception as error:  # noqa: BLE001  it is what is told
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    told = {kind.__name__: run(kind, params) for kind, params in OPERATORS}
    sys.stdout.write(f"\n{json.dumps(told)}\n")
