from __future__ import annotations

from pathlib import Path

import pytest

from pydag_dist.dag import Dag, InvalidDag

BAD = sorted((Path(__file__).parent / "bad").glob("*.json"))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_all_problems_of_a_bad_file_are_reported_at_once(path):
    expected = path.with_suffix(".problems").read_text(encoding="utf-8").splitlines()

    with pytest.raises(InvalidDag) as caught:
        Dag.parse(path.read_bytes(), source=path.name)

    assert [str(problem) for problem in caught.value.problems] == expected


def test_the_fixtures_are_complete():
    assert len(BAD) >= 30
    assert {path.stem for path in BAD} == {
        path.stem for path in (Path(__file__).parent / "bad").glob("*.problems")
    }


def test_a_problem_has_its_parts():
    with pytest.raises(InvalidDag) as caught:
        Dag.parse({"dag_id": "x", "tasks": [{"task_id": "a", "operator": "shell"}]}, "here.json")

    [problem] = caught.value.problems
    assert (problem.source, problem.task, problem.field) == ("here.json", "a", "operator")
    assert problem.message.startswith('unknown operator "shell"')
    assert str(caught.value) == str(problem)


def test_a_file_that_cannot_be_read_is_a_problem_too(tmp_path):
    with pytest.raises(InvalidDag, match=r"missing\.json: can't be read: No such file"):
        Dag.load(tmp_path / "missing.json")
    with pytest.raises(InvalidDag, match="can't be read: Is a directory"):
        Dag.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("etl.py", "submits the DAG that it builds by Client, so run it"),
        ("etl.yaml", "DAG files are JSON$"),
    ],
)
def test_a_file_that_by_its_name_is_no_json_is_told_what_to_do_with_it(tmp_path, name, advice):
    file = tmp_path / name
    file.write_text("import pydag_dist\n")
    with pytest.raises(InvalidDag, match=f"not JSON: .*; .*{advice}"):
        Dag.load(file)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ('{"dag_id": "a",\n}', "nothing follows the last comma: remove it"),
        ('{"tasks": [1, 2,]}', "nothing follows the last comma: remove it"),
        ('{"sql": "SELECT 1\nFROM t"}', r"a line break is written as \\n"),
        ("{\"a\": 'b'}", "texts are in double quotes"),
        ('{"a": 1 "b": 2}', r"Expecting ',' delimiter \(line 1, column 9\)$"),
    ],
)
def test_what_is_often_wrong_with_json_is_told_with_what_to_do(text, advice):
    with pytest.raises(InvalidDag, match=advice):
        Dag.parse(text)


def test_a_python_value_may_contain_itself():
    params = {}
    params["params"] = params

    with pytest.raises(InvalidDag, match="nested deeper than 100 levels"):
        Dag.parse({"dag_id": params, "params": params, "tasks": [params]})


def test_a_key_that_is_not_text_is_a_problem_wherever_it_is():
    task = {"task_id": "a", "operator": "python.call", "params": {"callable": "steps:run"}, 1: 2}
    with pytest.raises(InvalidDag) as caught:
        Dag.parse({"dag_id": "x", 1: 2, "tasks": [task]})

    assert {p.task for p in caught.value.problems if "key that is not text" in p.message} == {
        None,
        "a",
    }


def test_a_long_integer_is_not_read():
    with pytest.raises(InvalidDag, match="not JSON: Exceeds the limit"):
        Dag.parse('{"dag_id": "x", "processors": ' + "1" * 5000 + "}")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1, 2}, r"params\.x: must be JSON, not a Python set"),
        (b"text", r"params\.x: must be JSON, not a Python bytes"),
        ({1: "a"}, r"params\.x: has a key that is not text: 1"),
        (float("nan"), r"params\.x: must be a number, not nan"),
    ],
)
def test_a_python_value_that_json_cannot_say_is_a_problem(value, message):
    task = {"task_id": "a", "operator": "python.call", "params": {"callable": "steps:run"}}
    with pytest.raises(InvalidDag, match=message):
        Dag.parse({"dag_id": "x", "params": {"x": value}, "tasks": [task]})


def test_names_are_suggested_as_long_as_that_is_quick():
    call = {"operator": "python.call", "params": {"callable": "steps:run"}}
    tasks = [{"task_id": f"task_{number}", **call} for number in range(5000)]
    for task in tasks[:20]:
        task["dependencies"] = [f"tsk_{task['task_id'][5:]}99"]
    with pytest.raises(InvalidDag) as caught:
        Dag.parse({"dag_id": "x", "tasks": tasks})

    suggested = ["did you mean" in problem.message for problem in caught.value.problems]
    assert suggested == [True] * 10 + [False] * 10


def test_many_repeated_keys_are_read_like_few():
    keys = ", ".join(f'"k{number}": 0' for number in range(200_000))
    with pytest.raises(InvalidDag, match=r"params\.k7: is there more than once"):
        Dag.parse(f'{{"dag_id": "x", "params": {{{keys}, "k7": 1}}, "tasks": []}}')
