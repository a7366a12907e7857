from __future__ import annotations

import importlib.metadata

import pytest

from pydag_dist.dag import Dag, InvalidDag, Task, operators, schema


@pytest.fixture
def registered(monkeypatch):
    """An operator that some installed package registers."""
    entry = importlib.metadata.EntryPoint("acme.copy", "acme.operators:Copy", "pydag.operators")

    def entry_points(*, group):
        return [entry] if group == "pydag.operators" else []

    monkeypatch.setattr(operators, "entry_points", entry_points)
    operators.operator_names.cache_clear()
    yield entry
    operators.operator_names.cache_clear()


@pytest.mark.parametrize(
    ("operator", "queue"),
    [
        ("bigquery.query", "bigquery"),
        ("dataproc.submit_job", "dataproc"),
        ("gcs.copy", "gcs"),
        ("python.call", "python"),
        ("script.bq", "bigquery"),
        ("script.spark", "dataproc"),
        ("script.iac", "dataproc"),
        ("branch", "python"),
        ("dag.run", "python"),
        ("acme.copy", "python"),
    ],
)
def test_a_task_goes_to_its_operators_family(operator, queue):
    assert Task("a", operator).queue == queue


def test_every_operator_has_params_that_a_worker_reads():
    assert {*operators.OPERATORS, *operators.SCRIPTS} == {
        "bigquery.check",
        "bigquery.copy",
        "bigquery.extract",
        "bigquery.load",
        "bigquery.query",
        "bigquery.wait_table",
        "branch",
        "dag.run",
        "dag.wait",
        "dataproc.create_cluster",
        "dataproc.delete_cluster",
        "dataproc.start_cluster",
        "dataproc.stop_cluster",
        "dataproc.submit_batch",
        "dataproc.submit_job",
        "dataproc.update_cluster",
        "dataproc.workflow_template",
        "gcs.compose",
        "gcs.copy",
        "gcs.delete",
        "gcs.move",
        "gcs.upload",
        "gcs.wait_object",
        "python.call",
        "script.bq",
        "script.spark",
        "script.iac",
    }
    assert operators.params_model("acme.copy") is None


def test_params_have_defaults():
    query = operators.params_model("bigquery.query").model_validate({"sql": "SELECT 1"})

    assert (query.parameters, query.labels, query.connection) == ({}, {}, None)
    assert operators.PythonCall(callable="a.b:c").kwargs == {}


def test_a_registered_operator_takes_any_params(registered):
    raw = {
        "dag_id": "x",
        "tasks": [{"task_id": "a", "operator": registered.name, "params": {"from": "x", "n": 1}}],
    }

    assert Dag.parse(raw).tasks["a"].params == {"from": "x", "n": 1}
    assert registered.name in schema()["$defs"]["Task"]["properties"]["operator"]["enum"]


def test_an_operator_that_nobody_registered_is_unknown():
    with pytest.raises(InvalidDag, match=r'unknown operator "acme\.copy"; there are bigquery'):
        Dag.parse({"dag_id": "x", "tasks": [{"task_id": "a", "operator": "acme.copy"}]})
