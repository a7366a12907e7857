"""What is changed by REST is changed once, whatever is sent again, and by whom is known."""

from __future__ import annotations

import pytest

from pydag_dist import Client, Dag
from pydag_dist.client.published import PublishedDags
from pydag_dist.web.models import backfills as models
from tests.support.web import OURS, Web


@pytest.fixture
def web(connection, tmp_path, monkeypatch):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    return Web(mode="tokens")


@pytest.fixture
def ada(web):
    """Asks as an editor of that name."""
    bearer = {"Authorization": f"Bearer {web.site.tokens.add('ada', 'editor', 'test')}"}

    def ask(method, path, **options):
        headers = {**bearer, **options.pop("headers", {})}
        return web.ask(method, f"/api/v1{path}", headers=headers, **options)

    return ask


def dag(tasks=("a",), **fields):
    with Dag("d", **fields) as made:
        for task in tasks:
            made.task(task, "python.call", params={"callable": "m:f"})
    return made.to_dict()


def test_a_run_that_is_put_again_is_the_same_one(ada):
    body = {"dag": dag(), "params": {"x": 1}, "logical_date": "2026-01-31"}
    assert ada("PUT", "/runs/r1", json=body).status_code == 201
    assert ada("PUT", "/runs/r1", json=body).status_code == 200
    for other in ({"params": {"x": 2}}, {"dag": dag(["b"])}, {"logical_date": "2026-02-01"}):
        answer = ada("PUT", "/runs/r1", json={**body, **other})
        assert answer.status_code == 409, other
    assert Client().by_id("r1").snapshot().submitted_by == "ada"


def test_a_post_with_a_key_makes_one_run(ada):
    ada("PUT", "/dags/d", json=dag())
    key = {"Idempotency-Key": "k"}
    answers = [ada("POST", "/runs", json={"dag_id": "d"}, headers=key) for _ in range(2)]
    assert [a.status_code for a in answers] == [201, 200]
    assert len({a.headers["Location"] for a in answers}) == 1
    assert ada("POST", "/runs", json={"dag_id": "d"}).json()["run_id"] not in answers[0].text


def test_a_key_stands_for_one_request(ada):
    """What else has it is refused, and nothing is started; whoever was refused may mend it."""
    for dag_id in ("d", "e"):
        with Dag(dag_id, schedule_interval="0 3 * * *") as made:
            made.task("a", "python.call", params={"callable": "m:f"})
        assert ada("PUT", f"/dags/{dag_id}", json=made.to_dict()).status_code == 201
    key = {"Idempotency-Key": "k"}
    begin = {"first": "2026-01-01", "last": "2026-01-03"}
    assert ada("POST", "/runs", json={"dag_id": "zzz"}, headers=key).status_code == 404
    assert ada("POST", "/runs", json={"dag_id": "d"}, headers=key).status_code == 201
    others = [
        ("/runs", {"dag_id": "e"}),
        ("/runs", {"dag_id": "d", "params": {"x": 1}}),
        ("/runs", {"dag_id": "d", "logical_date": "2026-01-31"}),
        ("/runs", {"dag": dag(["b"])}),
        ("/dags/d/backfills", begin),
    ]
    for path, body in others:
        refused = ada("POST", path, json=body, headers=key)
        assert (refused.status_code, refused.json()["type"]) == (
            422,
            "urn:pydag:problem:key-reused",
        )
    assert len(ada("GET", "/runs").json()["items"]) == 1
    key = {"Idempotency-Key": "other"}
    begun = [ada("POST", "/dags/d/backfills", json=begin, headers=key).json() for _ in range(2)]
    assert begun[0]["backfill_id"] == begun[1]["backfill_id"]
    for path, body in (
        ("/dags/e/backfills", begin),
        ("/dags/d/backfills", begin | {"again": "all"}),
    ):
        assert ada("POST", path, json=body, headers=key).status_code == 422
    assert len(ada("GET", "/backfills").json()["items"]) == 1


def test_the_problems_of_a_dag_are_told_with_their_tasks(ada):
    wrong = dag()
    wrong["tasks"][0]["operator"] = "nope"
    answer = ada("PUT", "/runs/r", json={"dag": wrong})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["task"] == "a"
    assert ada("PUT", "/runs/r", json={}).status_code == 422
    assert ada("PUT", "/runs/r", json={"dag_id": "zzz"}).status_code == 404
    assert ada("PUT", "/runs/r%20x", json={"dag": dag()}).status_code == 422


def test_a_dag_of_ones_own_is_for_editors(web):
    bearer = {"Authorization": f"Bearer {web.site.tokens.add('op', 'operator', 'test')}"}
    answer = web.ask("PUT", "/api/v1/runs/r", headers=bearer, json={"dag": dag()})
    assert answer.status_code == 403


def test_a_run_is_cancelled_and_goes_on(ada, installation):
    run = Client().submit(Dag.parse(dag()), run_id="r")
    installation.plan(run.id)
    assert ada("POST", "/runs/r/resume").status_code == 409
    assert ada("POST", "/runs/r/cancel").json()["state"] == "cancelled"
    assert ada("POST", "/runs/r/cancel").status_code == 200
    assert ada("POST", "/runs/r/resume", json={"from_task": "zzz"}).status_code == 409
    assert ada("POST", "/runs/r/resume", json={}).status_code == 202
    assert run.state == "queued"
    assert ada("POST", "/runs/zzz/cancel").status_code == 404


def test_a_dag_is_published_paused_and_unpublished(ada):
    people = {"owner": "sales", "description": "Of a day", "tags": ["nightly"]}
    text = dag(schedule_interval=60, **people)
    assert ada("PUT", "/dags/d", json=text).status_code == 201
    assert ada("PUT", "/dags/d", json=text).status_code == 200
    assert ada("PUT", "/dags/e", json=text).status_code == 422
    known = ada("GET", "/dags/d")
    assert known.json().items() >= {**people, "schedule_text": "every 60 s"}.items()
    seen = known.headers["ETag"]
    paused = ada("PATCH", "/dags/d", json={"paused": True}, headers={"If-Match": seen})
    assert (paused.status_code, paused.json()["paused_by"]) == (200, "ada")
    late = ada("PATCH", "/dags/d", json={"paused": False}, headers={"If-Match": seen})
    assert late.status_code == 412
    assert ada("PATCH", "/dags/d", json={"paused": False}).json()["paused_at"] is None
    assert len(ada("GET", "/dags/d/schedule/preview?limit=3").json()["due"]) == 3
    assert ada("DELETE", "/dags/d").status_code == 204
    assert ada("DELETE", "/dags/d").status_code == 404


def test_the_text_of_a_version_is_read_once_for_its_owner(ada, monkeypatch):
    def owners():
        return [each["owner"] for each in ada("GET", "/dags").json()["items"]]

    ada("PUT", "/dags/d", json=dag(owner="sales"))
    assert owners() == ["sales"]
    read = []
    real = PublishedDags.owners
    monkeypatch.setattr(
        PublishedDags, "owners", lambda self, dags: read.extend(dags) or real(self, dags)
    )
    assert owners() == ["sales"]
    assert read == []
    ada("PUT", "/dags/d", json=dag(owner="finance"))
    assert owners() == ["finance"]


def test_a_schedule_is_told_in_words(ada):
    for given, told in (
        ({"schedule_interval": "0 3 * * *"}, "0 3 * * *"),
        ({"schedule_interval": "@daily", "timezone": "America/Lima"}, "@daily America/Lima"),
        ({"schedule_interval": 1.5}, "every 1.5 s"),
    ):
        ada("PUT", "/dags/d", json=dag(**given))
        assert ada("GET", "/dags/d").json()["schedule_text"] == told


def test_a_backfill_is_begun_paused_and_cancelled(ada):
    ada("PUT", "/dags/d", json=dag(schedule_interval="0 3 * * *"))
    body = {"first": "2026-01-01", "last": "2026-01-03"}
    span = "first=2026-01-01&last=2026-01-03"
    preview = ada("GET", f"/dags/d/backfills/preview?{span}").json()
    assert preview.keys() == models.BackfillPreview.model_fields.keys()
    assert (preview["total"], preview["last"] - preview["first"]) == (3, 2 * 86_400)
    assert preview["left_to_schedule"] is None
    assert (preview["runs"], preview["missing"]) == (None, None)  # nobody has asked
    wrong = ada("GET", "/dags/d/backfills/preview?first=2026-01-03&last=2026-01-01")
    assert "a backfill goes from the older one on" in wrong.json()["detail"]
    assert ada("GET", f"/dags/zzz/backfills/preview?{span}").status_code == 404
    assert ada("GET", "/backfills").json()["items"] == []
    begun = ada("POST", "/dags/d/backfills", json=body)
    assert begun.status_code == 201, begun.text
    place = begun.headers["Location"].removeprefix("/api/v1")
    assert (begun.json()["total"], begun.json()["created_by"]) == (3, "ada")
    assert begun.json().keys() == models.Backfill.model_fields.keys()
    assert ada("PATCH", place, json={"paused": True}).json()["state"] == "paused"
    assert ada("GET", "/backfills?dag_id=d").json()["items"][0]["state"] == "paused"
    assert ada("DELETE", place).status_code == 202
    assert ada("GET", "/backfills/zzz").status_code == 404
    assert ada("POST", "/dags/zzz/backfills", json=body).status_code == 404


def test_programs_of_this_host_need_a_header_of_ours(connection, tmp_path, monkeypatch):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    web = Web()
    assert web.ask("POST", "/api/v1/runs/x/cancel").status_code == 403
    assert web.ask("POST", "/api/v1/runs/x/cancel", headers=OURS).status_code == 404


def test_a_run_begins_at_a_task(ada):
    body = {"dag": dag(["a", "b"]), "from_task": "b"}
    assert ada("PUT", "/runs/r1", json=body).status_code == 201
    assert ada("PUT", "/runs/r1", json=body).status_code == 200
    assert ada("PUT", "/runs/r1", json={"dag": body["dag"]}).status_code == 409
    wrong = ada("PUT", "/runs/r2", json={**body, "from_task": "c"})
    assert (wrong.status_code, wrong.json()["detail"]) == (
        422,
        'the DAG d has no task "c" to begin at',
    )
    ada("PUT", "/dags/d", json=dag())
    answer = ada("PUT", "/runs/r2", json={"dag_id": "d", "from_task": "a"})
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        "from_task goes with dag: a published DAG runs as a whole",
    )
