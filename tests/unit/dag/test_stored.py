"""The DAG of a run is read without a second check, and is what the first one made of it."""

import json
from pathlib import Path

import pytest

from pydag_dist.dag import Dag, InvalidDag
from pydag_dist.dag.reading.stored import NotAsWritten, read_stored

GOOD = sorted((Path(__file__).parent / "good").glob("*.json"))
TASK = {"task_id": "a", "operator": "python.call", "params": {"callable": "m:f"}}


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_what_was_written_is_read_as_it_was(path: Path) -> None:
    dag = Dag.load(path)
    fields, tasks, graph = read_stored(dag.to_json())
    stored = Dag.stored(dag.to_json(), "r")
    assert stored == dag
    assert list(stored.tasks) == list(dag.tasks) == list(tasks)
    assert {t: type(task.trigger_rule) for t, task in tasks.items()} == {
        t: type(task.trigger_rule) for t, task in dag.tasks.items()
    }
    assert stored.walk() == dag.walk() == graph.order
    assert fields.dag_id == dag.dag_id


@pytest.mark.parametrize(
    "change",
    [
        {"tasks": []},
        {"tasks": [TASK, TASK]},
        {"tasks": [TASK | {"dependencies": ["b"]}]},
        {"tasks": [TASK | {"dependencies": ["a"]}]},
        {
            "tasks": [
                TASK | {"dependencies": ["b"]},
                TASK | {"task_id": "b", "dependencies": ["a"]},
            ]
        },
        {"tasks": [TASK | {"nothing": 1}]},
        {"tasks": [TASK | {"params": "{'callable': 1}"}]},
        {"tasks": [TASK | {"task_id": 1}]},
        {"tasks": [TASK | {"trigger_rule": "never"}]},
        {"tasks": [{"task_id": "a"}]},
        {"tasks": {}},
        {"tasks": None},
        {"retries": -1},
    ],
)
def test_a_text_that_nobody_has_checked_is_checked_and_refused(change) -> None:
    text = json.dumps({"dag_id": "d", "tasks": [TASK]} | change)
    with pytest.raises(InvalidDag) as told:
        Dag.parse(text, "r")
    with pytest.raises(NotAsWritten):
        read_stored(text)
    with pytest.raises(InvalidDag) as found:
        Dag.stored(text, "r")
    assert str(found.value) == str(told.value)
