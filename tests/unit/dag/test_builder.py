from __future__ import annotations

import pytest
from hypothesis import given

from pydag_dist.dag import Dag, InvalidDag
from pydag_dist.errors import PydagError
from tests.unit.dag.strategies import dags

CALL = {"callable": "steps:run"}


def edges(dag):
    return {(parent, task.task_id) for task in dag.tasks.values() for parent in task.dependencies}


def test_arrows_make_dependencies():
    with Dag("nightly", processors=8) as dag:
        a, b, c, d, e = (dag.task(name, "python.call", CALL) for name in "abcde")
        a >> b
        a >> [c, d] >> e
        [b, c] >> d

    assert dag.processors == 8
    assert edges(dag) == {
        ("a", "b"),
        ("a", "c"),
        ("a", "d"),
        ("c", "e"),
        ("d", "e"),
        ("b", "d"),
        ("c", "d"),
    }
    assert dag.walk() == ("a", "b", "c", "d", "e")


def test_arrows_make_chains():
    with Dag("chain") as dag:
        a, b, c = (dag.task(name, "python.call", CALL) for name in "abc")
        a >> b >> c

    assert edges(dag) == {("a", "b"), ("b", "c")}


def test_a_built_dag_equals_the_one_of_a_file():
    with Dag("nightly", tags=["x"], weight=2) as dag:
        extract = dag.task("extract", "bigquery.query", {"sql": "SELECT 1"}, priority=5)
        table = dag.script("table", "gcs.b.f.bq.create", "{'table':'t'}")
        spark = dag.script(
            "spark",
            "gcs.b.f.spark.job",
            {"cluster_name": "c", "project_name": "p", "region": "r"},
            queue="large",
        )
        [extract, table] >> spark

    assert dag == Dag.parse(
        {
            "dag_id": "nightly",
            "tags": ["x"],
            "weight": 2,
            "tasks": [
                {
                    "task_id": "extract",
                    "operator": "bigquery.query",
                    "params": {"sql": "SELECT 1"},
                    "priority": 5,
                },
                {"task_id": "table", "script": "gcs.b.f.bq.create", "params": {"table": "t"}},
                {
                    "task_id": "spark",
                    "script": "gcs.b.f.spark.job",
                    "params": {"cluster_name": "c", "project_name": "p", "region": "r"},
                    "dependencies": ["extract", "table"],
                    "queue": "large",
                },
            ],
        }
    )


@pytest.mark.big
@given(dags())
def test_any_dag_can_be_built_and_survives_its_own_form(raw):
    fields = {name: value for name, value in raw.items() if name != "tasks"}
    with Dag(**fields) as dag:
        nodes = {}
        for task in raw["tasks"]:
            given = {name: value for name, value in task.items() if name != "dependencies"}
            if "script" in given:
                nodes[task["task_id"]] = dag.script(path=given.pop("script"), **given)
            else:
                nodes[task["task_id"]] = dag.task(**given)
        for task in raw["tasks"]:
            for parent in task["dependencies"]:
                nodes[parent] >> nodes[task["task_id"]]

    read = Dag.parse(raw)
    assert dag == read
    assert dag.to_json() == read.to_json()
    assert Dag.parse(read.to_dict()) == read
    again = Dag.parse(read.to_json())
    assert again == read
    assert again.to_json() == read.to_json()


def test_a_wrong_task_is_refused_where_it_stands():
    dag = Dag("nightly")
    with pytest.raises(InvalidDag) as caught:
        dag.task("a b", "python.cal", CALL, priorty=1)

    assert [(p.source, p.task, p.field) for p in caught.value.problems] == [
        ("Dag('nightly')", "a b", "task_id"),
        ("Dag('nightly')", "a b", "priorty"),
        ("Dag('nightly')", "a b", "operator"),
    ]
    assert dag.tasks == {}


def test_an_id_is_taken_once():
    dag = Dag("nightly")
    dag.task("a", "python.call", CALL)

    with pytest.raises(InvalidDag, match='task "a": task_id: is there already'):
        dag.task("a", "python.call", CALL)


def test_the_whole_is_checked_at_the_end():
    dag = Dag("not an id", processors=-1)
    a = dag.task("a", "python.call", CALL)
    b = dag.task("b", "python.call", CALL, dependencies=["c"])
    a >> b >> a

    with pytest.raises(InvalidDag) as caught, dag:
        pass

    assert [(problem.task, problem.field) for problem in caught.value.problems] == [
        (None, "dag_id"),
        (None, "processors"),
        ("a", "dependencies"),
        ("b", "dependencies"),
    ]


def test_an_error_in_the_block_is_not_hidden():
    with pytest.raises(ZeroDivisionError), Dag("empty"):
        raise ZeroDivisionError


def test_a_dag_without_a_block_is_checked_when_it_is_used():
    dag = Dag("nightly")
    with pytest.raises(InvalidDag, match="a DAG has at least one task"):
        dag.to_json()
    with pytest.raises(InvalidDag, match="a DAG has at least one task"):
        dag.walk()

    a = dag.task("a", "python.call", CALL)
    assert dag.walk() == ("a",)
    b = dag.task("b", "python.call", CALL)
    assert dag.levels() == [["a", "b"]]
    a >> b
    assert dag.levels() == [["a"], ["b"]]
    assert Dag.parse(dag.to_json()) == dag


def test_a_finished_dag_does_not_change():
    with Dag("nightly") as dag:
        a = dag.task("a", "python.call", CALL)
        b = dag.task("b", "python.call", CALL)

    with pytest.raises(PydagError, match="DAG nightly is finished"):
        a >> b
    with pytest.raises(PydagError, match="DAG nightly is finished"):
        dag.task("c", "python.call", CALL)


def test_tasks_of_two_dags_are_not_connected():
    first, second = Dag("first"), Dag("second")
    a = first.task("a", "python.call", CALL)
    b = second.task("b", "python.call", CALL)

    with pytest.raises(PydagError, match=r"first\.a.*second\.b.*two DAGs"):
        a >> b
    assert second.tasks["b"].dependencies == []


def test_a_dag_is_shown_by_its_name():
    dag = Dag("nightly")
    node = dag.task("a", "python.call", CALL)

    assert repr(dag) == "<Dag nightly: 1 tasks>"
    assert repr(node) == "Node(nightly.a)"
