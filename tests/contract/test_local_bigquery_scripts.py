"""Scripts of the local BigQuery: each statement is a child job, and done once."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.api_core.exceptions import BadRequest, GoogleAPICallError, MethodNotImplemented
from google.cloud import bigquery

from tests.support import wait_until
from tests.support.local_bigquery import LocalBigQuery


@pytest.fixture(scope="module")
def client(local_bigquery: LocalBigQuery):
    with local_bigquery.client() as client:
        client.create_dataset("scripts")
        yield client


def test_an_error_is_handled_and_the_statements_before_it_stay_done(client):
    job = client.query("""
        DECLARE x INT64 DEFAULT 0;
        CREATE TABLE scripts.handled (a INT64);
        BEGIN
          SET x = 1;
          INSERT scripts.handled VALUES (x);
          SELECT 1 / 0;
          SET x = 2;
        EXCEPTION WHEN ERROR THEN
          SELECT x, @@error.message AS m, @@error.statement_text AS s FROM scripts.handled;
        END
        """)
    assert [tuple(row) for row in job.result()] == [(1, "division by zero: 1 / 0", "SELECT 1 / 0")]
    children = list(client.list_jobs(parent_job=job.job_id))
    assert job.num_child_jobs == len(children) == 4
    assert [child.error_result is None for child in children].count(False) == 1


def test_a_procedure_that_replaces_itself_runs_as_it_was_called(client):
    client.query_and_wait("""
        CREATE PROCEDURE scripts.once(x INT64, OUT y INT64)
        BEGIN
          CREATE OR REPLACE PROCEDURE scripts.once(x INT64, OUT y INT64) BEGIN SET y = -x; END;
          BEGIN SELECT x / 0; EXCEPTION WHEN ERROR THEN SET y = x + 1; END;
        END
        """)
    twice = "DECLARE a, b INT64; CALL scripts.once(3, a); CALL once(3, b); SELECT a, b;"
    config = bigquery.QueryJobConfig(default_dataset=f"{client.project}.scripts")
    assert [tuple(row) for row in client.query_and_wait(twice, job_config=config)] == [(4, -3)]
    (procedure,) = client.list_routines("scripts")
    assert (procedure.routine_id, procedure.type_) == ("once", "PROCEDURE")
    assert [one.mode for one in client.get_routine(procedure.reference).arguments] == ["IN", "OUT"]
    client.delete_routine(procedure.reference)


def test_an_error_without_a_handler_fails_the_script(client):
    with pytest.raises(BadRequest, match="division by zero"):
        client.query_and_wait("DECLARE x INT64 DEFAULT 0; SELECT 1 / x;")


def test_what_is_not_supported_is_not_handled(client):
    script = "BEGIN SELECT ST_GEOGPOINT(1, 2); EXCEPTION WHEN ERROR THEN SELECT 1 AS x; END"
    with pytest.raises(MethodNotImplemented, match="ST_GEOGPOINT"):
        client.query(script, job_retry=None).result(retry=None)


def test_parameters_variables_and_temporary_names(client):
    config = bigquery.QueryJobConfig(
        query_parameters=[
            bigquery.ScalarQueryParameter(None, "INT64", 3),
            bigquery.ScalarQueryParameter(None, "STRING", "x"),
        ]
    )
    rows = client.query_and_wait(
        """
        DECLARE n INT64 DEFAULT ?;
        CREATE TEMP FUNCTION more(a INT64) AS (a + 1);
        CREATE TEMP TABLE t AS SELECT more(n) AS a, ? AS b;
        SELECT * FROM t;
        """,
        job_config=config,
    )
    assert [tuple(row) for row in rows] == [(4, "x")]
    assert not [item.dataset_id for item in client.list_datasets() if "script_" in item.dataset_id]


@pytest.mark.parametrize("body", ["SET i = i + 1;", ""])
def test_a_loop_without_an_end_can_be_cancelled(client, body):
    job = client.query(f"DECLARE i INT64 DEFAULT 0; LOOP {body} END LOOP")
    wait_until(lambda: client.get_job(job.job_id).state == "RUNNING", "the loop runs")
    client.cancel_job(job.job_id)
    with pytest.raises(GoogleAPICallError, match="cancelled"):
        job.result(retry=None)


def test_after_a_kill_a_loop_goes_on_where_it_was(tmp_path: Path):
    with LocalBigQuery(tmp_path) as service:
        client = service.client()
        client.create_dataset("ds")
        client.query_and_wait("CREATE TABLE ds.t (i INT64, at TIMESTAMP)")
        client.query(
            """
            DECLARE i INT64 DEFAULT 0;
            DECLARE at TIMESTAMP DEFAULT CURRENT_TIMESTAMP();
            WHILE i < 40 DO
              SET i = i + 1;
              INSERT ds.t VALUES (i, at);
            END WHILE;
            """,
            job_id="loop",
            job_retry=None,
        )

        def count() -> int:
            (row,) = client.query_and_wait("SELECT COUNT(*) FROM ds.t")
            return int(row[0])

        wait_until(lambda: count() > 3, "some rounds are done")
        service.kill()
        service.start()
        client = service.client()
        client.get_job("loop").result()
        sql = "SELECT COUNT(*), COUNT(DISTINCT i), COUNT(DISTINCT at) FROM ds.t"
        assert [tuple(row) for row in client.query_and_wait(sql)] == [(40, 40, 1)]


def test_what_a_script_can_ask_of_itself(client):
    job = client.query("""
        DECLARE last STRING;
        CREATE TABLE scripts.asked AS SELECT 1 AS x;
        SET last = @@last_job_id;
        UPDATE scripts.asked SET x = 2 WHERE TRUE;
        SELECT @@row_count, @@project_id, @@script.job_id, last;
        """)
    ((count, project, job_id, last),) = [tuple(row) for row in job.result()]
    assert (count, project, job_id) == (1, client.project, job.job_id)
    assert client.get_job(last).statement_type == "CREATE_TABLE_AS_SELECT"
    assert [tuple(r) for r in client.query_and_wait("SELECT @@script.job_id, @@row_count")] == [
        (None, None)
    ]


def test_a_text_is_a_child_job(client):
    job = client.query(
        "EXECUTE IMMEDIATE 'CREATE TABLE scripts.immediate AS SELECT ? AS x' USING 7"
    )
    job.result()
    (child,) = client.list_jobs(parent_job=job.job_id)
    assert child.query == "CREATE TABLE scripts.immediate AS SELECT ? AS x"
    assert [tuple(r) for r in client.query_and_wait("FROM scripts.immediate")] == [(7,)]
