"""A DAG written as Python makes the same DAG again."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydag_dist import Dag
from pydag_dist.dag.forms import FORMS
from pydag_dist.dag.python_code import python
from pydag_dist.errors import InvalidDag
from tests.support.documents import ROOT
from tests.unit.dag.editing.support import FILES


def _right(file):
    try:
        return Dag.load(file)
    except InvalidDag:
        return None


def made_of(program):
    names = {"__name__": "program"}
    exec(compile(program, "program", "exec"), names)
    return names["dag"]


@pytest.mark.parametrize(
    "file", [f for f in FILES if _right(f)], ids=lambda file: str(file.relative_to(ROOT))
)
def test_every_file_becomes_a_program_of_the_same_dag(file):
    dag = _right(file)
    program = python(dag)
    assert made_of(program) == dag
    assert made_of(program).to_json() == dag.to_json()
    assert Dag.parse(FORMS["own"](dag)) == dag


def test_running_the_program_prints_the_dag():
    dag = Dag.load(ROOT / "examples/pipeline/pipeline.json")
    done = subprocess.run(
        [sys.executable, "-c", python(dag)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert Dag.parse(done.stdout) == dag


IDS = st.text("abAB01-._ü"[:-1], min_size=1, max_size=4).filter(lambda text: text.strip("."))
AWKWARD = [
    "\u2028\u202e\x00",
    '"""',
    "\\",
    "a\n",
    '\n"',
    "'''\n\\n",
    "\r\n",
    "{{ ds }}\n\ttab",
    "\f",
]
TEXTS = st.text(max_size=6) | st.sampled_from(AWKWARD)
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(IDS, min_size=1, max_size=5, unique=True), VALUES)
@settings(max_examples=50, deadline=None)
def test_any_ids_and_texts_become_a_program(ids, value):
    tasks = [
        {
            "task_id": each,
            "operator": "gcs.delete",
            "params": {"uris": ["gs://b/o"]},
            "dependencies": ids[:number],
        }
        for number, each in enumerate(ids)
    ]
    dag = Dag.parse({"dag_id": "d", "description": "x\n\\", "params": {"p": value}, "tasks": tasks})
    program = python(dag)
    assert made_of(program) == dag
    assert all(char.isprintable() or char == "\n" for char in program)


def test_names_hide_nothing():
    ids = ["dag", "Dag", "class", "print", "a-b", "a.b", "1", "a_b"]
    tasks = [
        {"task_id": i, "operator": "gcs.delete", "params": {"uris": ["gs://b/o"]}} for i in ids
    ]
    program = python(Dag.parse({"dag_id": "d", "tasks": tasks}))
    names = [n.id for n in ast.walk(ast.parse(program)) if isinstance(n, ast.Name)]
    assert {"dag_2", "Dag_2", "class_2", "print_2", "a_b", "a_b_2", "_1", "a_b_3"} <= {*names}


def test_it_reads_as_a_person_would_write_it():
    dag = {
        "dag_id": "nightly",
        "processors": 8,
        "tasks": [
            {
                "task_id": "extract",
                "operator": "bigquery.query",
                "params": {"sql": "SELECT 1\nFROM t\n"},
            },
            {"task_id": "check", "operator": "python.call", "params": {"callable": "m:f"}},
            {
                "task_id": "load",
                "script": "gcs.b.f.bq.load",
                "dependencies": ["extract", "check"],
                "retries": 2,
            },
        ],
    }
    assert (
        python(Dag.parse(json.dumps(dag)))
        == '''from pydag_dist import Dag

with Dag("nightly", processors=8) as dag:
    extract = dag.task(
        "extract",
        "bigquery.query",
        params={
            "sql": """SELECT 1
FROM t
""",
        },
    )
    check = dag.task("check", "python.call", params={"callable": "m:f"})
    load = dag.script("load", "gcs.b.f.bq.load", retries=2)
    [extract, check] >> load

if __name__ == "__main__":
    print(dag.to_json())
'''
    )
