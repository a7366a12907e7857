"""DAG files of Airflow, read without running them: what becomes of them, and what is named."""

from __future__ import annotations

import json
import textwrap

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from pydag_dist.cli import pydag
from pydag_dist.dag.airflow.reading import converted
from pydag_dist.errors import PydagError

HEAD = """
import os
from datetime import datetime, timedelta
from airflow import DAG
from airflow.decorators import dag, task
from airflow.models import Variable
from airflow.models.baseoperator import chain, cross_downstream
from airflow.operators.empty import EmptyOperator
from airflow.operators.python import *
from airflow.utils.task_group import TaskGroup
from airflow.utils.trigger_rule import TriggerRule
from airflow.providers.google.cloud.operators.bigquery import *
from airflow.providers.google.cloud.operators.dataproc import *
from airflow.providers.google.cloud.transfers.gcs_to_gcs import GCSToGCSOperator
from etl.steps import load
def local(): ...
"""


def read(body, arguments="", *, head=HEAD):
    """The DAG of a file with these statements inside its `with DAG`."""
    block = textwrap.indent(textwrap.dedent(body), "    ")
    [made] = converted(f"{head}\nwith DAG('d'{arguments}) as dag:\n{block}\n    pass\n", "air")
    return made


def task(made, name):
    [found] = [each for each in made.content["tasks"] if each["task_id"] == name]
    return found


def said(made):
    return [note.text for note in made.notes]


def edges(made):
    return {each["task_id"]: each.get("dependencies", []) for each in made.content["tasks"]}


def test_fields_of_the_dag():
    made = read(
        "PythonOperator(task_id='a', python_callable=load)",
        ", schedule='@daily', start_date=datetime(2024, 1, 2, 3), end_date=datetime(2025, 1, 1), "
        "catchup=True, max_active_runs=2, max_active_tasks=3, tags=['x'], description='y', "
        "dagrun_timeout=timedelta(minutes=2), params={'n': 1}, default_args={'owner': 'ana', "
        "'retries': 1, 'retry_delay': timedelta(seconds=5)}, sla_miss_callback=load",
    )
    assert {k: v for k, v in made.content.items() if k != "tasks"} == {
        "dag_id": "d", "schedule_interval": "@daily", "start_date": "2024-01-02T03:00:00",
        "end_date": "2025-01-01", "catchup": True, "max_active_runs": 2, "processors": 3,
        "tags": ["x"], "description": "y", "timeout": 120, "params": {"n": 1}, "owner": "ana",
    }  # fmt: skip
    assert task(made, "a") == {
        "task_id": "a", "operator": "python.call", "params": {"callable": "etl.steps:load"},
        "retries": 1, "retry_delay": 5,
    }  # fmt: skip
    assert said(made) == ["of the DAG left out: sla_miss_callback"]
    assert made.dag is not None


def test_edges_of_all_kinds():
    made = read("""
        a, b, c, d, e = [PythonOperator(task_id=x, python_callable=load) for x in "abcde"]
        a >> [b, c] >> d
        e << d
        chain(a, [b, c], [d, e])
        cross_downstream([a], [e])
        b.set_downstream(e)
        e.set_upstream(c)
    """)
    assert edges(made) == {
        "a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": ["d", "c", "a", "b"],
    }  # fmt: skip
    assert said(made) == []


def test_groups_loops_and_tasks_that_do_nothing():
    made = read("""
        start = EmptyOperator(task_id="start")
        end = PythonOperator(task_id="end", python_callable=load)
        with TaskGroup("g") as g:
            for n in range(2):
                one = PythonOperator(task_id=f"one_{n}", python_callable=load)
                two = PythonOperator(task_id="two_%d" % n, python_callable=load)
                one >> two
        first = PythonOperator(task_id="first", python_callable=load)
        first >> start >> g >> end
    """)
    assert edges(made) == {
        "end": ["g.two_0", "g.two_1"], "g.one_0": ["first"], "g.two_0": ["g.one_0"],
        "g.one_1": ["first"], "g.two_1": ["g.one_1"], "first": [],
    }  # fmt: skip
    assert said(made) == ["EmptyOperator is left out: it does nothing"]


def test_of_many_tasks_that_do_nothing_none_is_left():
    made = read("""
        tasks = [EmptyOperator(task_id=f"n{n}") for n in range(2000)]
        a, b = [PythonOperator(task_id=x, python_callable=load) for x in "ab"]
        chain(a, *tasks, b)
    """)
    assert edges(made) == {"a": [], "b": ["a"]}


def test_functions_that_are_tasks():
    text = HEAD + textwrap.dedent("""
        @dag(schedule=timedelta(hours=1), start_date=datetime(2024, 1, 1), catchup=False)
        def flow():
            @task
            def find(day): ...
            @task(retries=2, trigger_rule=TriggerRule.ALL_DONE)
            def work(item, base): ...
            @task.branch(task_id="which")
            def choose(x): ...
            files = find("{{ ds }}")
            done = work.partial(base=7).expand(item=files["names"])
            choose(done) >> [find.override(task_id="again")("x")]
        flow()
    """)
    [made] = converted(text, "air")
    assert (made.content["dag_id"], made.content["schedule_interval"]) == ("flow", 3600)
    assert task(made, "work") == {
        "task_id": "work", "operator": "python.call",
        "params": {"callable": "air:work", "kwargs": {"base": 7, "item": "{{ item }}"}},
        "dependencies": ["find"], "expand": {"over": "tasks.find.result.names"}, "retries": 2,
        "trigger_rule": "all_done",
    }  # fmt: skip
    assert task(made, "which")["params"]["args"] == ["{{ tasks.work.result }}"]
    assert edges(made)["again"] == ["which"]
    assert made.dag is not None


@pytest.mark.parametrize(
    ("airflow", "ours"),
    [
        ("{{ ds_nodash }}", "{{ ds | replace('-', '') }}"),
        ("{{ ts }} {{ execution_date }}", "{{ logical_date }} {{ logical_date }}"),
        ("{{ macros.ds_add(ds, -7) }}", "{{ ds | add_days(-7) }}"),
        ("{{ macros.ds_format(ds, '%Y-%m-%d', '%Y') }}", "{{ ds | strftime('%Y') }}"),
        ("{{ logical_date.strftime('%Y/%m') }}", "{{ logical_date | strftime('%Y/%m') }}"),
        ("{{ var.value.country }}", "{{ params.country }}"),
        ("{{ dag_run.conf['day'] }}", "{{ params.day }}"),
        ("{{ dag_run.conf.get('day') }}", "{{ params.day }}"),
        ("{{ ti.xcom_pull(task_ids='a')['n'] }}", "{{ tasks.a.result['n'] }}"),
        ("{{ task_instance.xcom_pull('g.a') }}", "{{ tasks['g.a'].result }}"),
        ("{{ dag.dag_id }}/{{ task.task_id }}", "{{ dag_id }}/{{ task_id }}"),
        ("{{ TABLE }}", "sales"),
    ],
)
def test_templates(airflow, ours):
    macros = ", user_defined_macros={'TABLE': 'sales'}"
    made = read(f"""
        a = PythonOperator(task_id="a", python_callable=load)
        with TaskGroup("g"):
            b = PythonOperator(task_id="a", python_callable=load)
        [a, b] >> PythonOperator(task_id="t", python_callable=load, op_args=[{airflow!r}])
    """, macros)  # fmt: skip
    assert task(made, "t")["params"]["args"] == [ours]
    assert made.dag is not None


@pytest.mark.parametrize("text", ["{% for x in y %}", "{{ macros.uuid() }}", "{{ ti.hostname }}"])
def test_templates_that_are_none_of_ours_are_named(text):
    made = read(f"PythonOperator(task_id='t', python_callable=load, op_args=[{text!r}])")
    assert any("op_args: its template is not of ours" in each for each in said(made))


def test_what_is_known_only_when_it_runs_becomes_a_param():
    made = read("""
        PROJECT = os.environ["PROJECT_ID"]
        BUCKET = os.environ.get("BUCKET", "bucket")
        COUNTRY = Variable.get("country", default_var="pe")
        suffix = compute()
        place = f"{BUCKET}/{COUNTRY}"
        PythonOperator(task_id="t", python_callable=load, op_args=[PROJECT, place, suffix])
    """)
    assert task(made, "t")["params"]["args"] == [
        "{{ params.PROJECT_ID }}", "bucket/{{ params.country }}", "{{ params.suffix }}",
    ]  # fmt: skip
    assert made.content["params"] == {"country": "pe"}
    assert [each.split(" is ")[0] for each in said(made) if "--param" in each] == [
        "PROJECT_ID", "suffix",
    ]  # fmt: skip
    assert "the variable BUCKET of the environment: its default, 'bucket', is taken" in said(made)


OPERATORS = [
    (
        ("BigQueryInsertJobOperator(task_id='t', location='EU', configuration={'query': {'query': "
        "'SELECT @d', 'useLegacySql': False, 'priority': 'BATCH', 'maximumBytesBilled': '10', "
        "'destinationTable': {'projectId': 'p', 'datasetId': 'd', 'tableId': 't'}, "
        "'writeDisposition': 'WRITE_TRUNCATE', 'timePartitioning': {'field': 'day'}, "
        "'clustering': {'fields': ['x']}, 'queryParameters': [{'name': 'd', 'parameterType': "
        "{'type': 'DATE'}, 'parameterValue': {'value': '{{ ds }}'}}]}})"),
        "bigquery.query",
        {
            "location": "EU", "sql": "SELECT @d", "job_priority": "BATCH",
            "maximum_bytes_billed": 10, "destination": "p.d.t",
            "write_disposition": "WRITE_TRUNCATE", "cluster_by": ["x"],
            "partition_by": {"field": "day", "type": "DAY"},
            "parameters": {"d": {"type": "DATE", "value": "{{ ds }}"}},
        },
    ),
    (
        "BigQueryCheckOperator(task_id='t', sql='SELECT 1', use_legacy_sql=False)",
        "bigquery.check",
        {"sql": "SELECT 1"},
    ),
    (
        ("BigQueryValueCheckOperator(task_id='t', sql='SELECT n', pass_value=4, tolerance=0.1, "
        "use_legacy_sql=False)"),
        "bigquery.check",
        {"sql": "SELECT n", "expected": 4, "tolerance": 0.1},
    ),
    (
        ("BigQueryValueCheckOperator(task_id='t', sql='SELECT n', pass_value='4', "
        "use_legacy_sql=False)"),
        "bigquery.check",
        {"sql": "SELECT n", "expected": 4.0},
    ),
    (
        ("BigQueryCreateTableOperator(task_id='t', dataset_id='d', table_id='v', project_id='p', "
        "table_resource={'view': {'query': 'SELECT 1', 'useLegacySql': False}})"),
        "bigquery.query",
        {"sql": "CREATE VIEW IF NOT EXISTS `p.d.v` AS\nSELECT 1", "project": "p"},
    ),
    (
        ("BigQueryCreateEmptyTableOperator(task_id='t', dataset_id='d', table_id='n', "
        "project_id='p', schema_fields=[{'name': 'a', 'type': 'RECORD', 'mode': 'REPEATED', "
        "'fields': [{'name': 'b', 'type': 'INTEGER'}]}])"),
        "bigquery.query",
        {
            "sql": "CREATE TABLE IF NOT EXISTS `p.d.n` (\n  a ARRAY<STRUCT<b INT64>>\n)",
            "project": "p",
        },
    ),
    (
        ("BigQueryInsertJobOperator(task_id='t', configuration={'query': {'query': 'SELECT 1', "
        "'useLegacySql': False, 'timePartitioning': {'type': 'HOUR', 'requirePartitionFilter': "
        "True}, 'destinationTable': {'projectId': 'p', 'datasetId': 'd', 'tableId': 'a'}, "
        "'destinationEncryptionConfiguration': {'kmsKeyName': "
        "'projects/p/locations/l/keyRings/r/cryptoKeys/k'}, 'continuous': False}})"),
        "bigquery.query",
        {
            "sql": "SELECT 1", "destination": "p.d.a",
            "partition_by": {"type": "HOUR", "require_filter": True},
            "kms_key": "projects/p/locations/l/keyRings/r/cryptoKeys/k",
            "configuration": {"continuous": False},
        },
    ),
    (
        ("GCSToBigQueryOperator(task_id='t', bucket='b', source_objects='x/*.csv', "
        "destination_project_dataset_table='p.d.t', schema_object='s.json', "
        "src_fmt_configs={'dateFormat': 'DD.MM.YYYY', 'hivePartitioningOptions': "
        "{'mode': 'AUTO', 'sourceUriPrefix': 'gs://b/x/'}})"),
        "bigquery.load",
        {
            "source_uris": ["gs://b/x/*.csv"], "destination": "p.d.t",
            "schema_uri": "gs://b/s.json", "write_disposition": "WRITE_EMPTY",
            "date_format": "DD.MM.YYYY",
            "hive_partitioning": {"mode": "AUTO", "source_uri_prefix": "gs://b/x/"},
        },
    ),
    (
        ("GCSSynchronizeBucketsOperator(task_id='t', source_bucket='b', destination_bucket='c', "
        "allow_overwrite=True)"),
        "gcs.copy",
        {"source": "gs://b/", "destination": "gs://c/", "allow_empty": True},
    ),
    (
        ("GCSToGCSOperator(task_id='t', source_bucket='b', source_object='x/', "
        "destination_object='y/', last_modified_time=datetime(2026, 1, 31))"),
        "gcs.copy",
        {
            "source": "gs://b/x/", "destination": "gs://b/y/",
            "newer_than": "2026-01-31T00:00:00+00:00",
        },
    ),
    (
        ("DataprocSubmitJobOperator(task_id='t', region='us-east1', job={'placement': "
        "{'cluster_name': 'c'}, 'hive_job': {'query_list': {'queries': ['SHOW TABLES']}, "
        "'continue_on_failure': True, 'script_variables': {'a': 'b'}}})"),
        "dataproc.submit_job",
        {
            "region": "us-east1", "cluster_name": "c", "job_type": "hive",
            "queries": ["SHOW TABLES"], "continue_on_failure": True, "query_variables": {"a": "b"},
        },
    ),
    (
        ("DataprocSubmitJobOperator(task_id='t', region='us-east1', job={'placement': "
        "{'cluster_name': 'c'}, 'spark_r_job': {'main_r_file_uri': 'gs://b/x.R'}})"),
        "dataproc.submit_job",
        {"region": "us-east1", "cluster_name": "c", "main_r_file_uri": "gs://b/x.R"},
    ),
    (
        ("DataprocSubmitPigJobOperator(task_id='t', region='us-east1', cluster_name='c', "
        "query='define x', variables={'a': 'b'})"),
        "dataproc.submit_job",
        {
            "region": "us-east1", "cluster_name": "c", "job_type": "pig", "queries": ["define x"],
            "query_variables": {"a": "b"},
        },
    ),
    (
        "DataprocStopClusterOperator(task_id='t', region='us-east1', cluster_name='c')",
        "dataproc.stop_cluster",
        {"region": "us-east1", "cluster_name": "c"},
    ),
    (
        "DataprocStartClusterOperator(task_id='t', region='us-east1', cluster_name='c')",
        "dataproc.start_cluster",
        {"region": "us-east1", "cluster_name": "c"},
    ),
    (
        ("DataprocUpdateClusterOperator(task_id='t', region='us-east1', cluster_name='c', "
        "cluster={'config': {'worker_config': {'num_instances': 3}, 'secondary_worker_config': "
        "{'num_instances': 2}}}, update_mask={'paths': ['config.worker_config.num_instances', "
        "'config.secondary_worker_config.num_instances']}, "
        "graceful_decommission_timeout={'seconds': 600})"),
        "dataproc.update_cluster",
        {
            "region": "us-east1", "cluster_name": "c", "num_workers": 3,
            "num_secondary_workers": 2, "decommission_timeout": 600,
        },
    ),
    (
        ("DataprocInstantiateWorkflowTemplateOperator(task_id='t', region='us-east1', "
        "template_id='nightly', version=2, parameters={'DAY': '{{ ds_nodash }}'})"),
        "dataproc.workflow_template",
        {
            "region": "us-east1", "template_id": "nightly", "version": 2,
            "parameters": {"DAY": "{{ ds | replace('-', '') }}"},
        },
    ),
    (
        ("DataprocInstantiateInlineWorkflowTemplateOperator(task_id='t', region='us-east1', "
        "template={'id': 'abc', 'jobs': [{'step_id': 'one'}]})"),
        "dataproc.workflow_template",
        {"region": "us-east1", "template": {"id": "abc", "jobs": [{"step_id": "one"}]}},
    ),
    (
        ("BigQueryToBigQueryOperator(task_id='t', source_project_dataset_tables=['p.d.a', "
        "'p.d.b'], destination_project_dataset_table='p.d.c', write_disposition='WRITE_TRUNCATE')"),
        "bigquery.copy",
        {
            "sources": ["p.d.a", "p.d.b"], "destination": "p.d.c",
            "write_disposition": "WRITE_TRUNCATE",
        },
    ),
    (
        ("BigQueryInsertJobOperator(task_id='t', configuration={'copy': {'sourceTable': "
        "{'projectId': 'p', 'datasetId': 'd', 'tableId': 'a'}, 'destinationTable': "
        "{'projectId': 'p', 'datasetId': 'd', 'tableId': 'b'}}})"),
        "bigquery.copy",
        {"sources": ["p.d.a"], "destination": "p.d.b"},
    ),
    (
        ("BigQueryTableCheckOperator(task_id='t', table='p.d.t', partition_clause='day > 1', "
        "checks={'many': {'check_statement': 'COUNT(*) > 5'}, "
        "'right': {'check_statement': 'a < b', 'partition_clause': 'c'}})"),
        "bigquery.check",
        {
            "sql": "SELECT\n  (SELECT MIN(result) = 1 FROM (SELECT IF(COUNT(*) > 5, 1, 0) AS "
            "result FROM `p.d.t` WHERE day > 1)) AS many,\n  (SELECT MIN(result) = 1 FROM (SELECT "
            "IF(a < b, 1, 0) AS result FROM `p.d.t` WHERE day > 1 AND c)) AS right"
        },
    ),
    (
        ("BigQueryColumnCheckOperator(task_id='t', table='p.d.t', column_mapping={'a': "
        "{'null_check': {'equal_to': 0}, 'max': {'geq_to': 1, 'less_than': 9.5}}})"),
        "bigquery.check",
        {
            "sql": "SELECT\n  COUNTIF(`a` IS NULL) = 0 AS a_null_check,\n"
            "  MAX(`a`) >= 1 AND MAX(`a`) < 9.5 AS a_max\nFROM `p.d.t`"
        },
    ),
    (
        ("BigQueryColumnCheckOperator(task_id='t', table='p.d.t', column_mapping={'a': {"
        "'min': {'equal_to': 4, 'tolerance': 0.1}, 'max': {'geq_to': 1, 'tolerance': 0.5}}})"),
        "bigquery.check",
        {
            "sql": "SELECT\n  MIN(`a`) BETWEEN 4 * (1 - 0.1) AND 4 * (1 + 0.1) AS a_min,\n"
            "  MAX(`a`) >= 1 * (1 - 0.5) AS a_max\nFROM `p.d.t`"
        },
    ),
    (
        ("BigQueryIntervalCheckOperator(task_id='t', table='p.d.t', days_back=-1, "
        "metrics_thresholds={'COUNT(*)': 1.5, 'MAX(a)': 2})"),
        "bigquery.check",
        {
            "sql": "WITH today AS (SELECT COUNT(*) AS m0, MAX(a) AS m1 FROM `p.d.t` WHERE ds = "
            "'{{ ds }}'),\n  before AS (SELECT COUNT(*) AS m0, MAX(a) AS m1 FROM `p.d.t` "
            "WHERE ds = '{{ ds | add_days(-1) }}')\nSELECT\n"
            "  IF(today.m0 = 0 OR before.m0 = 0, TRUE, GREATEST(today.m0, before.m0) / "
            "LEAST(today.m0, before.m0) < 1.5) AS m0,\n"
            "  IF(today.m1 = 0 OR before.m1 = 0, TRUE, GREATEST(today.m1, before.m1) / "
            "LEAST(today.m1, before.m1) < 2) AS m1\nFROM today, before"
        },
    ),
    (
        ("LocalFilesystemToGCSOperator(task_id='t', src='/srv/day.csv', dst='in/', bucket='b', "
        "mime_type='text/csv')"),
        "gcs.upload",
        {"source": "/srv/day.csv", "destination": "gs://b/in/day.csv", "content_type": "text/csv"},
    ),
    (
        ("GCSToGCSOperator(task_id='t', source_bucket='b', source_object='x/', move_object=True, "
        "destination_bucket='c', destination_object='y/')"),
        "gcs.move",
        {"source": "gs://b/x/", "destination": "gs://c/y/"},
    ),
    (
        ("GCSUploadSessionCompleteSensor(task_id='t', bucket='b', prefix='x', "
        "inactivity_period=60)"),
        "gcs.wait_object",
        {"prefix": "gs://b/x", "quiet_for": 60},
    ),
    (
        ("BigQueryTablePartitionExistenceSensor(task_id='t', project_id='p', dataset_id='d', "
        "table_id='t', partition_id='{{ ds_nodash }}', gcp_conn_id='other', deferrable=True)"),
        "bigquery.wait_table",
        {"table": "p.d.t", "partition": "{{ ds | replace('-', '') }}", "connection": "other"},
    ),
    (
        ("GCSToBigQueryOperator(task_id='t', bucket='b', source_objects=['x/*.csv'], "
        "destination_project_dataset_table='p.d.t', schema_fields=[{'name': 'a', 'type': 'INT64'}],"
        " write_disposition='WRITE_APPEND', skip_leading_rows=1)"),
        "bigquery.load",
        {
            "source_uris": ["gs://b/x/*.csv"], "destination": "p.d.t", "skip_leading_rows": 1,
            "table_schema": [{"name": "a", "type": "INT64"}], "write_disposition": "WRITE_APPEND",
        },
    ),
    (
        ("BigQueryToGCSOperator(task_id='t', source_project_dataset_table='p.d.t', "
        "destination_cloud_storage_uris=['gs://b/x.csv'], export_format='CSV')"),
        "bigquery.extract",
        {"source": "p.d.t", "destination_uris": ["gs://b/x.csv"], "destination_format": "CSV"},
    ),
    (
        "BigQueryCreateEmptyDatasetOperator(task_id='t', dataset_id='d', project_id='p-q')",
        "bigquery.query",
        {"sql": "CREATE SCHEMA IF NOT EXISTS `p-q.d`", "project": "p-q"},
    ),
    (
        "BigQueryDeleteDatasetOperator(task_id='t', dataset_id='d', delete_contents=True)",
        "bigquery.query",
        {"sql": "DROP SCHEMA IF EXISTS `d` CASCADE"},
    ),
    (
        ("BigQueryCreateTableOperator(task_id='t', dataset_id='d', table_id='t', project_id='p', "
        "table_resource={'schema': {'fields': [{'name': 'a', 'type': 'INTEGER', 'mode': "
        "'REQUIRED'}, {'name': 'b', 'type': 'STRING', 'mode': 'REPEATED'}]}})"),
        "bigquery.query",
        {
            "sql": "CREATE TABLE IF NOT EXISTS `p.d.t` (\n  a INT64 NOT NULL,\n"
            "  b ARRAY<STRING>\n)",
            "project": "p",
        },
    ),
    (
        ("DataprocCreateClusterOperator(task_id='t', region='europe-west1', cluster_name='c', "
        "project_id='p', cluster_config={'worker_config': {'num_instances': 2}})"),
        "dataproc.create_cluster",
        {
            "region": "europe-west1", "project": "p", "cluster_name": "c", "use_if_exists": True,
            "config": {"worker_config": {"num_instances": 2}},
        },
    ),
    (
        ("DataprocSubmitJobOperator(task_id='t', region='europe-west1', job={'placement': "
        "{'cluster_name': 'c'}, 'pyspark_job': {'main_python_file_uri': 'gs://b/x.py', "
        "'args': ['1']}})"),
        "dataproc.submit_job",
        {
            "region": "europe-west1", "cluster_name": "c",
            "main_python_file_uri": "gs://b/x.py", "args": ["1"],
        },
    ),
    (
        ("DataprocCreateBatchOperator(task_id='t', region='europe-west1', batch={'spark_batch': "
        "{'main_class': 'X', 'jar_file_uris': ['gs://b/x.jar']}, "
        "'runtime_config': {'version': '2.2'}})"),
        "dataproc.submit_batch",
        {
            "region": "europe-west1", "main_class": "X", "jar_file_uris": ["gs://b/x.jar"],
            "runtime_version": "2.2",
        },
    ),
    (
        ("GCSToGCSOperator(task_id='t', source_bucket='a', destination_bucket='b', "
        "source_objects=['in/x.csv', 'in/y.csv'], destination_object='out/')"),
        "gcs.copy",
        {"source": "gs://a/in/", "destination": "gs://b/out/", "match": "{x.csv,y.csv}"},
    ),
    (
        ("GCSToGCSOperator(task_id='t', source_bucket='a', destination_bucket='b', "
        "source_objects=['in/1/x.csv', 'in/2/y/z.csv'], move_object=True)"),
        "gcs.move",
        {"source": "gs://a/in/", "destination": "gs://b/in/", "match": "{1/x.csv,2/y/z.csv}"},
    ),
    (
        ("GCSToGCSOperator(task_id='t', source_bucket='a', source_objects=['x', 'in/y'], "
        "destination_bucket='b')"),
        "gcs.copy",
        {"source": "gs://a/", "destination": "gs://b/", "match": "{x,in/y}"},
    ),
    (
        "GCSDeleteObjectsOperator(task_id='t', bucket_name='b', objects=['x', 'y'])",
        "gcs.delete",
        {"uris": ["gs://b/x", "gs://b/y"]},
    ),
    (
        "GCSObjectsWithPrefixExistenceSensor(task_id='t', bucket='b', prefix='in/x')",
        "gcs.wait_object",
        {"prefix": "gs://b/in/x"},
    ),
    (
        ("TriggerDagRunOperator(task_id='t', trigger_dag_id='other', conf={'n': 1}, "
        "wait_for_completion=True)"),
        "dag.run",
        {"dag": "other", "params": {"n": 1}},
    ),
    ("ExternalTaskSensor(task_id='t', external_dag_id='other')", "dag.wait", {"dag": "other"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "operator", "params"), OPERATORS, ids=[each[0].partition("(")[0] for each in OPERATORS]
)
def test_operators(call, operator, params):
    made = read(call)
    found = task(made, "t")
    assert (found["operator"], found["params"]) == (operator, params)
    assert said(made) == []
    assert made.dag is not None


BUCKET = "make the bucket once, by hand or by Terraform"


def test_what_needs_no_task_here_is_left_out_with_the_reason():
    made = read("""
        make = GCSCreateBucketOperator(task_id="make", bucket_name="b")
        a, b = [PythonOperator(task_id=x, python_callable=load) for x in "ab"]
        both = EmptyOperator(task_id="both", trigger_rule="none_failed")
        drop = GCSDeleteBucketOperator(task_id="drop", bucket_name="b", trigger_rule="all_done")
        make >> [a, b] >> both >> PythonOperator(task_id="c", python_callable=load) >> drop
        again = GCSDeleteBucketOperator(task_id="again", bucket_name="b", trigger_rule="all_done")
        drop >> again
    """)
    assert edges(made) == {"a": [], "b": [], "both": ["a", "b"], "c": ["both"]}
    both = {"operator": "branch", "params": {"when": "true"}, "trigger_rule": "none_failed"}
    assert task(made, "both") == {"task_id": "both", "dependencies": ["a", "b"], **both}
    assert said(made) == [
        f"GCSCreateBucketOperator is left out: {BUCKET}",
        "EmptyOperator is a branch that follows all: it does nothing",
        f"GCSDeleteBucketOperator is left out: {BUCKET}; what is in it stays",
        f"GCSDeleteBucketOperator is left out: {BUCKET}; what is in it stays",
    ]


def test_a_copy_of_a_wildcard_says_what_it_does_otherwise():
    made = read("""
        t = GCSToGCSOperator(task_id="t", source_bucket="a", source_object="in/x-*.csv",
            destination_bucket="b", destination_object="out/")
    """)
    params = {"source": "gs://a/in/", "destination": "gs://b/out/", "match": "x-*.csv"}
    assert task(made, "t")["params"] == params
    assert said(made) == [
        "its * went into the folders below, too: write ** in match if there are any",
        "its copies were named without 'x-', which is before the *: here they keep it",
    ]


def test_an_operator_that_returned_rows_says_where_they_are():
    made = read("""
        BigQueryGetDataOperator(task_id="t", table_project_id="p", dataset_id="d", table_id="t",
            max_results=10, selected_fields="a,b")
    """)
    assert task(made, "t")["params"] == {"sql": "SELECT a,b FROM `p.d.t` LIMIT 10", "rows": 10}
    assert said(made) == ["the rows that it returned are first_rows of its result"]


@pytest.mark.parametrize("check", ["{'sum': {'equal_to': 1}}", "{'min': {'near': 1}}"])
def test_checks_of_other_kinds_are_named(check):
    made = read(f"""
        BigQueryColumnCheckOperator(task_id="t", table="p.d.t", column_mapping={{"a": {check}}})
    """)
    assert task(made, "t")["params"] == {"callable": "left_out:task_t"}


def test_what_is_no_operator_here_has_a_stand_in_and_is_named():
    made = read("""
        a = BashOperator(task_id="a-1", bash_command="ls", pool="p")
        b = DataprocSubmitJobOperator(task_id="b", region="r", job={"beam_job": {}})
        c = GCSToGCSOperator(task_id="c", source_bucket="b", source_objects=["x/", "y"])
        d = DataprocUpdateClusterOperator(task_id="d", region="r", cluster_name="c", cluster={},
            update_mask={"paths": ["labels"]})
        a >> b >> c >> d >> something
    """)
    assert [each["params"]["callable"] for each in made.content["tasks"]] == [
        "left_out:task_a_1", "left_out:task_b", "left_out:task_c", "left_out:task_d",
    ]  # fmt: skip
    assert edges(made) == {"a-1": [], "b": ["a-1"], "c": ["b"], "d": ["c"]}
    text = "\n".join(said(made))
    for each in (
        "BashOperator is not taken",
        "jobs of kind beam",
        "it copies several",
        "it changes labels",
        "an edge to",
    ):
        assert each in text
    assert made.dag is not None


def test_teardowns_rules_and_changes_behind_the_task():
    made = read("""
        a = PythonOperator(task_id="a", python_callable=load)
        b = PythonOperator(task_id="b", python_callable=load, trigger_rule="all_done")
        a.as_setup() >> b.as_teardown(setups=a)
        b.retries = 4
        a.trigger_rule = TriggerRule.ONE_FAILED
    """)
    assert task(made, "b")["teardown_of"] == "a"
    assert task(made, "b")["retries"] == 4
    assert task(made, "a")["trigger_rule"] == "one_failed"


HOSTILE = [
    "def f(): return f() + f()\nf()",
    "x = 'a' * 10**9",
    "x = ['a' * 1000] * 1000\ny = [x] * 10**9",
    "x = 'a'\nfor i in range(10000): x = x + x",
    "x = '%0999999999d' % 1",
    "x = f'{1:999999999}'",
    "x = 'a' * 900000\ny = x.replace('a', x)",
    "x = ','.join(['a' * 900000] * 900000)",
    "[[[0 for a in range(9999)] for b in range(9999)] for c in range(9999)]",
    "while True: pass",
    "x = {}\nx['x'] = x\ny = f'{x}'",
    "x = []\nx.append(x)\nx + x",
    "import os\nos.system('touch /tmp/ran')",
    "__import__('os').system('touch /tmp/ran')",
    "x = 2 ** 10 ** 10",
    "x = 9**9 << 10**10",
    "a = a.b.c\na = a[a]",
    "raise SystemExit",
    "class A: pass\nA() >> A()",
    "for a, b in 5: pass",
    "exec('1')\neval('1')",
    "lambda: 0\n(yield)\nawait_ = 1",
]


@pytest.mark.parametrize("body", HOSTILE)
def test_nothing_of_a_file_is_run_and_none_takes_long(body):
    task = "PythonOperator(task_id='t', python_callable=load)"
    try:
        found = converted(f"{HEAD}\n{body}\nwith DAG('d'):\n    {task}\n", "air")
    except PydagError as error:
        assert str(error)  # noqa: PT017  either is fine
    else:
        assert [each["task_id"] for each in found[0].content["tasks"]] == ["t"]


@pytest.mark.parametrize(
    "text",
    ["", "x = (", "\0", "(" * 5000, "x" + ".y" * 99_999, "-" * 99_999 + "1", "x = 1", "\ud800"],
)  # fmt: skip
def test_what_is_no_dag_is_an_error(text):
    with pytest.raises(PydagError):
        converted(text, "air")


@given(st.text("abDAG()[]{}'\"=.,:>< \n+%0123456789", max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused(text):
    try:
        converted(f"{HEAD}\nwith DAG('d'):\n    x = 1\n{text}", "air")
    except PydagError as error:
        assert str(error)  # noqa: PT017


def test_the_command_prints_the_dag_and_what_did_not_come_over(tmp_path):
    file = tmp_path / "nightly.py"
    file.write_text(
        f"{HEAD}\nwith DAG('one'):\n    BashOperator(task_id='a')\n"
        "with DAG('two'):\n    PythonOperator(task_id='a', python_callable=local)\n"
    )
    several = CliRunner().invoke(pydag, ["convert", str(file)])
    assert several.exit_code in {2, 1}
    assert "has the DAGs one, two: name one with --dag" in several.output
    one = CliRunner().invoke(pydag, ["convert", str(file), "--dag", "one"])
    assert one.exit_code == 0
    assert json.loads(one.stdout)["dag_id"] == "one"
    assert "BashOperator is not taken" in one.stderr
    python = CliRunner().invoke(pydag, ["convert", str(file), "--dag", "two", "--to", "python"])
    assert 'dag.task("a", "python.call", params={"callable": "nightly:local"})' in python.stdout
