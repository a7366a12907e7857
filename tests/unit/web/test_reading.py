"""What can be read of an installation is what the engine has, in the documented form."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from pydag_dist import Client, Dag
from pydag_dist.engine import Reading
from pydag_dist.engine.roles.watching import Watching
from pydag_dist.errors import HistoryError
from pydag_dist.history import HistoryReader
from pydag_dist.web.entry.pages import Pages
from pydag_dist.web.models import access as access_models
from pydag_dist.web.models import base as base_models
from pydag_dist.web.models import dags as dag_models
from pydag_dist.web.models import fleet as fleet_models
from pydag_dist.web.models import runs as run_models
from pydag_dist.web.models import tasks as task_models
from pydag_dist.web.problems import TITLES
from tests.support.documents import ROOT
from tests.support.web import Web


@pytest.fixture
def web(connection, tmp_path, monkeypatch):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    return Web()


def chain(dag_id="d", **fields):
    with Dag(dag_id, **fields) as dag:
        first = dag.task("a", "python.call", params={"callable": "m:f"})
        first >> dag.task("b", "python.call", params={"callable": "m:f"})
    return dag


@pytest.fixture
def run_id(installation):
    """A run whose first task has ended, with a log."""
    run = Client().submit(chain(tags=["t"]), {"x": 1})
    installation.plan(run.id)
    held = installation.claim()
    installation.log(held, "one", "two")
    installation.end(held, result='{"bytes_billed": 7}')
    Client().publish(chain(schedule_interval="0 3 * * *", timezone="Europe/Berlin"))
    return run.id


READ = {
    "/health": fleet_models.Health,
    "/api/v1/me": access_models.Me,
    "/api/v1/runs": run_models.RunPage,
    "/api/v1/runs/RUN": run_models.Run,
    "/api/v1/runs/RUN/graph": run_models.Graph,
    "/api/v1/runs/RUN/why": run_models.Why,
    "/api/v1/runs/RUN/tasks": task_models.TaskPage,
    "/api/v1/runs/RUN/tasks?as=columns": task_models.TaskColumns,
    "/api/v1/runs/RUN/tasks/a": task_models.Task,
    "/api/v1/runs/RUN/tasks/a/params": task_models.TaskParams,
    "/api/v1/runs/RUN/tasks/a/tries": task_models.Tries,
    "/api/v1/runs/RUN/costs": task_models.Costs,
    "/api/v1/runs/RUN/tasks/b/why": run_models.Why,
    "/api/v1/runs/RUN/logs": task_models.Logs,
    "/api/v1/dags": dag_models.Dags,
    "/api/v1/dags/d": dag_models.DescribedDag,
    "/api/v1/dags/d/changes": dag_models.DagChanges,
    "/api/v1/dags/d/versions": dag_models.DagVersions,
    "/api/v1/dags/d/durations": dag_models.Durations,
    "/api/v1/dags/d/schedule/preview": dag_models.Preview,
    "/api/v1/workers": fleet_models.Workers,
    "/api/v1/queues": fleet_models.Queues,
}


@pytest.mark.parametrize("path", READ)
def test_an_answer_has_the_form_that_is_documented(web, run_id, path):
    answer = web.get(path.replace("RUN", run_id))
    assert answer.status_code == 200, answer.text
    READ[path].model_validate_json(answer.content)


def test_openapi_is_kept_in_the_docs(web):
    kept = json.loads((ROOT / "docs/openapi.json").read_text())
    assert web.get("/api/v1/openapi.json").json() == kept, "write it: make openapi"


def test_its_page_names_each_route_and_each_type_of_problem():
    page = (ROOT / "docs/api.md").read_text()
    paths = json.loads((ROOT / "docs/openapi.json").read_text())["paths"]
    names = [f"`{path.removeprefix('/api/v1')}`" for path in paths]
    assert [name for name in (*names, *(f"`{kind}`" for kind in TITLES)) if name not in page] == []


def test_a_run_is_told_as_status_does(web, run_id):
    told, known = web.get(f"/api/v1/runs/{run_id}").json(), Client().by_id(run_id).snapshot()
    assert told["counts"] == known.counts == {"success": 1, "queued": 1}
    assert (told["bytes_billed"], told["params"], told["tags"]) == (7, {"x": 1}, ["t"])
    columns = web.get(f"/api/v1/runs/{run_id}/tasks?as=columns").json()
    states = [columns["states"][place] for place in columns["state"]]
    assert dict(zip(columns["task"], states, strict=True)) == {"a": "success", "b": "queued"}
    assert columns["workers"][columns["worker"][0]] == known.tasks["a"].worker
    assert web.get(f"/api/v1/runs/{run_id}/graph").json()["upstream"] == [[], [0]]


def test_a_list_has_the_cost_of_ended_runs(web, run_id, installation):
    def billed():
        [found] = web.get(f"/api/v1/runs?q={run_id}").json()["items"]
        return found["bytes_billed"]

    assert billed() is None
    installation.end(installation.claim(), result='{"bytes_billed": 5}')
    assert billed() == 12
    installation.engine.store.redis.delete(installation.engine.store.key(f"run:{run_id}:out"))
    assert billed() == 12  # counted once


def test_the_results_of_an_ended_run_are_read_once(web, run_id, installation, monkeypatch):
    reads, totals = [], Watching.totals

    def counted(watching, run_id):
        reads.append(run_id)
        return totals(watching, run_id)

    monkeypatch.setattr(Watching, "totals", counted)
    for _ in range(2):
        assert web.get(f"/api/v1/runs/{run_id}").json()["state"] == "running"
    installation.end(installation.claim(), "final", error="wrong")
    assert len(reads) == 2
    for _ in range(3):
        assert web.get(f"/api/v1/runs/{run_id}").json()["counts"] == {"success": 1, "failed": 1}
    assert len(reads) == 3
    Client().by_id(run_id).mark("b", "success")
    assert web.get(f"/api/v1/runs/{run_id}").json()["counts"] == {"success": 2}


def test_lines_can_be_read_on_from_where_one_stopped(web, run_id):
    first = web.get(f"/api/v1/runs/{run_id}/logs?task=a&limit=1").json()
    assert [line["line"] for line in first["items"]] == ["one"]
    rest = web.get(f"/api/v1/runs/{run_id}/logs?task=a&after={first['next']}").json()
    assert [line["line"] for line in rest["items"]] == ["two"]
    ends = web.get(f"/api/v1/runs/{run_id}/logs?task=a&limit=1&last=true").json()
    assert (ends["items"], ends["next"]) == (rest["items"][-1:], rest["next"])
    text = web.get(f"/api/v1/runs/{run_id}/logs?as=text").text
    assert text.count("\n") == 2


def test_pages_of_runs_have_each_run_once(web, connection):
    ids = {Client().submit(chain()).id for _ in range(7)}
    found, cursor = [], ""
    while cursor is not None:
        page = web.get("/api/v1/runs", params={"limit": 3, "cursor": cursor}).json()
        found += [item["run_id"] for item in page["items"]]
        cursor = page["next"]
    assert sorted(found) == sorted(ids)
    assert len(page["items"]) == 1
    assert web.get("/api/v1/runs?cursor=x").status_code == 422
    assert web.get(f"/api/v1/runs?q={found[0][-8:]}").json()["items"][0]["run_id"] == found[0]


def test_what_the_browser_has_is_not_sent_again(web, run_id):
    for path in (f"/api/v1/runs/{run_id}/graph", "/api/v1/dags/d", "/"):
        tag = web.get(path).headers["ETag"]
        assert web.get(path, headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/runs/zzz", 404),
        ("/api/v1/runs/zzz/tasks?as=columns", 404),
        ("/api/v1/runs/RUN/tasks/zzz", 404),
        ("/api/v1/runs/RUN/tasks/zzz/why", 404),
        ("/api/v1/runs/RUN/tasks/zzz/tries", 404),
        ("/api/v1/runs/RUN/tasks/zzz/params", 404),
        ("/api/v1/runs/zzz/costs", 404),
        ("/api/v1/runs/RUN/logs?task=zzz", 404),
        ("/api/v1/dags/zzz", 404),
        ("/api/v1/zzz", 404),
        ("/static/..%2fgate.py", 404),
        ("/api/v1/runs?limit=0", 422),
    ],
)
def test_what_is_wrong_is_told_in_one_form(web, run_id, path, status):
    answer = web.get(path.replace("RUN", run_id))
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    base_models.ProblemDetails.model_validate_json(answer.content)


def test_a_history_that_cannot_be_read_is_said_and_looked_at_again(web, tmp_path):
    file = tmp_path / "history.sqlite"
    file.touch()  # no coordinator has made its tables yet
    assert web.get("/health").json() == {"redis": True, "history": False}
    run = Client().submit(chain())
    for _ in range(2):
        told = web.get("/api/v1/runs").json()
        assert [item["run_id"] for item in told["items"]] == [run.id]  # what Redis has
        assert "no tables yet" in told["missing"]
    tries = web.get(f"/api/v1/runs/{run.id}/tasks/a/tries").json()
    assert (len(tries["items"]), "no tables yet" in tries["missing"]) == (1, True)
    assert web.get("/api/v1/me").json()["history"] is False
    refused = web.get("/api/v1/runs/old")  # only the history could say whether there was one
    assert (refused.status_code, "no tables yet" in refused.text) == (503, True)
    file.unlink()
    assert web.get("/api/v1/runs").json()["missing"] is None


def test_a_history_that_is_away_is_not_asked_by_each_request(web, tmp_path, monkeypatch):
    (tmp_path / "history.sqlite").touch()
    asked = []
    monkeypatch.setattr(HistoryReader, "check", lambda reader: asked.append(reader) or fail())
    for _ in range(3):
        assert web.get("/api/v1/runs").json()["missing"] == "it is away"
    assert len(asked) == 1


def fail():
    raise HistoryError("it is away")


def test_one_task_is_told_without_reading_the_run(web, installation, monkeypatch):
    with Dag("many") as dag:
        dag.task("each", "python.call", params={"callable": "m:f"}, expand={"over": ["x", "y"]})
        dag.task("once", "python.call", params={"callable": "m:f"})
    run = Client().submit(dag)
    assert web.get(f"/api/v1/runs/{run.id}/tasks/once").json()["state"] == "none"
    installation.plan(run.id)
    for number in range(3):
        installation.end(installation.claim(), result=f'{{"bytes_billed": {number + 1}}}')
    known = run.snapshot()
    head = web.get(f"/api/v1/runs/{run.id}").json()
    assert (head["counts"], head["bytes_billed"], head["total"]) == (known.counts, 6, 4)
    reads = []
    monkeypatch.setattr(Reading, "snapshot", lambda *_: reads.append(1))
    for name, task in known.tasks.items():
        told = web.get(f"/api/v1/runs/{run.id}/tasks/{name}").json()
        assert told == {"task": name, **vars(task), **shown(task)}
    assert isinstance(known.tasks["each"].result, list)
    assert web.get(f"/api/v1/runs/{run.id}").json() | {"took": 0} == head | {"took": 0}
    assert reads == []


def test_params_are_told_as_the_try_has_them(web, installation, monkeypatch):
    with Dag("d", params={"country": "pe"}) as dag:
        first = dag.task(
            "first",
            "python.call",
            params={"callable": "m:f", "args": ["{{ params.country }}", "{{ ds }}"]},
        )
        second = {"callable": "m:f", "args": ["{{ tasks.first.result.n }} of {{ try_number }}"]}
        first >> dag.task("second", "python.call", params=second)
        each = {"callable": "m:f", "args": ["{{ item }}{{ params.large }}"]}
        hidden = {"callable": "m:f", "args": ["Bearer {{ secrets.TOKEN }}"]}
        dag.task("hidden", "python.call", params=hidden)
        dag.task("each", "python.call", params=each, expand={"over": ["x", "y"]})
    run = Client().submit(dag, {"country": "co", "large": "l" * 2_000}, logical_date="2026-01-31")
    installation.plan(run.id)

    def asked(task):
        return web.get(f"/api/v1/runs/{run.id}/tasks/{task}/params").json()

    assert asked("first")["rendered"]["args"] == ["co", "2026-01-31"]
    assert asked("first")["params"]["args"][0] == "{{ params.country }}"
    assert (asked("second")["rendered"], asked("second")["why"]) == (
        None,
        "it needs the result of first",
    )
    assert asked("each")["rendered"] is None
    monkeypatch.setenv("PYDAG_SECRET_TOKEN", "shh")  # also where it could be known
    assert asked("hidden")["rendered"]["args"] == ["Bearer ***"]
    assert asked("each.1")["rendered"]["args"] == ["y" + "l" * 2_000]
    while installation.connection.llen("pydag:q:python"):
        installation.end(installation.claim(), result='{"n": 7}')
    assert asked("second")["rendered"]["args"] == ["7 of 1"]


def shown(task):
    return {"bytes_billed": task.bytes_billed, "cached_from": task.cached_from}


def test_the_files_of_the_interface_are_sent_compressed_to_who_takes_that(tmp_path, monkeypatch):
    (tmp_path / "app-1.js").write_text("let x = 1\n" * 1_000)
    pages = Pages("", tmp_path)

    async def asked(headers):
        transport = httpx.ASGITransport(pages)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.get("/static/app-1.js", headers=headers)

    plain = asyncio.run(asked({"Accept-Encoding": "identity"}))
    packed = asyncio.run(asked({"Accept-Encoding": "gzip"}))
    assert plain.content == packed.content == b"let x = 1\n" * 1_000
    assert int(packed.headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 10
    for answer in (plain, packed):
        assert "javascript" in answer.headers["Content-Type"]
        assert answer.headers["Vary"] == "Accept-Encoding"


def test_without_the_interface_its_page_says_what_to_do(web, monkeypatch, tmp_path):
    monkeypatch.setattr("pydag_dist.web.entry.pages.STATIC", tmp_path)
    assert "npm" in Web().get("/runs/x").text or (ROOT / "pydag_dist/web/static").exists()
