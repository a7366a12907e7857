"""The reference says all that is there, and its examples are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pydag_dist.dag import Dag, InvalidDag, TriggerRule, limits
from pydag_dist.dag.fields import DagFields, Task
from pydag_dist.dag.operators import OPERATORS
from pydag_dist.dag.text.messages import field_names

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples" / "semantics"
NUMBER = re.compile(r"-?[\d,]*\d(?:\.\d+)?")
TEXT = (ROOT / "docs" / "dag-files.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def in_first_columns(text):
    cells = re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def section(title):
    return re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^##|\Z)", TEXT, re.DOTALL | re.MULTILINE)[
        1
    ]


def test_every_field_is_in_its_table():
    assert in_first_columns(section("The DAG")) == {*field_names(DagFields), "tasks"}
    assert in_first_columns(section("A task")) == set(field_names(Task))


def test_every_trigger_rule_is_in_its_table():
    rules = re.findall(r"^\| `(\w+)` \| .* \| .*\|$", section("Trigger rules"), re.MULTILINE)

    assert rules == ["trigger_rule", *TriggerRule]


def test_every_example_is_told_of():
    linked = re.findall(r"\(\.\./examples/semantics/(\w+\.json)\)", TEXT)

    assert sorted(linked) == sorted(path.name for path in EXAMPLES.glob("*.json"))


def test_every_param_is_in_its_operators_table():
    common = in_first_columns(section("Operators"))
    for name, model in OPERATORS.items():
        assert in_first_columns(section(name)) == set(field_names(model)) - common, name


def test_the_python_example_is_the_first_example():
    [code] = [code for code in blocks("python") if 'Dag("nightly"' in code]
    [dag] = blocks("json nightly.json")
    names = {}
    exec(code, names)

    assert names["dag"] == Dag.parse(dag)


def test_the_errors_read_as_shown():
    call = {"operator": "python.call", "params": {"callable": "etl:run"}}
    tasks = [
        {"task_id": "extract", "operator": "bigquery.qery"},
        {"task_id": "load", "operator": "python.call", "dependencies": ["extrct"]},
        {"task_id": "check", **call, "dependencies": ["publish"]},
        {"task_id": "publish", **call, "dependencies": ["check"]},
    ]
    with pytest.raises(InvalidDag) as caught:
        Dag.parse({"dag_id": "x", "processors": "4", "tasks": tasks}, "pipeline.json")

    shown = re.search(r"^```text problems\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)[1]
    assert sorted(shown.splitlines()) == sorted(str(p) for p in caught.value.problems)


def test_the_limits_are_those_of_the_code():
    rows = dict(re.findall(r"^\| (.*?) \| (.*?) \|$", section("Limits"), re.MULTILINE))
    shown = {
        what: [float(n.replace(",", "")) for n in NUMBER.findall(text)]
        for what, text in rows.items()
    }
    expected = {
        "a DAG: its file, and as a run keeps it": [limits.DAG_BYTES],
        "params of a task, of a DAG or of a run, as JSON": [limits.PARAMS_BYTES],
        "tasks": [limits.TASKS],
        "dependencies, all tasks together": [limits.EDGES],
        "queues of a DAG, and of a worker": [limits.QUEUES],
        "characters of an id": [limits.ID],
        "characters of a worker's name": [limits.WORKER],
        "levels of nested objects and lists, in files and results": [limits.DEPTH],
        "children of an expanded task": [limits.CHILDREN],
        "children of all expanded tasks of a run together": [limits.RUN_CHILDREN],
        "a result, as JSON": [limits.RESULT_BYTES],
        "what is kept of a remote job while its task is deferred, as JSON": [limits.HANDLE_BYTES],
        "an error": [limits.ERROR],
        "a line of a log": [limits.LOG_LINE],
        "the log of a try": [limits.LOG_HEAD, limits.LOG_TAIL],
        "all logs together": [limits.LOGS, round(100 * limits.LOGS_MEMORY)],
        "`processors`": [limits.PROCESSORS],
        "`weight`": [limits.WEIGHT[1], limits.WEIGHT[0]],
        "`retries`": [limits.RETRIES],
        "`priority`": [limits.PRIORITY, -limits.PRIORITY],
        "timeouts": [limits.TIMEOUT[1], limits.TIMEOUT[0]],
        "delays": [limits.DELAY[1], limits.DELAY[0]],
        "`PYDAG_RETENTION`": [limits.RETENTION[1]],
        "tags of a DAG": [limits.TAGS, limits.TAG],
        "webhooks of `on_success`, of `on_failure`, of `on_late`": [limits.HOOKS],
    }
    assert {what: numbers for what, numbers in shown.items() if what in expected} == expected
