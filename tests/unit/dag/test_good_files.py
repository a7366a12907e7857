from __future__ import annotations

import json
from pathlib import Path

import pytest

from pydag_dist.dag import Dag, ScriptPath, TriggerRule

GOOD = sorted((Path(__file__).parent / "good").glob("*.json"))


def load(name):
    return Dag.load(Path(__file__).parent / "good" / f"{name}.json")


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_file_read_from_its_own_dict_is_the_same_dag(path):
    dag = Dag.load(path)

    assert Dag.parse(dag.to_dict()) == dag
    assert Dag.parse(dag.to_json()) == dag
    assert list(Dag.parse(dag.to_json()).tasks) == list(dag.tasks)


def test_the_example_of_pydag():
    dag = load("pydag_example")

    assert (dag.dag_id, dag.script_cache, dag.expire_cache, dag.processors) == (
        "TEST_DAG",
        True,
        7200,
        4,
    )
    assert (dag.tags, dag.owner, dag.retries) == (["tag"], "owner", 0)
    assert list(dag.tasks) == [
        "startup_dataproc_1",
        "create_table_final",
        "create_table_stg_1",
        "create_table_stg_2",
        "initial_ingestion_1",
        "extract_from_stg_1",
        "extract_from_stg_2",
        "insert_to_fact",
    ]
    assert [task.operator for task in dag.tasks.values()] == [
        "script.iac",
        *["script.bq"] * 3,
        "script.spark",
        *["script.bq"] * 3,
    ]
    assert {
        task.task_id: task.queue for task in dag.tasks.values() if task.queue != "bigquery"
    } == {
        "startup_dataproc_1": "dataproc",
        "initial_ingestion_1": "dataproc",
    }
    assert dag.levels() == [
        ["startup_dataproc_1", "create_table_final", "create_table_stg_1", "create_table_stg_2"],
        ["initial_ingestion_1"],
        ["extract_from_stg_1", "extract_from_stg_2"],
        ["insert_to_fact"],
    ]
    ingestion = dag.tasks["initial_ingestion_1"]
    assert ingestion.script == ScriptPath(
        "gcs", "example-bucket", "jobs", "spark", "csv_to_bigquery"
    )
    assert ingestion.script.path == "gcs.example-bucket.jobs.spark.csv_to_bigquery"
    assert ingestion.script.object_name == "jobs/csv_to_bigquery.py"
    assert ingestion.params["**GCP_service-account"] == ""
    assert ingestion.params["file_name"] == "test.csv"
    assert ingestion.trigger_rule is TriggerRule.ALL_SUCCESS


def test_pydags_ways_to_write_params():
    params = {task.task_id: task.params for task in load("pydag_quirks").tasks.values()}

    assert params["no_params"] == params["blank_params"] == params["empty_params"] == {}
    assert params["object_params"] == {"table": "t", "rows": 1}
    assert params["json_in_text"] == {"where": "name = 'x'"}
    assert params["both_quotes"] == {
        "where": "name = 'x'",
        "column": 'a "b"',
        "escaped": "it's",
    }
    assert params["json_values"] == {
        "a": 1,
        "b": 1.5,
        "c": True,
        "d": None,
        "e": ["x", "y"],
        "f": {"g": "h"},
    }
    assert params["nested_folder"] == {"columns": "id int64,\tcategory string"}
    assert params["python_values"] == {"a": True, "b": None, "c": False, "d": "True"}
    assert params["connection_and_variable"] == {
        "**GCP_service-account": "",
        "*variable": "v",
        "name": "n",
    }


def test_a_parent_below_its_child_is_walked_first():
    dag = load("pydag_quirks")

    assert dag.walk()[-2:] == ("parent.last", "child_first")
    assert list(dag.tasks)[-2:] == ["child_first", "parent.last"]


def test_what_a_file_leaves_out_has_its_default():
    task = load("own_smallest").tasks["y"]

    assert task.queue == "python"
    assert task.script is None
    assert (task.dependencies, task.retries, task.timeout, task.priority) == ([], 0, None, 0)
    assert load("own_smallest").to_dict() == {
        "dag_id": "x",
        "tasks": [{"task_id": "y", "operator": "python.call", "params": {"callable": "steps:run"}}],
    }


def test_what_a_file_says_is_kept():
    path = Path(__file__).parent / "good" / "own_everything.json"
    dag = Dag.load(path)
    given = json.loads(path.read_text(encoding="utf-8"))

    for name, value in given.items():
        if name != "tasks":
            assert getattr(dag, name) == value, name
    for raw in given["tasks"]:
        task = dag.tasks[raw["task_id"]]
        for name, value in raw.items():
            found = getattr(task, name)
            assert (found.path if name == "script" else found) == value, (task.task_id, name)
    assert dag.tasks["extract"].queue == "bigquery-large"


def test_a_byte_order_mark_is_no_part_of_the_text():
    text = Path(GOOD[0]).read_text(encoding="utf-8")

    assert Dag.parse("\ufeff" + text) == Dag.parse(text.encode("utf-8-sig")) == Dag.parse(text)


def test_dags_and_tasks_compare_by_what_they_say():
    dag, same = load("own_everything"), load("own_everything")
    other = dag.to_dict()
    other["tasks"][0]["priority"] = 99

    assert dag == same
    assert hash(dag) == hash(same)
    assert dag != Dag.parse(other)
    assert {dag.tasks["extract"], same.tasks["extract"]} == {dag.tasks["extract"]}
