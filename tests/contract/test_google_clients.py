"""Our operators with Google's own clients, over the wire, against the local services."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from pydag_dist.dag.script import ScriptPath
from pydag_dist.local.keyfile import write_key_file
from tests.support import wait_until
from tests.support.local_bigquery import LocalBigQuery
from tests.support.local_google import CLUSTER, REGION, LocalDataproc, cloud_storage, storage_client
from tests.unit.workers.support import Log, context
from workers.errors import TaskFailed
from workers.google import clients
from workers.google.access import access_to
from workers.operators import Pending, find
from workers.operators.dataproc import clusters
from workers.operators.script.stores import script_text

BUCKET = "project-pydag"


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    """What the local services share."""
    return tmp_path_factory.mktemp("local")


@pytest.fixture(scope="module")
def gcs_url(directory) -> Iterator[str]:
    with cloud_storage(directory) as url:
        storage_client(url).create_bucket(BUCKET)
        yield url


@pytest.fixture(scope="module")
def dataproc(directory, gcs_url) -> Iterator[LocalDataproc]:
    service = LocalDataproc(directory, gcs_url, delay=0.1).start()
    yield service
    service.close()


@pytest.fixture(scope="module")
def bigquery(directory) -> Iterator[LocalBigQuery]:
    with LocalBigQuery(directory) as service:
        yield service


@pytest.fixture
def bucket(gcs_url, monkeypatch):
    """The bucket, in Cloud Storage as the operators see it."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_url)
    return storage_client(gcs_url).bucket(BUCKET)


@pytest.fixture
def local_dataproc(bucket, dataproc, monkeypatch):
    """Dataproc as the operators see it, and its bucket."""
    monkeypatch.setenv("DATAPROC_EMULATOR_HOST", dataproc.address)
    return bucket


@pytest.fixture
def dataset(bigquery, bucket, monkeypatch):
    """An empty dataset of BigQuery as the operators see it."""
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery.url)
    client = bigquery.client()
    client.delete_dataset("ds", delete_contents=True, not_found_ok=True)
    return client.create_dataset("ds")


def test_a_script_is_read_from_its_bucket(bucket):
    bucket.blob("module_name/create_table.sql").upload_from_string("SELECT 'é'")
    task = context(settings={"stores": [f"gcs:{BUCKET}"]})
    path = ScriptPath.parse(f"gcs.{BUCKET}.module_name.bq.create_table")
    assert script_text(task, path, None) == "SELECT 'é'"


@pytest.mark.usefixtures("bucket")
def test_a_script_that_is_not_in_its_bucket_is_named():
    path = ScriptPath.parse(f"gcs.{BUCKET}.module_name.bq.missing")
    with pytest.raises(TaskFailed, match=f"gs://{BUCKET}/module_name/missing.sql"):
        script_text(context(settings={"stores": [f"gcs:{BUCKET}"]}), path, None)


SPARK = {"region": REGION, "cluster_name": CLUSTER}


@pytest.fixture
def cluster(local_dataproc):
    """A running cluster that another task made; the bucket for its scripts."""
    make = find("dataproc.create_cluster")
    make.execute(context({**SPARK, "use_if_exists": True}, task_id="startup", operator="c"))
    return local_dataproc


@pytest.mark.usefixtures("local_dataproc")
def test_a_cluster_is_created_once_and_found_again():
    make = find("dataproc.create_cluster")
    params = {"region": REGION, "cluster_name": "once", "labels": {"team": "a"}}
    log = Log()
    result = make.execute(context(params, log=log))
    assert result["cluster_name"] == "once"
    assert make.execute(context(params)) == result
    assert make.execute(context(params, try_number=2)) == result
    with pytest.raises(TaskFailed, match="once exists already in us-central1"):
        make.execute(context(params, task_id="other"))
    assert make.execute(context({**params, "use_if_exists": True}, task_id="other")) == result


@pytest.mark.usefixtures("local_dataproc")
def test_a_cancelled_cluster_is_deleted():
    make = find("dataproc.create_cluster")
    task = context({"region": REGION, "cluster_name": "cancelled"}, run_id="cancelled")
    handle = make.submit(task)
    make.cancel(task, handle)
    wait_until(lambda: clusters.get(task, handle) is None, "the end of the cluster")
    make.cancel(task, handle)


def test_a_spark_script_gets_its_params_and_its_output_is_logged(cluster):
    cluster.blob("module_name/show.py").upload_from_string("import sys\nprint(sys.argv[1:])\n")
    log = Log()
    spark = context(
        {**SPARK, "project_name": "local-project", "file_name": "test.csv", "*variable": 1},
        operator="script.spark",
        script=f"gcs.{BUCKET}.module_name.spark.show",
        settings={"stores": [f"gcs:{BUCKET}"], "spark": {"temporaryGcsBucket": "tmp"}},
        log=log,
    )
    result = find("script.spark").execute(spark)
    assert result["driver_output"].startswith("gs://")
    (shown,) = [line for line in log.lines if line.startswith("['--params'")]
    assert json.loads(shown.removeprefix("['--params', '").removesuffix("']")) == {
        "cluster_name": CLUSTER,
        "region": REGION,
        "project_name": "local-project",
        "file_name": "test.csv",
        "*variable": 1,
        "temporarygcsbucket": "tmp",
        "id": "nightly_t",
    }
    # The same try again: the job that is there, not another.
    again = Log()
    assert (
        find("script.spark").execute(
            context(
                spark.params,
                operator="script.spark",
                script=spark.script,
                settings={"stores": [f"gcs:{BUCKET}"]},
                log=again,
            )
        )
        == result
    )
    assert again.lines[0] == f"found Dataproc job {result['job_id']}, which this try submitted"


def test_a_failing_job_shows_its_last_lines(cluster):
    cluster.blob("jobs/fail.py").upload_from_string("print('begun')\nraise ValueError('mine')\n")
    uri = f"gs://{BUCKET}/jobs/fail.py"
    with pytest.raises(TaskFailed) as failed:
        find("dataproc.submit_job").execute(
            context(
                {**SPARK, "main_python_file_uri": uri}, operator="dataproc.submit_job", task_id="f"
            )
        )
    assert "ended as ERROR: " in str(failed.value)
    assert "ValueError: mine" in str(failed.value)


def test_a_job_is_cancelled_by_its_id(cluster):
    cluster.blob("jobs/wait.py").upload_from_string("import time\ntime.sleep(600)\n")
    submit_job = find("dataproc.submit_job")
    task = context(
        {**SPARK, "main_python_file_uri": f"gs://{BUCKET}/jobs/wait.py"},
        operator="dataproc.submit_job",
        task_id="cancelled",
    )
    handle = submit_job.submit(task)
    assert isinstance(submit_job.poll(task, handle), Pending)
    submit_job.cancel(task, handle)
    wait_until(lambda: gone(submit_job, task, handle), "the end of the job")
    with pytest.raises(TaskFailed, match="ended as CANCELLED"):
        submit_job.poll(task, handle)
    submit_job.cancel(task, handle)
    submit_job.cancel(task, {**handle, "job_id": "never-there"})


@pytest.mark.usefixtures("local_dataproc")
def test_a_job_for_a_cluster_that_is_not_there_fails():
    with pytest.raises(TaskFailed, match=r"^NOT_FOUND: .*no-cluster.* \(Dataproc job "):
        find("dataproc.submit_job").execute(
            context(
                {
                    "region": REGION,
                    "cluster_name": "no-cluster",
                    "main_python_file_uri": f"gs://{BUCKET}/x.py",
                },
                operator="dataproc.submit_job",
                task_id="n",
            )
        )


IAC = """
from google.cloud import dataproc_v1
from google.oauth2 import service_account

class make_cluster:
    def __init__(self, logger):
        self.logger = logger

    def run_script(self):
        client = dataproc_v1.ClusterControllerClient(
            client_options={{"api_endpoint": "{region}-dataproc.googleapis.com:443"}},
            credentials=service_account.Credentials.from_service_account_file(
                r"{GCP_service-account}"
            ),
        )
        self.logger.info(19, ["{cluster_name}", "{project_name}", "{region}"])
        cluster = {{"project_id": "{project_name}", "cluster_name": "{cluster_name}"}}
        operation = client.create_cluster(
            request={{"project_id": "{project_name}", "region": "{region}", "cluster": cluster}}
        )
        self.logger.info(20, [operation.result().cluster_name])
"""


def test_an_iac_script_makes_its_own_clients(local_dataproc, tmp_path):
    local_dataproc.blob("iac_scripts/make_cluster.iac").upload_from_string(IAC)
    write_key_file(tmp_path / "key.json", "local-project", "http://127.0.0.1:1/token")
    log = Log()
    task = context(
        {
            "cluster_name": "by-iac",
            "project_name": "local-project",
            "region": REGION,
            "**GCP_service-account": "",
        },
        operator="script.iac",
        script=f"gcs.{BUCKET}.iac_scripts.iac.make_cluster",
        settings={
            "stores": [f"gcs:{BUCKET}"],
            "connections": {"GCP": {"key_file": tmp_path / "key.json"}},
        },
        log=log,
    )
    find("script.iac").execute(task)
    assert log.lines == [
        f"creating cluster by-iac in project local-project, region {REGION}",
        "cluster by-iac was created",
    ]
    with pytest.raises(TaskFailed, match=r"exit status 1:[^$]*AlreadyExists"):
        find("script.iac").execute(task)


def run(sql, task_id, log=None, **params):
    task = context({"sql": sql, **params}, operator="bigquery.query", task_id=task_id, log=log)
    return find("bigquery.query").execute(task)


@pytest.mark.usefixtures("dataset")
def test_a_query_is_run_once_by_its_try_and_tells_what_it_did(tmp_path):
    run("CREATE TABLE ds.t (id INT64, category STRING)", "create")
    log = Log()
    inserted = run("INSERT INTO ds.t VALUES (1, 'cars'), (2, 'food')", "insert", log)
    assert inserted["rows"] == 2
    assert inserted["statement_type"] == "INSERT"
    assert log.lines[0].startswith("started BigQuery job local-project:US.pydag-insert-1-")
    again = Log()
    assert run("INSERT INTO ds.t VALUES (1, 'cars'), (2, 'food')", "insert", again) == inserted
    assert again.lines[0].startswith("found BigQuery job local-project:US.pydag-insert-1-")
    found = run(
        "SELECT * FROM ds.t WHERE category = @category AND id IN UNNEST(@ids)",
        "select",
        parameters={"category": "cars", "ids": [1, 2, 3]},
    )
    assert (found["statement_type"], found["rows"]) == ("SELECT", 1)
    assert found["bytes_processed"] > 0
    with urllib.request.urlopen(found["link"]) as answer:
        assert json.load(answer)["jobReference"]["jobId"] == found["job_id"]


def test_an_insert_whose_answer_got_lost_is_not_run_twice(dataset, monkeypatch):
    run(f"CREATE TABLE {dataset.dataset_id}.lost (id INT64)", "create_lost")
    client = clients.bigquery_client(access_to(context().settings, None, dataset.project))
    send, lost = client._http.request, []

    def losing(method, url, *args, **options):
        answer = send(method, url, *args, **options)
        if method == "POST" and not lost:
            lost.append(answer.status_code)
            raise requests.exceptions.ConnectionError("reset by peer")
        return answer

    monkeypatch.setattr(client._http, "request", losing)
    log = Log()
    assert run("INSERT INTO ds.lost VALUES (1)", "lost", log)["rows"] == 1
    assert lost == [200]
    assert log.lines[0] == "ConnectionError: reset by peer; trying again"
    assert log.lines[1].startswith("found BigQuery job")
    assert run("SELECT * FROM ds.lost", "select_lost")["rows"] == 1


@pytest.mark.usefixtures("dataset")
def test_wrong_sql_fails_with_its_reason_and_place():
    with pytest.raises(TaskFailed, match=r"^invalidQuery.*: .+ \(BigQuery job local-project:US\."):
        run("SELEC 1", "wrong")


@pytest.mark.usefixtures("dataset")
def test_a_missing_table_fails_with_its_name():
    with pytest.raises(TaskFailed, match=r"notFound.*: .*missing"):
        run("SELECT * FROM ds.missing", "missing")


@pytest.mark.usefixtures("dataset")
def test_a_table_that_is_there_is_the_querys_error_not_a_job_of_ours():
    run("CREATE TABLE ds.u (id INT64)", "create_u")
    with pytest.raises(TaskFailed, match=r"duplicate.*: Already Exists: Table"):
        run("CREATE TABLE ds.u (id INT64)", "create_u_again")


@pytest.mark.usefixtures("dataset")
def test_a_query_is_cancelled_by_its_id():
    query = find("bigquery.query")
    digits = [f"UNNEST([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) AS d{place}" for place in range(12)]
    sql = f"SELECT SUM(d0 * d11) FROM {', '.join(digits)}"
    task = context({"sql": sql}, operator="bigquery.query", task_id="long")
    handle = query.submit(task)
    assert isinstance(query.poll(task, handle), Pending)
    query.cancel(task, query.handle(task))
    wait_until(lambda: gone(query, task, handle), "the end of the query")
    with pytest.raises(TaskFailed, match="stopped"):
        query.poll(task, handle)
    query.cancel(task, handle)
    query.cancel(task, {**handle, "job_id": "never-there"})


def test_a_bq_script_is_filled_and_run(dataset, bucket):
    bucket.blob("module_name/create.sql").upload_from_string(
        "CREATE OR REPLACE TABLE {project}.{dataset}.{table} ({columns})"
    )
    task = context(
        {
            "project": "atomic-key-348214",
            "dataset": "datasettest",
            "table": "mytable1",
            "columns": "id int64, category string, lastdate date",
        },
        operator="script.bq",
        script=f"gcs.{BUCKET}.module_name.bq.create",
        task_id="script",
        settings={"stores": [f"gcs:{BUCKET}"]},
    )
    client = clients.bigquery_client(access_to(task.settings))
    client.create_dataset("atomic-key-348214.datasettest")
    find("script.bq").execute(task)
    table = client.get_table("atomic-key-348214.datasettest.mytable1")
    assert [field.name for field in table.schema] == ["id", "category", "lastdate"]
    assert dataset.dataset_id == "ds"


def gone(operator, task, handle):
    try:
        operator.poll(task, handle)
    except TaskFailed:
        return True
    return False
