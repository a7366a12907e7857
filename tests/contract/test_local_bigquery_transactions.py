"""Transactions of several statements in scripts of the local BigQuery."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.api_core.exceptions import BadRequest, GoogleAPICallError, MethodNotImplemented

from tests.support import wait_until
from tests.support.local_bigquery import LocalBigQuery


@pytest.fixture(scope="module")
def client(local_bigquery: LocalBigQuery):
    with local_bigquery.client() as client:
        client.create_dataset("tx")
        yield client


@pytest.fixture
def table(client, request) -> str:
    name = f"tx.{request.node.name.partition('[')[0]}"
    client.query_and_wait(f"CREATE TABLE {name} AS SELECT 1 AS x")
    return name


def rows(client, sql):
    return sorted(tuple(row) for row in client.query_and_wait(sql))


def refused(client, sql, message, kind=BadRequest):
    with pytest.raises(kind, match=message):
        client.query(sql, job_retry=None).result(retry=None)


def test_all_of_it_at_the_commit(client, table):
    job = client.query(f"""
        BEGIN TRANSACTION;
        INSERT {table} VALUES (2);
        UPDATE {table} SET x = x + 10 WHERE TRUE;
        CREATE TEMP TABLE seen AS SELECT * FROM {table};
        DELETE FROM {table} WHERE x = (SELECT MIN(x) FROM seen);
        SELECT * FROM {table};
        COMMIT TRANSACTION;""")
    assert [tuple(row) for row in job.result()] == [(12,)]
    assert rows(client, f"SELECT * FROM {table}") == [(12,)]
    children = list(client.list_jobs(parent_job=job.job_id))
    assert [child.state for child in children] == ["DONE"] * 5


@pytest.mark.parametrize("end", ["ROLLBACK;", "ROLLBACK TRANSACTION;", ""])
def test_nothing_of_it_without_a_commit(client, table, end):
    job = client.query(f"""
        BEGIN;
        INSERT {table} VALUES (2);
        SELECT COUNT(*) AS n, JSON '[1]' AS j, [STRUCT(TIMESTAMP '2020-01-01' AS t)] AS a
        FROM {table};
        {end}""")
    ((n, j, _),) = [tuple(row) for row in job.result()]
    assert (n, j) == (2, [1])
    assert rows(client, f"SELECT * FROM {table}") == [(1,)]
    client.query_and_wait(f"DROP TABLE {table}")
    assert job.num_child_jobs == len(list(client.list_jobs(parent_job=job.job_id))) == 2


def test_an_error_undoes_it(client, table):
    refused(
        client,
        f"BEGIN TRANSACTION; INSERT {table} VALUES (2); SELECT 1 / 0; COMMIT TRANSACTION",
        "division by zero",
    )
    assert rows(client, f"SELECT * FROM {table}") == [(1,)]


def test_a_handler_rolls_it_back(client, table):
    job = client.query(f"""
        BEGIN
          BEGIN TRANSACTION;
          INSERT {table} VALUES (2);
          INSERT {table} SELECT DIV(1, x - 1) FROM {table};
          COMMIT TRANSACTION;
        EXCEPTION WHEN ERROR THEN
          SELECT @@error.message AS m;
          ROLLBACK TRANSACTION;
          INSERT {table} VALUES (3);
        END""")
    job.result()
    assert rows(client, f"SELECT * FROM {table}") == [(1,), (3,)]


def test_what_is_wrong(client, table):
    refused(client, "BEGIN; BEGIN; COMMIT", "nested")
    refused(client, "SELECT 1; COMMIT", "no transaction")
    refused(client, "SELECT 1; ROLLBACK", "no transaction")
    refused(client, f"BEGIN; DROP TABLE {table}; COMMIT", "DDL statements are not supported")
    refused(client, "BEGIN; CREATE SCHEMA nope; COMMIT", "DDL statements are not supported")
    sql = f"BEGIN; EXPORT DATA OPTIONS (uri = 'gs://b/*', format = 'CSV') AS FROM {table}; COMMIT"
    refused(client, sql, "EXPORT_DATA in a transaction", MethodNotImplemented)


def test_others_see_nothing_of_it_before_and_wait_or_fail(client, table):
    client.query_and_wait("CREATE OR REPLACE TABLE tx.other AS SELECT 1 AS x")
    many = "UNNEST(GENERATE_ARRAY(1, 7000))"
    slow = f"(SELECT SUM(a * b) FROM {many} AS a, {many} AS b)"
    job = client.query(f"""
        BEGIN TRANSACTION;
        UPDATE {table} SET x = 2 WHERE TRUE;
        UPDATE tx.other SET x = {slow} WHERE TRUE;
        COMMIT TRANSACTION;""")

    def is_open() -> bool:
        return len(list(client.list_jobs(parent_job=job.job_id))) == 2

    wait_until(is_open, "the second statement of the transaction runs")
    assert rows(client, f"SELECT * FROM {table}") == [(1,)]
    refused(client, f"BEGIN; DELETE FROM {table} WHERE TRUE; COMMIT", "aborted due to concurrent")
    client.query_and_wait(f"UPDATE {table} SET x = x + 5 WHERE TRUE")  # after the commit
    assert rows(client, f"SELECT * FROM {table}") == [(7,)]
    job.result()


def test_a_cancelled_one_leaves_nothing(client, table):
    job = client.query(f"BEGIN; UPDATE {table} SET x = 2 WHERE TRUE; LOOP END LOOP")
    wait_until(lambda: client.get_job(job.job_id).state == "RUNNING", "the loop runs")
    client.cancel_job(job.job_id)
    with pytest.raises(GoogleAPICallError, match="cancelled"):
        job.result(retry=None)
    client.query_and_wait(f"UPDATE {table} SET x = x + 5 WHERE TRUE")
    assert rows(client, f"SELECT * FROM {table}") == [(6,)]


def test_after_a_kill_it_runs_again_as_a_whole(tmp_path: Path):
    with LocalBigQuery(tmp_path) as service:
        client = service.client()
        client.create_dataset("ds")
        client.query_and_wait("CREATE TABLE ds.t (i INT64); CREATE TABLE ds.ticks (i INT64)")
        client.query(
            """
            DECLARE i INT64 DEFAULT 0;
            WHILE i < 30 DO
              BEGIN TRANSACTION;
              INSERT ds.t VALUES (i);
              INSERT ds.t SELECT COUNT(*) FROM ds.t;
              SET i = i + 1;
              COMMIT TRANSACTION;
            END WHILE;
            """,
            job_id="loop",
            job_retry=None,
        )

        def count() -> int:
            (row,) = client.query_and_wait("SELECT COUNT(*) FROM ds.t")
            assert row[0] % 2 == 0
            return int(row[0])

        wait_until(lambda: count() > 3, "some rounds are done")
        service.kill()
        service.start()
        client = service.client()
        client.get_job("loop").result()
        sql = "SELECT COUNT(*), COUNT(DISTINCT i) FROM ds.t"
        assert [tuple(row) for row in client.query_and_wait(sql)] == [(60, 45)]
