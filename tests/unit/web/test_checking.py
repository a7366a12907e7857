"""What is said of DAGs that somebody is about to write."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pydag_dist import Dag
from pydag_dist.dag import draw, schema
from pydag_dist.dag.forms import FORMS
from pydag_dist.dag.operators import SCRIPTS
from tests.support.documents import ROOT
from tests.support.web import OURS, Web


@pytest.fixture
def web(connection, tmp_path, monkeypatch):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    return Web()


def checked(web, text):
    answer = web.ask("POST", "/api/v1/validate", headers=OURS, json={"text": text})
    assert answer.status_code == 200, answer.text
    return answer.json()


def at(text, problem):
    return text[problem["offset"] : problem["offset"] + problem["length"]]


TASK = {"task_id": "a", "operator": "python.call", "params": {"callable": "m:f"}}


def test_problems_are_told_with_their_places(web):
    wrong = {
        "task_id": "b",
        "operator": "python.call",
        "params": {"callable": 7, "args": [1, "{{ x }}"]},
    }
    dag = {"dag_id": "ü d", "tasks": [TASK, wrong, {"task_id": "a~/", "operator": "nope"}, 5]}
    for content in (dag, {"dag": dag}):
        text = json.dumps(content, indent=3, ensure_ascii=False)
        found = checked(web, text)
        root = "/dag" if "dag" in content else ""
        told = {problem["pointer"]: at(text, problem) for problem in found["problems"]}
        assert told[f"{root}/dag_id"] == '"ü d"'
        assert told[f"{root}/tasks/1/params/callable"] == "7"
        assert told[f"{root}/tasks/1/params/args/1"] == '"{{ x }}"'
        assert told[f"{root}/tasks/2/operator"] == '"nope"'
        assert told[f"{root}/tasks/3"] == "5"
        assert found["dag_id"] is None


def test_what_is_missing_is_told_where_it_should_be(web):
    text = json.dumps({"dag_id": "d", "tasks": [{"task_id": "a", "operator": "python.call"}]})
    [problem] = checked(web, text)["problems"]
    assert problem["field"] == "params.callable"
    assert problem["pointer"] == "/tasks/0"
    assert json.loads(at(text, problem))["task_id"] == "a"


@pytest.mark.parametrize(
    ("text", "where"), [('{"dag_id": "d", tasks}', 16), ("", 0), ("[", 1), ("[" * 5000, 0)]
)
def test_what_is_no_json_is_told_where_it_ends(web, text, where):
    [problem] = checked(web, text)["problems"]
    assert (problem["offset"], problem["pointer"]) == (where, "")


def test_a_dag_that_is_right_says_what_nobody_can_run(web):
    found = checked(web, json.dumps({"dag_id": "d", "tasks": [TASK]}))
    assert (found["dag_id"], found["tasks"], found["problems"]) == ("d", 1, [])
    assert found["unserved"][0]["task"] == "a"


def test_a_dag_is_written_in_other_forms(web):
    pipeline = ROOT / "examples/pipeline/pipeline.json"
    dag = Dag.load(pipeline)
    body = {"text": pipeline.read_text()}

    def written(to):
        return web.ask("POST", f"/api/v1/convert?to={to}", headers=OURS, json=body).json()["text"]

    assert json.loads(written("own")) == dag.to_dict()
    assert written("python") == FORMS["python"](dag)
    assert written("mermaid") == draw.mermaid(dag)
    assert written("text") == draw.text(dag)
    wrong = web.ask("POST", "/api/v1/convert", headers=OURS, json={"text": "{"})
    assert (wrong.status_code, wrong.json()["type"]) == (422, "urn:pydag:problem:invalid-dag")


def test_what_dags_may_have_is_told(web):
    assert web.get("/api/v1/schema").json() == json.loads(json.dumps(schema()))
    found = {item["name"]: item for item in web.get("/api/v1/operators").json()["items"]}
    assert found["bigquery.query"]["queue"] == "bigquery"
    assert found["bigquery.query"]["help"].startswith("run GoogleSQL")
    sql = found["bigquery.query"]["params"]["properties"]["sql"]
    assert sql["contentMediaType"] == "application/sql"
    assert all(item["help"] for item in found.values() if item["params"])
    assert {name for name, item in found.items() if item["is_script"]} == set(SCRIPTS)
    assert found["script.spark"]["params"]["required"] == ["cluster_name", "project_name", "region"]
    assert {name for name, item in found.items() if item["is_sensor"]} == {
        "bigquery.wait_table", "dag.wait", "gcs.wait_object",
    }  # fmt: skip
    assert found["python.call"]["may_have_secrets"]
    assert not found["bigquery.query"]["may_have_secrets"]
    tag = web.get("/api/v1/operators").headers["ETag"]
    assert web.get("/api/v1/operators", headers={"If-None-Match": tag}).status_code == 304


def test_what_templates_may_name_is_told(web):
    found = web.get("/api/v1/templates").json()
    assert {"tasks", "params", "ds", "item", "secrets"} <= set(found["names"])
    filters = {each["name"]: each["arguments"] for each in found["filters"]}
    assert filters["default"] == ["default_value", "boolean"]
    assert filters["upper"] == filters["string"] == filters["tojson"] == []
    assert "defined" in found["tests"]
    for name in found["names"]:
        text = f"{{{{ {name} }}}}"
        assert name in {"tasks", "secrets", "item", "index"} or Dag.parse(
            {"dag_id": "d", "tasks": [TASK | {"params": {"callable": "m:f", "args": [text]}}]}
        )


def test_it_says_when_a_text_would_be_due(web):
    days = {"schedule_interval": "@daily", "timezone": "Asia/Tokyo", "start_date": "2099-01-01"}
    found = checked(web, json.dumps({"dag_id": "d", "tasks": [TASK], **days}))
    first = datetime(2099, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo"))
    assert found["zone"] == "Asia/Tokyo"
    assert found["due"] == [(first + timedelta(days)).timestamp() for days in range(5)]
    assert checked(web, json.dumps({"dag_id": "d", "tasks": [TASK]}))["due"] == []
