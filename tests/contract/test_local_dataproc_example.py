"""The example pipeline: its two forms agree, its scripts run, and its check can tell wrong rows."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys

import pyarrow.csv
import pyarrow.parquet
import pytest
from google.cloud import bigquery

from pydag_dist import Dag
from pydag_dist.local import seed
from pydag_dist.local.keyfile import write_key_file
from tests.support.local_bigquery import LocalBigQuery
from tests.support.local_google import (
    PROJECT,
    REGION,
    SCOPE,
    LocalDataproc,
    cloud_storage,
    storage_client,
)
from workers.operators.script.fill import Marked, fill, marked

pytestmark = pytest.mark.slow

EXAMPLE = seed.example_dir()
PIPELINE = Dag.load(EXAMPLE / "pipeline.json")


def module(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLE / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("example")


@pytest.fixture(scope="module")
def gcs_url(home):
    with cloud_storage(home) as url:
        yield url


@pytest.fixture(scope="module")
def local_bigquery(home, gcs_url):
    with LocalBigQuery(home) as service:
        yield service


@pytest.fixture
def warehouse(local_bigquery):
    with local_bigquery.client() as client:
        yield client


@pytest.fixture
def dataproc(tmp_path, gcs_url):
    service = LocalDataproc(tmp_path, gcs_url)
    (tmp_path / "gcs").mkdir()
    service.start()
    yield service
    service.close()


def test_both_forms_are_the_same_dag():
    assert module("pipeline").pipeline().to_dict() == PIPELINE.to_dict()


def test_eight_tasks_depend_on_each_other_as_described():
    first = {"startup_dataproc_1", "create_table_final", "create_table_stg_1", "create_table_stg_2"}
    extracts = {"extract_from_stg_1", "extract_from_stg_2"}
    levels = [set(level) for level in PIPELINE.levels()]
    assert levels == [first, {"initial_ingestion_1"}, extracts, {"insert_to_fact"}]
    dependencies = {name: set(task.dependencies) for name, task in PIPELINE.tasks.items()}
    assert dependencies["initial_ingestion_1"] == first
    assert dependencies["insert_to_fact"] == extracts


def test_every_script_of_the_dag_is_there():
    there = {f"{seed.FOLDER}/{path.name}" for path in EXAMPLE.glob("*/*")}
    assert {task.script.object_name for task in PIPELINE.tasks.values()} <= there


def test_the_data_follow_from_the_seed(tmp_path):
    files = [tmp_path / name for name in ("one", "two", "three")]
    generate = module("generate").generate
    for file, number in zip(files, (7, 7, 8), strict=True):
        generate(200, file, number)
    one, two, three = (file.read_text() for file in files)
    assert one == two != three
    assert one.splitlines()[0] == "id,category,lastdate"
    assert len(one.splitlines()) == 201


def test_the_scripts_fill_the_tables_and_the_report_knows_right_from_wrong(
    gcs_url, local_bigquery, warehouse
):
    for _ in range(2):  # again and again if you like
        seed.seed(gcs_url, local_bigquery.url, EXAMPLE, 2000)
    before = seed.report(local_bigquery.url, gcs_url)
    assert before.tables == {}
    assert len(before.problems) == 4

    def run(task_id):
        task = PIPELINE.tasks[task_id]
        text = (EXAMPLE / "bq" / f"{task.script.name}.sql").read_text()
        parameters = [
            bigquery.ScalarQueryParameter(name, "STRING", task.params[name])
            for name in ("year", "category")
            if name in task.params
        ]
        config = bigquery.QueryJobConfig(query_parameters=parameters)
        sql = fill(text, task.params, script=task.script.path)
        warehouse.query_and_wait(sql, job_config=config)

    bucket = storage_client(gcs_url).bucket(seed.BUCKET)

    def ingest():
        text = bucket.blob(f"{seed.FOLDER}/{seed.DATA}").download_as_bytes()
        parquet = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.csv.read_csv(io.BytesIO(text)), parquet)
        bucket.blob("events.parquet").upload_from_string(parquet.getvalue())
        config = bigquery.LoadJobConfig(source_format="PARQUET")
        uri, table = f"gs://{seed.BUCKET}/events.parquet", f"{seed.DATASET}.table_stg"
        warehouse.load_table_from_uri(uri, table, job_config=config).result()

    for task_id in PIPELINE.walk():
        if task_id == "initial_ingestion_1":
            ingest()
        elif PIPELINE.tasks[task_id].operator == "script.bq":
            run(task_id)

    after = seed.report(local_bigquery.url, gcs_url)
    assert after.problems == []
    assert after.tables["table_stg"].rows == 2000
    assert after.tables["mytable3"].rows > 0
    assert [row["category"] in ("cars", "food") for row in after.sample] == [True] * 5
    final = warehouse.get_table(f"{seed.DATASET}.mytable3")
    assert final.time_partitioning.field == "lastdate"
    assert final.clustering_fields == ["category"]

    run("insert_to_fact")  # the rows twice
    (problem,) = seed.report(local_bigquery.url, gcs_url).problems
    assert problem.startswith("mytable3 has")


def test_the_cluster_script_reaches_the_local_dataproc_and_runs_twice(dataproc, tmp_path):
    task = PIPELINE.tasks["startup_dataproc_1"]
    text = (EXAMPLE / "iac" / "startup_dataproc.iac").read_text()
    text = marked(text, task.params, script=task.script.path)
    for said in ("cluster is ready", "cluster is there already"):
        answer = run_iac(dataproc, task.script.name, text)
        assert answer.returncode == 0, answer.stdout
        assert said in answer.stdout
    name = task.params["cluster_name"]
    cluster = dataproc.clusters.get_cluster(**SCOPE, cluster_name=name)
    assert cluster.config.worker_config.num_instances == 2


def test_a_script_with_a_key_file_is_redirected_too(dataproc, tmp_path):
    key_file = tmp_path / "key.json"
    write_key_file(key_file, PROJECT, "http://127.0.0.1:1/token")
    text = f"""
from google.cloud import dataproc_v1
from google.oauth2 import service_account

class with_key:
    def __init__(self, logger):
        self.logger = logger

    def run_script(self):
        options = {{"api_endpoint": "{REGION}-dataproc.googleapis.com:443"}}
        key = service_account.Credentials.from_service_account_file({str(key_file)!r})
        client = dataproc_v1.ClusterControllerClient(client_options=options, credentials=key)
        cluster = {{"project_id": "{PROJECT}", "cluster_name": "keyed"}}
        operation = client.create_cluster(
            request={{"project_id": "{PROJECT}", "region": "{REGION}", "cluster": cluster}}
        )
        self.logger.info(20, [operation.result().cluster_name])
"""
    answer = run_iac(dataproc, "with_key", Marked(text, text, {}))
    assert answer.returncode == 0, answer.stdout
    assert dataproc.clusters.get_cluster(**SCOPE, cluster_name="keyed")


def run_iac(dataproc, name, text):
    """An iac script in its child process, as a worker runs it."""
    return subprocess.run(
        [sys.executable, "-m", "workers.iac.child"],
        input=json.dumps({**vars(text), "name": name, "parent": os.getpid()}),
        env={"PATH": os.environ["PATH"], "DATAPROC_EMULATOR_HOST": dataproc.address},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
