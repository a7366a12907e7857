"""To which queues a worker listens, and what it says of itself."""

from __future__ import annotations

import json

import pytest
from celery.app.amqp import Queues
from kombu.entity import Queue

from pydag_dist.engine.celery.messages import QUEUES
from workers.parent import membership
from workers.settings import WorkerSettings


@pytest.fixture
def without_google(monkeypatch):
    monkeypatch.setattr(membership, "GOOGLE", ("google.no_such_package",))


def queues(*selected):
    made = Queues([Queue(name) for name in QUEUES])
    if selected:
        made.select(selected)
    return made


def test_all_queues_with_all_packages():
    listening = queues()
    membership.choose_queues(listening, named=False)
    assert {*listening.consume_from} == {*QUEUES}


@pytest.mark.usefixtures("without_google")
def test_no_google_queue_without_its_packages(caplog):
    listening = queues()
    membership.choose_queues(listening, named=False)
    assert [*listening.consume_from] == ["python"]
    assert "does not listen to bigquery, dataproc, gcs" in caplog.text
    assert "google-no_such_package is not installed" in caplog.text


@pytest.mark.usefixtures("without_google")
def test_a_worker_that_could_serve_no_queue_does_not_start():
    with pytest.raises(SystemExit, match="does not listen to gcs"):
        membership.choose_queues(queues("gcs"), named=True)


@pytest.mark.usefixtures("without_google")
def test_it_tells_names_and_neither_paths_nor_secrets(monkeypatch, tmp_path):
    key = tmp_path / "key.json"
    key.write_text("{}")
    settings = WorkerSettings(
        connections={"GCP": {"key_file": str(key)}},
        databases={"d": "postgresql://u:PASSWORD@h/d"},
        stores=["gcs:bucket", f"local:{tmp_path}"],
        imports=["etl"],
    )
    monkeypatch.setattr(membership, "worker_settings", lambda: settings)
    info = membership.Member("w@h", 2, ["python"])._info
    assert str(tmp_path) not in info
    assert "PASSWORD" not in info
    told = json.loads(info)
    assert (told["connections"], told["imports"]) == (["GCP"], ["etl"])
    assert "bigquery.query" not in told["operators"]
    assert "python.call" in told["operators"]


def test_a_dead_namesake_is_known_by_its_process():
    mine = {
        "machine": membership._machine(),
        "pid": 1,
        "process_started": membership._process_started(1),
    }
    assert not membership._is_dead(mine)
    assert membership._is_dead(mine | {"process_started": "1"})  # another one has that id now
    assert membership._is_dead(mine | {"pid": 2**22 + 1})
    assert not membership._is_dead(mine | {"pid": 2**22 + 1, "machine": "another"})
