"""``pydag estimate``, as the command, against the local BigQuery."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pydag_dist.local.seed import example_dir, seed
from tests.support.local_bigquery import PROJECT, LocalBigQuery
from tests.support.local_google import cloud_storage

pytestmark = pytest.mark.slow

DATASET = f"{PROJECT}.estimates"
QUERY = "bigquery.query"


@pytest.fixture(scope="module")
def bigquery(local_bigquery: LocalBigQuery) -> LocalBigQuery:
    with local_bigquery.client() as client:
        client.create_dataset("estimates")
        query = (
            f"CREATE TABLE {DATASET}.big AS SELECT id FROM UNNEST(GENERATE_ARRAY(1, 2000000)) id"
        )
        client.query_and_wait(query)
    return local_bigquery


@pytest.fixture
def estimate(bigquery: LocalBigQuery, tmp_path: Path):
    env = os.environ | {"BIGQUERY_EMULATOR_HOST": bigquery.url, "PYDAG_WORKER_PROJECT": PROJECT}

    def run(tasks, *options, **fields) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "dag.json"
        dag = {"dag_id": "d", "params": {"low": 5}, **fields, "tasks": tasks}
        file.write_text(json.dumps(dag))
        command = [sys.executable, "-m", "pydag_dist", "estimate", str(file), *options]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    return run


def task(task_id, operator=QUERY, after=(), **params):
    return {"task_id": task_id, "operator": operator, "params": params, "dependencies": [*after]}


TASKS = [
    task("read", sql=f"SELECT * FROM {DATASET}.big WHERE id > {{{{ params.low }}}}"),
    task("check", "bigquery.check", table=f"{DATASET}.big", min_rows=1),
    task("constant", sql="SELECT 1"),
    task("script", sql=f"CREATE TABLE {DATASET}.s AS SELECT 1 AS x; SELECT * FROM {DATASET}.s; "
         f"SELECT * FROM {DATASET}.big"),
    task("load", "bigquery.load", source_uris=["gs://b/o"], destination=f"{DATASET}.l"),
    task("later", sql=f"SELECT * FROM {DATASET}.l", after=["load"]),
    task("templated", sql="SELECT {{ tasks.load.result.rows }}", after=["load"]),
    task("wait", "bigquery.wait_table", table=f"{DATASET}.l"),
]  # fmt: skip


def test_every_query_is_dry_run(estimate, bigquery):
    ran = len(bigquery.journal())
    result = estimate(TASKS, "--json", "--price", "5")
    assert (result.returncode, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    tasks = told["tasks"]
    whole = -(-16_000_000 // 2**20) * 2**20  # eight bytes a row, in whole megabytes
    assert {name: (one["bytes"], one["billed"]) for name, one in tasks.items()} == {
        "read": (16_000_000, whole),
        "check": (16_000_000, whole),
        "constant": (0, 0),
        "script": (16_000_008, 20 * 2**20),
        "load": (0, 0),
        "later": (None, None),
        "templated": (None, None),
    }
    assert tasks["read"]["price"] == whole / 2**40 * 5
    note = tasks["later"]["note"]
    assert note.startswith(f"notFound: Not found: Table {PROJECT}:estimates.l was not found")
    assert note.endswith("; perhaps an upstream task makes it")
    assert tasks["templated"]["note"] == "needs the result of load"
    assert told["unknown"] == ["later", "templated"]
    assert told["billed"] == sum(one["billed"] or 0 for one in tasks.values())
    assert len(bigquery.journal()) == ran


def test_the_table_can_be_read(estimate):
    lines = estimate(TASKS).stdout.splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["task", "reads", "billed", "USD"],
        ["read", "16.0", "MB", "16.8", "MB", "0.0001"],
    ]
    assert lines[-2].endswith("and what 2 of 7 tasks read")
    assert lines[-1] == "No job of BigQuery, or only a question for tables: 1 task."


def test_a_query_that_is_wrong_is_told(estimate):
    tasks = [
        task("syntax", sql="SELEC 1"),
        task("missing", sql=f"SELECT * FROM {DATASET}.no_such"),
        task("limit", sql=f"SELECT * FROM {DATASET}.big", maximum_bytes_billed=1),
    ]
    result = estimate(tasks, "--json")
    assert result.returncode == 1
    told = json.loads(result.stdout)["tasks"]
    assert told["syntax"]["note"].startswith("invalidQuery")
    assert told["missing"]["note"].startswith("notFound: Not found: Table")
    assert [one["wrong"] for one in told.values()] == [True, True, False]


def test_a_budget_that_will_not_do_is_told(estimate):
    query = [task("a", sql=f"SELECT * FROM {DATASET}.big")]
    enough = estimate(query, budget_bytes=17_000_000)
    assert "budget" not in enough.stdout
    assert estimate(query, budget_bytes=16_000_000).stdout.splitlines()[-1] == (
        "More than the DAG's budget_bytes, 16.0 MB."
    )


def test_templates_are_those_of_the_run(estimate):
    sql = "SELECT DATE '{{ ds }}' = DATE '2026-01-31' AND {{ params.low }} = 7 AND ERROR('x')"
    result = estimate([task("a", sql=sql)], "--param", "low=7", "--logical-date", "2026-01-31")
    assert result.returncode == 0, result.stdout
    assert estimate([task("a", sql="SELECT {{ params.no }}")]).returncode == 1
    wrong = estimate([task("a", sql="SELECT 1")], "--logical-date", "yesterday")
    assert wrong.returncode == 2
    assert "logical date 'yesterday': must be ISO 8601" in wrong.stderr


def test_a_wrong_file_is_told_as_by_validate(estimate):
    result = estimate([task("a", sql="")])
    assert result.returncode == 2
    assert 'task "a": params.sql: is empty' in result.stderr


def test_the_example_pipeline(local_bigquery, tmp_path):
    with cloud_storage(tmp_path) as url:
        seed(url, local_bigquery.url, example_dir(), rows=10)
        result = subprocess.run(
            [sys.executable, "-m", "pydag_dist", "estimate", str(example_dir() / "pipeline.json")],
            env=os.environ
            | {
                "BIGQUERY_EMULATOR_HOST": local_bigquery.url,
                "STORAGE_EMULATOR_HOST": url,
                "PYDAG_WORKER_STORES": "gcs:project-pydag",
                "PYDAG_WORKER_CONNECTIONS": '{"GCP": {"project": "local-project"}}',
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 0, result.stdout + result.stderr
    told = {line.split()[0]: line.split()[1] for line in result.stdout.splitlines()[1:]}
    made = ("create_table_final", "create_table_stg_1", "create_table_stg_2")
    read = ("extract_from_stg_1", "extract_from_stg_2", "insert_to_fact")
    assert {name: told[name] for name in (*made, *read)} == {
        **dict.fromkeys(made, "0"),
        **dict.fromkeys(read, "?"),
    }
    assert "in all" in result.stdout
    assert "what 3 of 6 tasks read" in result.stdout


def test_tables_and_columns_are_told(estimate):
    sql = f"SELECT id, id + 1 AS next FROM {DATASET}.big"
    told = json.loads(estimate([task("read", sql=sql)], "--json").stdout)["tasks"]["read"]
    assert (told["tables"], told["columns"]) == ([f"{DATASET}.big"], ["id", "next"])
