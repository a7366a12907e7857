"""Edits of a text by REST."""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from pydag_dist.dag import Dag
from pydag_dist.engine.celery import estimates
from pydag_dist.engine.celery.estimates import reply
from tests.support.web import OURS, Web

TEXT = '{"dag_id": "d \U0001f600", "tasks": [{"task_id": "a"}]}'


@pytest.fixture
def web(connection, tmp_path, monkeypatch):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    return Web()


def asked(web, text, *edits):
    return web.ask("POST", "/api/v1/edit", headers=OURS, json={"text": text, "edits": edits})


def applied(text, changes):
    for change in reversed(changes):
        text = text[: change["begin"]] + change["text"] + text[change["end"] :]
    return text


def test_a_text_is_edited_and_given_back(web):
    edits = [
        {"edit": "rename_task", "task": "a", "to": "b"},
        {"edit": "set", "path": ["params", "args", 0], "value": 7, "task": "b"},
        {"edit": "set", "path": ["retries"], "value": 1},
        {"edit": "add_task", "task": {"task_id": "c"}, "after": "b"},
        {"edit": "add_dependency", "task": "c", "upstream": "b"},
        {"edit": "remove_dependency", "task": "c", "upstream": "b"},
        {"edit": "remove", "path": ["dependencies"], "task": "c"},
        {"edit": "remove_task", "task": "c"},
    ]
    wrong = asked(web, TEXT, *edits)
    assert (wrong.status_code, wrong.json()["detail"]) == (
        422,
        "params.args.0: there is no such place",
    )
    edits[1] = {"edit": "set", "path": ["params", "n"], "value": 7, "task": "b"}
    found = asked(web, TEXT, *edits).json()
    made = applied(TEXT, found["changes"])
    assert json.loads(made) == {
        "dag_id": "d \U0001f600",
        "retries": 1,
        "tasks": [{"task_id": "b", "params": {"n": 7}}],
    }
    assert applied(made, found["undo"]) == TEXT


@pytest.mark.parametrize(
    "edit",
    [
        {"edit": "nothing"},
        {"edit": "set", "value": 1},
        {"edit": "set", "path": [], "value": 1},
        {"edit": "set", "path": [True], "value": 1},
        {"edit": "rename_task", "task": "a", "to": "x y"},
        {"edit": "remove_task", "task": "a", "more": 1},
    ],
)
def test_what_is_no_edit_is_refused(web, edit):
    assert asked(web, TEXT, edit).status_code == 422


def rendered(web, tasks, task, **body):
    dag = {"dag_id": "d", "params": {"n": 1, "list": ["x", "y"]}, "tasks": tasks}
    body |= {"text": json.dumps(dag), "task": task}
    return web.ask("POST", "/api/v1/render", headers=OURS, json=body)


def task(name, **fields):
    args = fields.pop("args", [])
    params = {"callable": "m:f", "args": args}
    return {"task_id": name, "operator": "python.call", "params": params, **fields}


def test_the_params_of_a_task_are_rendered(web):
    args = ["{{ params.n + 1 }}", "{{ ds }}", "{{ tasks.a.result.rows }} rows"]
    tasks = [task("a"), task("b", args=args, dependencies=["a"])]
    given = {"params": {"n": 6}, "logical_date": "2026-01-31", "results": {"a": {"rows": 3}}}
    found = rendered(web, tasks, "b", **given).json()
    assert found == {
        "task": "b",
        "params": {"callable": "m:f", "args": [7, "2026-01-31", "3 rows"]},
    }
    wrong = rendered(web, tasks, "b").json()
    assert wrong["detail"] == "needs the result of a: give it in results"
    wrong = rendered(web, tasks, "b", results={"a": {}}).json()
    [problem] = wrong["errors"]
    assert problem["task"] == "b"
    assert problem["detail"].startswith("params.args[2]: template")
    assert rendered(web, tasks, "c").status_code == 404
    assert rendered(web, tasks, "b", logical_date="soon").status_code == 422


def test_the_params_of_a_child_are_rendered(web):
    for over in ("params.list", ["x", "y"], "tasks.a.result"):
        tasks = [task("a"), task("b", args=["{{ item }}{{ index }}"], expand={"over": over})]
        tasks[1]["dependencies"] = ["a"]
        found = rendered(web, tasks, "b", index=1, results={"a": ["x", "y"]}).json()
        assert (found["task"], found["params"]["args"]) == ("b.1", ["y1"])
        assert rendered(web, tasks, "b", index=2, results={"a": []}).status_code == 422


def test_rendering_costs_no_more_than_in_a_run(web):
    args = ["{{ params.long }}{{ params.long }}"]
    answer = rendered(web, [task("a", args=args)], "a", params={"long": "x" * 600_000})
    assert answer.status_code == 422
    assert "characters" in answer.json()["detail"]


DRY = {
    "dag_id": "d",
    "bytes": 2**40,
    "billed": 2**40,
    "budget": None,
    "unknown": ["b"],
    "tasks": {
        "a": {"bytes": 2**40, "billed": 2**40, "note": "", "wrong": False},
        "b": {"bytes": None, "billed": None, "note": "needs the result of a", "wrong": False},
    },
}


def estimated(web, **body):
    body |= {"text": json.dumps({"dag_id": "d", "tasks": [task("a")]})}
    return web.ask("POST", "/api/v1/estimate", headers=OURS, json=body)


@pytest.fixture
def worker(web):
    """Says that a worker listens to BigQuery's queue, and answers as one that gets the message."""
    engine = web.site.engine
    info = {"queues": ["bigquery"], "imports": [], "slots": 1}
    engine.membership.register("workers", "w@h", "one", json.dumps(info), busy=0)
    asked = []

    @contextlib.contextmanager
    def answering(given):
        def answer():
            while not (packed := engine.store.redis.rpop(engine.store.key("q:bigquery"))):
                pass
            message = json.loads(packed)
            asked.append(message)
            reply(engine.store, json.loads(message["body"])[1]["reply"], given)

        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(answer)
            yield asked
            done.result()

    return answering


def test_a_worker_is_asked_what_queries_will_read(web, worker):
    with worker(DRY) as asked:
        found = estimated(web, params={"n": 2}, logical_date="2026-01-31", price=5).json()
    assert (found["price"], found["billed"]) == (5, 2**40)
    assert (found["tasks"]["a"]["price"], found["tasks"]["b"]["price"]) == (5, None)
    [message] = asked
    headers, (args, given, _) = message["headers"], json.loads(message["body"])
    assert (headers["task"], args, given["params"]) == ("pydag.estimate", [], {"n": 2})
    assert given["logical_date"] == "2026-01-31T00:00:00+00:00"
    assert headers["expires"]
    with worker(DRY):
        assert estimated(web).json()["price"] == web.site.settings.bigquery_price


def test_why_there_is_no_estimate(web, worker, monkeypatch):
    with worker({"error": "the workers' settings allow no estimates"}):
        refused = estimated(web)
    assert (refused.status_code, "allow no" in refused.json()["detail"]) == (422, True)
    monkeypatch.setattr(estimates, "SECONDS", 0.2)
    late = estimated(web)
    assert (late.status_code, "Retry-After" in late.headers) == (503, True)
    assert "no worker has answered" in late.json()["detail"]
    monkeypatch.setattr(estimates, "BYTES", 10)
    assert estimated(web).status_code == 413


def test_without_a_worker_nobody_waits(web):
    refused = estimated(web)
    assert refused.status_code == 503
    assert "no live worker listens to the queue bigquery" in refused.json()["detail"]


def compared(web, dag, **body):
    body |= {"text": json.dumps(dag, indent=1)}
    return web.ask("POST", "/api/v1/compare", headers=OURS, json=body)


def test_a_text_is_compared_with_what_ran_and_what_was_published(web):
    dag = {"dag_id": "d", "tasks": [task("a"), task("b", dependencies=["a"])]}
    nothing = compared(web, dag)
    assert (nothing.status_code, nothing.json()["detail"]) == (404, "the DAG d has not run yet")
    for number, run_id in enumerate(("one", "two")):
        given = {"dag": {**dag, "owner": f"o{number}"}}
        assert web.ask("PUT", f"/api/v1/runs/{run_id}", headers=OURS, json=given).status_code == 201
    web.ask("PUT", "/api/v1/dags/d", headers=OURS, json={**dag, "owner": "published"})
    now = {"dag_id": "d", "tasks": [task("b", retries=1), task("c")]}
    found = compared(web, now).json()
    assert (found["run_id"], found["version"], found["fields"]) == ("two", None, ["owner"])
    assert found["tasks"] == [
        {"task": "c", "what": "added", "fields": []},
        {"task": "a", "what": "removed", "fields": []},
        {"task": "b", "what": "changed", "fields": ["dependencies", "retries"]},
    ]
    assert found["edges"] == [{"upstream": "a", "task": "b", "what": "removed"}]
    assert Dag.parse(found["before"]) == Dag.parse({**dag, "owner": "o1"})
    older = compared(web, now, run_id="one").json()
    assert json.loads(older["before"])["owner"] == "o0"
    version = compared(web, now, version=1).json()
    assert (version["run_id"], version["version"]) == (None, 1)
    assert json.loads(version["before"])["owner"] == "published"
    assert compared(web, now, run_id="none").status_code == 404
    assert compared(web, now, version=2).status_code == 404
    assert compared(web, {"dag_id": "d", "tasks": []}).status_code == 422
    assert compared(web, now, version=1, run_id="one").status_code == 422


def test_a_text_is_compared_with_what_it_was_though_it_has_problems(web):
    before = json.dumps({"dag_id": "d", "tasks": [{"task_id": "a"}]})
    found = compared(web, {"dag_id": "d", "tasks": [{"task_id": "b"}, 5]}, base=before).json()
    assert (found["before"], found["run_id"]) == (before, None)
    assert [(each["task"], each["what"]) for each in found["tasks"]] == [
        ("b", "added"),
        ("a", "removed"),
    ]
    assert compared(web, {}, base="{").status_code == 422
