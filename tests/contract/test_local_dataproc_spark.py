"""Real Spark behind the local Dataproc: gs://, the BigQuery format, and what a kill leaves."""

from __future__ import annotations

import hashlib
import json

import psutil
import pytest

from tests.support import wait_until
from tests.support.local_bigquery import LocalBigQuery
from tests.support.local_google import (
    CLUSTER,
    LOCATION,
    QUICK,
    SCOPE,
    LocalDataproc,
    cloud_storage,
    storage_client,
)

pytestmark = pytest.mark.big

BUCKET = "data-1"
# As in pyDag's scripts: a master of the cluster's own, and no word of where BigQuery is.
HEAD = """
import json, sys
from pyspark import SparkConf
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("yarn").config(conf=SparkConf().setMaster("yarn")).getOrCreate()
spark.conf.set("temporaryGcsBucket", "data-1")
"""
# Everything in one job: a Spark costs ten seconds.
SCRIPT = (
    HEAD
    + """
from pydag_emulators.dataproc.spark import load
from pyspark.sql.functions import udf

answers = {"master": spark.sparkContext.master}
rows = spark.read.csv("gs://data-1/in/*.csv", header=True, inferSchema=True)
rows.write.mode("overwrite").parquet("gs://data-1/out")
answers["parquet"] = spark.read.parquet("gs://data-1/out").count()
answers["udf"] = rows.orderBy("id").select(udf(lambda n: f"<{n}>")("name")).first()[0]

def count():
    return spark.read.format("bigquery").load("ds.people").count()

def save(mode, **options):
    rows.write.format("bigquery").options(table="ds.people", **options).mode(mode).save()

save("errorifexists", clusteredFields="name")
try:
    save("errorifexists")
except ValueError as error:
    answers["exists"] = str(error)
save("ignore")
answers["written"] = count()
save("append")
answers["appended"] = count()
load._writes["local-project.ds.people"] -= 1  # as a driver that is run again
save("append")
answers["appended again by the same driver"] = count()
save("overwrite")
answers["overwritten"] = count()
try:
    save("append", partitionExpirationMs="1")
except ValueError as error:
    answers["refused"] = str(error)
sql = "SELECT name FROM ds.people WHERE id = 2"
answers["query"] = spark.read.format("bigquery").option("query", sql).load().first()[0]
filtered = spark.read.format("bigquery").option("table", "ds.people").option("filter", "id > 1")
answers["filter"] = sorted(row["id"] for row in filtered.load().collect())
answers["types"] = dict(spark.read.format("bigquery").load("local-project.ds.people").dtypes)
print("ANSWERS" + json.dumps(answers))
spark.read.csv("gs://data-1/none").count()
"""
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("with a space")


@pytest.fixture(scope="module")
def gcs_url(home):
    with cloud_storage(home) as url:
        bucket = storage_client(url).create_bucket(BUCKET)
        bucket.blob("in/one.csv").upload_from_string("id,name,born\n1,Ada,1815-12-10\n")
        bucket.blob("in/two.csv").upload_from_string("id,name,born\n2,Alan,1912-06-23\n")
        yield url


@pytest.fixture(scope="module")
def bigquery(home, gcs_url):
    with LocalBigQuery(home) as service:
        yield service


@pytest.fixture(scope="module")
def warehouse(bigquery):
    with bigquery.client() as client:
        client.create_dataset("ds")
        yield client


@pytest.fixture(scope="module")
def dataproc(home, gcs_url, bigquery, warehouse):
    service = LocalDataproc(home, gcs_url, bigquery_url=bigquery.url, with_spark=True).start()
    try:
        service.create_cluster()
        yield service
    finally:
        service.close()


def test_spark_works_on_objects_and_tables_while_the_service_is_killed_and_tells_why_it_fails(
    dataproc, gcs_url, warehouse
):
    job = dataproc.job(SCRIPT, labels={"test": "all"})
    job["pyspark_job"]["jar_file_uris"] = ["gs://spark-lib/bigquery/spark-bigquery-latest.jar"]
    job_id = dataproc.jobs.submit_job(**SCOPE, job=job).reference.job_id
    dataproc.wait_for(job_id, "RUNNING")
    dataproc.kill()
    dataproc.start()
    ended = dataproc.wait_for(job_id, timeout=240)
    assert ended.status.state.name == "ERROR"
    assert "AnalysisException: [PATH_NOT_FOUND]" in ended.status.details, dataproc.output(job_id)
    assert "gs://data-1/none" in ended.status.details
    (line,) = [x for x in dataproc.output(job_id).splitlines() if x.startswith("ANSWERS")]
    answers = json.loads(line.removeprefix("ANSWERS"))
    assert answers.pop("master").startswith("local[")
    assert "SaveMode is set to ErrorIfExists" in answers.pop("exists")
    assert "partitionExpirationMs" in answers.pop("refused")
    assert answers == {
        "parquet": 2,
        "udf": "<Ada>",
        "written": 2,
        "appended": 4,
        "appended again by the same driver": 4,
        "overwritten": 2,
        "query": "Alan",
        "filter": [2],
        "types": {"id": "bigint", "name": "string", "born": "date"},
    }
    # Spark's own objects are there for everybody, and nothing temporary is left.
    names = [blob.name for blob in storage_client(gcs_url).list_blobs(BUCKET)]
    assert {name.partition("/")[0] for name in names} == {"in", "out"}
    (part,) = [name for name in names if name.endswith(".parquet")][:1]
    content = storage_client(gcs_url).bucket(BUCKET).blob(part).download_as_bytes()
    assert content.startswith(b"PAR1")
    table = warehouse.get_table("ds.people")
    assert table.clustering_fields == ["name"]
    assert [(field.name, field.field_type) for field in table.schema] == [
        ("id", "INTEGER"),
        ("name", "STRING"),
        ("born", "DATE"),
    ]
    (record,) = [line for line in dataproc.journal() if line["id"] == job_id]
    assert record["rows"] == 2 + 2 + 2 + 2


def test_cancelling_a_spark_job_leaves_no_process(dataproc):
    job_id = dataproc.submit(
        HEAD
        + "print('session', flush=True)\n"
        + "spark.range(10**12).rdd.map(lambda row: row).count()\n"
    )
    wait_until(lambda: "session" in dataproc.output(job_id), "a Spark session")
    directory = str(dataproc.data / "jobs" / dataproc.get(job_id).job_uuid)

    def of_the_job():
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("PYDAG_JOB_DIRECTORY") == directory:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return found

    # The JVM, the driver and PySpark's daemon with a worker.
    wait_until(lambda: len(of_the_job()) >= 4, "Python workers")
    dataproc.jobs.cancel_job(**SCOPE, job_id=job_id)
    assert dataproc.wait_for(job_id).status.state.name == "CANCELLED"
    wait_until(lambda: not of_the_job(), "all processes of the job to be gone")


def test_a_batch_runs_spark_sql_with_variables(dataproc):
    uri = dataproc.upload("q.sql", "SELECT concat('is ', '${what}') AS said; SELECT 6 * 7;")
    batch = {"spark_sql_batch": {"query_file_uri": uri, "query_variables": {"what": "right"}}}
    operation = dataproc.batches.create_batch(parent=LOCATION, batch=batch, batch_id="sparksql")
    made = operation.result(timeout=120, polling=QUICK)
    printed = dataproc.text_of(f"{made.runtime_info.output_uri}.000000000").splitlines()
    assert [line for line in printed if line in ("is right", "42")] == ["is right", "42"]


def test_a_job_runs_a_class_of_its_jars(dataproc):
    work = {"main_class": "org.apache.commons.codec.cli.Digest", "args": ["SHA-256", "42"]}
    job = {"placement": {"cluster_name": CLUSTER}, "spark_job": work}
    job_id = dataproc.jobs.submit_job(**SCOPE, job=job).reference.job_id
    assert dataproc.wait_for(job_id).status.state.name == "DONE"
    assert hashlib.sha256(b"42").hexdigest() in dataproc.output(job_id).split()
    assert {line["kind"] for line in dataproc.journal() if line["id"] == job_id} == {"spark"}
