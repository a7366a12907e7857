"""Tasks with `cache: "inputs"` against the local services: what changes makes them run again."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from types import SimpleNamespace

import fakeredis
import pytest

from tests.support import wait_until
from tests.support.local_bigquery import PROJECT, LocalBigQuery
from tests.support.local_google import cloud_storage, storage_client
from tests.unit.workers.support import Log, context
from workers.errors import TaskFailed
from workers.operators import find
from workers.result_cache.entries import cached_result
from workers.tries.outcome import succeeded


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """BigQuery and Cloud Storage over the same files."""
    directory = tmp_path_factory.mktemp("cached")
    with cloud_storage(directory) as url, LocalBigQuery(directory) as bigquery:
        yield SimpleNamespace(gcs=storage_client(url), gcs_url=url, bigquery=bigquery)


@pytest.fixture
def client(service, monkeypatch):
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", service.bigquery.url)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", service.gcs_url)
    with service.bigquery.client() as client:
        yield client


@pytest.fixture
def dataset(client):
    dataset = f"{PROJECT}.d{uuid.uuid4().hex}"
    client.create_dataset(dataset)
    client.query_and_wait(f"CREATE TABLE {dataset}.source AS SELECT 1 AS id")
    return dataset


@pytest.fixture
def bucket(service, client):
    return service.gcs.create_bucket(f"b-{uuid.uuid4()}")


class Task:
    """A task that is run again and again; `run` answers as its try ended."""

    def __init__(self, operator, **params):
        self.operator, self.params = operator, params
        self.redis = fakeredis.FakeRedis(decode_responses=True)
        self.log = Log()
        self.runs = 0
        self.fields = {}

    def context(self):
        fields = {
            "operator": self.operator,
            "run_id": f"run-{uuid.uuid4().hex}",
            "log": self.log,
            "settings": {"project": PROJECT},
            "redis": self.redis,
            "cache_seconds": 1000.0,
        }
        return context(self.params, **(fields | self.fields))

    def run(self):
        """The result, and the run that it is from, if it's not this one's."""
        return self.run_in(self.context())

    def run_in(self, task):
        result = cached_result(task, find(task.operator))
        if result is None:
            self.runs += 1
            result = find(self.operator).execute(task)
        return json.loads(succeeded(task, result).result)


def test_a_load_has_the_columns_of_an_object(service, client, dataset, bucket):
    bucket.blob("day.csv").upload_from_string("1,a\n")
    columns = bucket.blob("schema.json")
    columns.upload_from_string('[{"name": "id", "type": "INT64"}, {"name": "t", "type": "STRING"}]')
    uris = {"source_uris": [f"gs://{bucket.name}/day.csv"], "destination": f"{dataset}.day"}
    task = Task("bigquery.load", **uris, schema_uri=f"gs://{bucket.name}/schema.json")
    assert task.run()["rows"] == 1
    assert [field.name for field in client.get_table(f"{dataset}.day").schema] == ["id", "t"]
    task.run()
    assert task.runs == 1
    for text, why in (("{}", "must be a list"), ('[{"name": "id"}]', "no type of a column")):
        columns.upload_from_string(text)  # now the task runs again
        with pytest.raises(TaskFailed, match=f"schema.json is no list of columns: .*{why}"):
            task.run()
    columns.delete()
    with pytest.raises(TaskFailed, match=r"schema\.json is not there"):
        task.run()


def query(dataset, sql=None, **params):
    sql = sql or f"SELECT id FROM {dataset}.source"
    params = {"destination": f"{dataset}.made", "write_disposition": "WRITE_TRUNCATE"} | params
    return Task("bigquery.query", sql=sql, **params)


def test_a_query_of_what_has_not_changed_is_not_run_again(service, client, dataset):
    task = query(dataset)
    first = task.context()
    ran = task.run_in(first)
    jobs = len(service.bigquery.journal())
    again = task.run()
    assert again == {**ran, "cached_from": first.run_id, "bytes_billed": 0}
    assert (task.runs, len(service.bigquery.journal())) == (1, jobs)
    assert ran["bytes_billed"] == 10 * 2**20
    said = f"nothing that it reads or writes has changed since run {first.run_id}"
    assert task.log.lines[-1] == said


CHANGES = {
    "its table": lambda client, d: client.query_and_wait(f"INSERT INTO {d}.source VALUES (2)"),
    "its table, made again": lambda client, d: client.query_and_wait(
        f"CREATE OR REPLACE TABLE {d}.source AS SELECT 1 AS id"
    ),
    "the destination": lambda client, d: client.query_and_wait(
        f"UPDATE {d}.made SET id = 5 WHERE TRUE"
    ),
    "the destination is gone": lambda client, d: client.delete_table(f"{d}.made"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_changes_makes_it_run_again(client, dataset, change):
    task = query(dataset)
    task.run()
    change(client, dataset)
    assert "cached_from" not in task.run()
    assert task.runs == 2
    assert "changed since run" in "\n".join(task.log.lines)
    assert "cached_from" in task.run()


def test_another_text_and_other_params_are_run(dataset):
    task = query(
        dataset, f"SELECT id FROM {dataset}.source WHERE id > @least", parameters={"least": 0}
    )
    task.run()
    given = task.params
    task.params = given | {"parameters": {"least": 1}}
    assert task.run()["rows"] == 0
    task.params = given | {"sql": f"{given['sql']} AND TRUE"}
    task.run()
    assert task.runs == 3


def test_an_entry_that_expired_is_run(dataset):
    task = query(dataset)
    task.run()
    [key] = task.redis.keys("*:cache:*")
    assert 900 < task.redis.ttl(key) <= 1000
    task.redis.pexpire(key, 1)
    wait_until(lambda: not task.redis.exists(key), "the entry has expired")
    task.run()
    assert task.runs == 2


def test_a_table_made_by_the_statement_is_its_destination(dataset):
    task = Task(
        "bigquery.query",
        sql=f"CREATE OR REPLACE TABLE {dataset}.made AS SELECT id FROM {dataset}.source",
    )
    task.run()
    assert "cached_from" in task.run()


def test_a_scripts_text_is_an_input(dataset, tmp_path):
    script = tmp_path / "bucket" / "folder" / "made.sql"
    script.parent.mkdir(parents=True)
    made = "CREATE OR REPLACE TABLE {dataset}.made AS SELECT id FROM {dataset}.source"
    script.write_text(made)
    task = Task("script.bq", dataset=dataset)
    task.fields = {
        "script": "local.bucket.folder.bq.made",
        "settings": {"project": PROJECT, "stores": (f"local:{tmp_path}",)},
    }
    task.run()
    assert "cached_from" in task.run()
    script.write_text(f"{made} WHERE id > 0")
    task.run()
    assert task.runs == 2


def test_children_of_a_cached_list_are_counted(dataset):
    """A task over whose result another is expanded may be cached, too."""
    task = query(dataset)
    task.fields = {"expanded_by": {"children": ["files"]}}
    first = task.context()
    assert cached_result(first, find(first.operator)) is None
    find("bigquery.query").execute(first)
    assert succeeded(first, {"files": [1, 2, 3]}).expand == {"children": 3}
    again = task.context()
    assert succeeded(again, cached_result(again, find(again.operator))).expand == {"children": 3}


WHY = {
    "INSERT INTO {d}.made SELECT id FROM {d}.source": "it is a INSERT, not",
    "SELECT 1; SELECT 2": "it is a SCRIPT, not",
    "SELECT id FROM {d}.source": "its rows go to no table",
    "CREATE OR REPLACE TABLE {d}.made AS SELECT CURRENT_DATE() AS id": "CURRENT_DATE in its text",
    "CREATE OR REPLACE TABLE {d}.made AS SELECT id FROM {d}.seen": "seen in its text is no table",
    "CREATE OR REPLACE TABLE {d}.made AS SELECT a.id FROM {d}.source AS a JOIN {d}.seen USING (id)":
        "seen in its text is no table",
    "CREATE OR REPLACE TABLE {d}.made AS SELECT table_name FROM {d}.INFORMATION_SCHEMA.TABLES":
        "INFORMATION_SCHEMA.TABLES in its text is no table",
}  # fmt: skip


@pytest.mark.parametrize(("sql", "why"), WHY.items(), ids=WHY.values())
def test_what_is_uncertain_is_run_each_time(client, dataset, sql, why):
    client.query_and_wait(f"CREATE VIEW {dataset}.seen AS SELECT id FROM {dataset}.source")
    client.query_and_wait(f"CREATE TABLE {dataset}.made AS SELECT 1 AS id")
    task = Task("bigquery.query", sql=sql.format(d=dataset))
    task.run()
    task.run()
    assert task.runs == 2
    assert why in "\n".join(task.log.lines)
    assert not task.redis.keys("*:cache:*")


def test_a_name_of_with_that_is_a_table_too_is_uncertain(client, dataset):
    sql = "WITH x AS (SELECT id FROM source) SELECT id FROM x"
    task = query(dataset, sql, default_dataset=dataset)
    task.run()
    assert "cached_from" in task.run()
    client.query_and_wait(f"CREATE VIEW {dataset}.x AS SELECT id FROM {dataset}.source")
    task.run()
    assert task.runs == 2
    assert f"not cached: {dataset}.x is a VIEW" in "\n".join(task.log.lines)
    client.query_and_wait(f"DROP VIEW {dataset}.x; CREATE TABLE {dataset}.x AS SELECT 1 AS id")
    task.run()
    assert task.runs == 3
    assert "not cached: x is a table, too, beside being a name of WITH" in task.log.lines


def test_a_query_that_reads_its_destination_is_run(client, dataset):
    client.query_and_wait(f"CREATE TABLE {dataset}.made AS SELECT 1 AS id")
    sql = f"SELECT id + 1 AS id FROM {dataset}.made"
    task = query(dataset, sql, write_disposition="WRITE_APPEND")
    task.run()
    assert task.run()["bytes_processed"] == 16
    assert task.runs == 2
    assert "not cached: it reads the table that it writes" in task.log.lines


def test_a_try_that_is_executed_again_goes_on(client, dataset):
    """Its job is done, and nobody kept the result: it must not be another run's."""
    task = query(dataset)
    task.run()
    client.query_and_wait(f"INSERT INTO {dataset}.source VALUES (2)")
    tried = task.context()
    assert cached_result(tried, find(tried.operator)) is None
    find("bigquery.query").execute(tried)
    client.query_and_wait(f"INSERT INTO {dataset}.source VALUES (3)")
    assert "cached_from" not in task.run_in(tried)
    assert "cached_from" not in task.run(), "it had read two rows, and there are three"


def test_what_others_wrote_since_the_job_is_not_kept(client, dataset, monkeypatch):
    task = query(dataset)
    tried = task.context()
    cached_result(tried, find(tried.operator))
    result = find("bigquery.query").execute(tried)
    client.query_and_wait(f"UPDATE {dataset}.made SET id = 5 WHERE TRUE")
    monkeypatch.setattr("workers.result_cache.entries._SLACK", 0.0)
    succeeded(tried, result)
    assert task.log.lines[-1].endswith(f"{dataset}.made was changed by others since")
    task.run()
    assert [row.id for row in client.list_rows(f"{dataset}.made")] == [1]


def test_a_load_is_of_the_objects_that_match(client, dataset, bucket):
    bucket.blob("in/a.csv").upload_from_string("1\n")
    task = Task(
        "bigquery.load",
        source_uris=[f"gs://{bucket.name}/in/*.csv"],
        destination=f"{dataset}.loaded",
        table_schema=[{"name": "id", "type": "INT64"}],
        write_disposition="WRITE_TRUNCATE",
    )
    task.run()
    bucket.blob("in/a.txt").upload_from_string("other")
    assert "cached_from" in task.run()
    bucket.blob("in/b.csv").upload_from_string("2\n")
    assert task.run()["rows"] == 2
    bucket.blob("in/b.csv").upload_from_string("3\n")
    assert "cached_from" not in task.run()
    assert "cached_from" in task.run()


def test_an_extract_is_of_its_table_and_files(client, dataset, bucket):
    task = Task(
        "bigquery.extract",
        source=f"{dataset}.source",
        destination_uris=[f"gs://{bucket.name}/out/*.csv"],
    )
    task.run()
    assert "cached_from" in task.run()
    [blob] = bucket.list_blobs()
    blob.delete()
    task.run()
    client.query_and_wait(f"INSERT INTO {dataset}.source VALUES (2)")
    task.run()
    assert task.runs == 3


def test_a_copy_of_tables_is_of_its_sources_and_destination(client, dataset):
    task = Task(
        "bigquery.copy",
        sources=[f"{dataset}.source"],
        destination=f"{dataset}.copied",
        write_disposition="WRITE_TRUNCATE",
    )
    task.run()
    assert "cached_from" in task.run()
    client.query_and_wait(f"INSERT INTO {dataset}.source VALUES (2)")
    assert "cached_from" not in task.run()
    client.query_and_wait(f"TRUNCATE TABLE {dataset}.copied")
    assert "cached_from" not in task.run()


def test_a_copy_is_of_its_sources_and_destinations(bucket):
    for name in "ab":
        bucket.blob(f"in/{name}").upload_from_string(name)
    base = f"gs://{bucket.name}"
    task = Task("gcs.copy", source=f"{base}/in/", destination=f"{base}/to/")
    task.run()
    bucket.blob("to/of-others").upload_from_string("x")
    assert "cached_from" in task.run()
    bucket.blob("in/c").upload_from_string("c")
    assert task.run()["copied"] == 1
    bucket.blob("to/c").upload_from_string("mine")
    assert task.run()["copied"] == 1
    bucket.blob("to/c").delete()
    assert task.run()["copied"] == 1


def test_a_composed_object_is_of_its_sources(bucket):
    for name in "ab":
        bucket.blob(f"in/{name}").upload_from_string(name)
    base = f"gs://{bucket.name}"
    task = Task("gcs.compose", sources=[f"{base}/in/"], destination=f"{base}/made")
    task.run()
    assert "cached_from" in task.run()
    bucket.blob("in/b").upload_from_string("B")
    task.run()
    assert bucket.blob("made").download_as_bytes() == b"aB"
    bucket.blob("made").delete()
    task.run()
    assert task.runs == 3


def test_a_task_without_cache_asks_nothing(dataset):
    task = replace(query(dataset).context(), cache_seconds=None)
    assert cached_result(task, find(task.operator)) is None
    assert task.redis.keys() == []


def test_what_goes_wrong_with_the_cache_does_no_harm(client, dataset, monkeypatch):
    task = query(dataset)
    task.run()
    [key] = task.redis.keys("*:cache:*")
    task.redis.set(key, "{")
    assert task.run()["rows"] == 1
    assert "not cached: JSONDecodeError" in "\n".join(task.log.lines)
    task.redis.delete(key)
    monkeypatch.setattr(find("bigquery.query"), "ended_at", lambda _context: 1 / 0, raising=False)
    assert task.run()["rows"] == 1
    assert task.log.lines[-1] == "its result is not kept: division by zero"


def test_an_operator_that_tells_nothing_is_run():
    task = Task("python.call", callable="m:f")
    assert cached_result(task.context(), find(task.context().operator)) is None
    assert task.log.lines == ["not cached: operator python.call does not tell what it reads"]
