"""What pyDag's scripts become, before anything is sent."""

from __future__ import annotations

import json

import pytest

from tests.unit.workers.support import context
from workers.errors import TaskFailed
from workers.operators import find

SPARK = {
    "cluster_name": "cluster-dataproc-pydag-2022",
    "project_name": "atomic-key-348214",
    "region": "us-central1",
    "file_name": "test.csv",
    "**GCP_service-account": "",
}
SETTINGS = {
    "stores": ["gcs:project-pydag"],
    "connections": {"GCP": {}},
    "spark": {
        "spark.jars": "gs://spark-lib/bigquery/spark-bigquery-latest_2.12.jar,gs://b/x.jar",
        "temporaryGcsBucket": "pydag-temporary-bucket",
    },
}


def spark_spec(path="gcs.project-pydag.module_name.spark.csv_gcs_to_bq", params=SPARK, **settings):
    task = context(
        params,
        operator="script.spark",
        script=path,
        task_id="initial_ingestion_1",
        dag_id="TEST_DAG",
        settings=SETTINGS | settings,
    )
    return find("script.spark").spec(task)


def test_a_spark_script_is_its_own_object_with_its_params_as_one_json():
    spec = spark_spec()
    assert (spec.region, spec.cluster_name) == ("us-central1", "cluster-dataproc-pydag-2022")
    assert (spec.project, spec.connection) == ("atomic-key-348214", "GCP")
    job = spec.work["pyspark_job"]
    assert job["main_python_file_uri"] == "gs://project-pydag/module_name/csv_gcs_to_bq.py"
    assert job["jar_file_uris"] == [
        "gs://spark-lib/bigquery/spark-bigquery-latest_2.12.jar",
        "gs://b/x.jar",
    ]
    option, value = job["args"]
    assert option == "--params"
    assert json.loads(value) == {
        "cluster_name": "cluster-dataproc-pydag-2022",
        "project_name": "atomic-key-348214",
        "region": "us-central1",
        "file_name": "test.csv",
        "GCP_service-account": "",
        "spark.jars": "gs://spark-lib/bigquery/spark-bigquery-latest_2.12.jar,gs://b/x.jar",
        "temporarygcsbucket": "pydag-temporary-bucket",
        "id": "TEST_DAG_initial_ingestion_1",
    }


def test_without_spark_settings_there_are_no_jars():
    assert spark_spec(spark={}).work["pyspark_job"]["jar_file_uris"] == []


def test_a_spark_script_must_be_in_cloud_storage():
    with pytest.raises(TaskFailed, match='reads its scripts from storage "gcs" only'):
        spark_spec("local.project-pydag.module_name.spark.s", stores=["local:/srv"])


def test_a_spark_script_must_be_in_a_trusted_store():
    with pytest.raises(TaskFailed, match="add gcs:other to its setting stores"):
        spark_spec("gcs.other.module_name.spark.s")


def test_a_spark_script_must_name_its_cluster():
    with pytest.raises(TaskFailed) as failed:
        spark_spec(params={})
    for name in ("cluster_name", "project_name", "region"):
        assert f"{name}: is missing" in str(failed.value)


def bq_statement(tmp_path, text, params, **fields):
    folder = tmp_path / "bucket" / "folder"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "script.sql").write_text(text)
    task = context(
        params,
        operator="script.bq",
        script="local.bucket.folder.bq.script",
        settings={"stores": [f"local:{tmp_path}"], "connections": {"GCP": {"project": "p"}}},
        **fields,
    )
    return find("script.bq").statement(task)


def test_a_bq_script_is_filled(tmp_path):
    text = "INSERT INTO {dataset}.{table} SELECT {year}, '{{x}}'"
    statement = bq_statement(tmp_path, text, {"dataset": "d", "table": "t", "*year": 2022})
    assert statement.sql == "INSERT INTO d.t SELECT 2022, '{x}'"
    assert statement.config["query_parameters"] == []


def test_a_bq_script_may_say_at_name_instead(tmp_path):
    params = {"dataset": "d", "category": "cars'; DROP TABLE t; --", "limit": 3, "columns": "a"}
    text = "SELECT @@row_count FROM {dataset}.t WHERE c = @category AND n < @limit AND x = @unknown"
    statement = bq_statement(tmp_path, text, params)
    assert statement.sql == text.format(dataset="d")
    assert {p.name: p.value for p in statement.config["query_parameters"]} == {
        "category": "cars'; DROP TABLE t; --",
        "limit": 3,
    }


def test_a_bq_script_says_what_is_missing(tmp_path):
    with pytest.raises(
        TaskFailed, match=r"script local\.bucket\.folder\.bq\.script: missing parameters: a, b"
    ):
        bq_statement(tmp_path, "{a} {b}", {})


def test_a_cached_script_is_never_stale_and_trusted_again(tmp_path):
    task = context()
    fields = {"script_cache": True, "redis": task.redis}
    bq_statement(tmp_path, "SELECT 1", {}, **fields)
    assert bq_statement(tmp_path, "SELECT 2", {}, **fields).sql == "SELECT 2"
    untrusting = context({}, operator="script.bq", script="local.bucket.folder.bq.script", **fields)
    with pytest.raises(TaskFailed, match="does not trust"):
        find("script.bq").statement(untrusting)


def test_a_path_that_is_none_is_explained():
    with pytest.raises(TaskFailed, match="script of task t: must have the five parts"):
        find("script.bq").statement(context({}, operator="script.bq", script="x.y"))
