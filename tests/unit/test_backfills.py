"""Backfills for clients and on the command line, on a Redis in memory."""

from __future__ import annotations

import json
import threading
from datetime import UTC, date, datetime

import pytest
from click.testing import CliRunner

from pydag_dist import Client, Dag
from pydag_dist.cli import pydag
from pydag_dist.coordinator.backfills.loop import Backfills
from pydag_dist.dag import limits
from pydag_dist.errors import EngineError, PydagError
from pydag_dist.history import History, batch_of
from tests.unit.test_published import nightly

DAYS = ("--from", "2026-01-01", "--to", "2026-01-04")


@pytest.fixture
def client(connection):
    connection.set("pydag:epoch", "e")
    client = Client("redis://broker.example:6379/0")
    client.publish(Dag.parse(nightly(timezone="Europe/Berlin")))
    return client


@pytest.fixture
def history(tmp_path, monkeypatch):
    """The one that commands find, too."""
    monkeypatch.setenv("COLUMNS", "200")
    url = f"sqlite:///{tmp_path}/history.sqlite"
    monkeypatch.setenv("PYDAG_DATABASE_URL", url)
    with History(url) as history:
        history.open()
        history.set_epoch("e")
        yield history


def call(*arguments):
    return CliRunner().invoke(pydag, arguments)


def test_a_backfill_is_begun_listed_paused_and_cancelled(client, installation, history):
    begun = client.backfill(
        "nightly", date(2026, 1, 1), datetime(2026, 1, 4, 12, tzinfo=UTC), max_active=2
    )
    assert (begun.state, begun.total, begun.weight) == ("running", 4, 0.5)
    assert begun.first == datetime(2025, 12, 31, 23, tzinfo=UTC)
    Backfills(installation.engine, history, threading.Event()).step()
    (listed,) = client.backfills()
    assert (listed.made, listed.active) == (2, 2)
    found = json.loads(call("runs", "--backfill", "nightly", "--json").stdout)["runs"]
    assert [(run["run_type"], run["backfill"]) for run in found] == 2 * [
        ("backfill", begun.backfill_id)
    ]
    assert begun.backfill_id in call("runs").stdout
    client.start("nightly")
    assert len(client.runs()) == 3
    run = installation.engine.backfilling.active(begun.backfill_id)[0]
    assert f"backfill {begun.backfill_id}, version 1" in call("status", run).stdout

    name = begun.backfill_id
    assert call("backfills", "pause", "nightly").stdout == f"{name}: paused\n"
    assert call("backfills", "pause", name).stdout == f"{name}: was paused already\n"
    assert call("backfills", "unpause", name).stdout == f"{name}: goes on\n"
    assert call("backfills", "unpause", name).stdout == f"{name}: was not paused\n"
    lines = call("backfills").stdout.splitlines()
    assert lines[1].split() == [name, "running", "2/4", "2", "2026-01-03T00:00:00+01:00"]
    result = call("backfills", "cancel", "nothing", "nightly")
    assert result.exit_code == 2
    assert "there is no backfill nothing: `pydag backfills` lists them" in result.stderr
    assert result.stdout == f"{name}: cancelled\n"
    assert client.by_id(run).state == "cancelled"
    (told,) = json.loads(call("backfills", "--dag", "nightly", "--json").stdout)["backfills"]
    assert (told["state"], told["cancelled"], told["expected_end"]) == ("cancelled", 2, None)
    assert json.loads(call("backfills", "--dag", "other", "--json").stdout) == {"backfills": []}


def test_a_dry_run_without_a_history_says_so(client, tmp_path, monkeypatch):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    result = call("backfill", "nightly", *DAYS, "--dry-run")
    assert len(result.stdout.splitlines()) == 4
    assert "Which of them have runs, and are left out, only the history knows" in result.stderr


def test_backfill_prints_its_id_and_tells_the_due_times(client):
    result = call("backfill", "nightly", *DAYS, "--again", "failed", "--newest-first")
    (begun,) = client.backfills()
    assert result.stdout == f"{begun.backfill_id}\n"
    assert result.stderr == (
        "4 due times, from 2026-01-01T00:00:00+01:00 to 2026-01-04T00:00:00+01:00\n"
    )
    assert (begun.again, begun.newest_first) == ("failed", True)
    result = call("backfill", "nightly", "--from", "2026-01-01", "--to", "2199-01-01", "--json")
    assert "the schedule of nightly runs them itself" in result.stderr
    assert json.loads(result.stdout)["left_to_schedule"]


def test_a_dry_run_lists_the_due_times_and_what_is_known_of_them(client, installation, history):
    client.backfill("nightly", "2026-01-02", "2026-01-02")
    Backfills(installation.engine, history, threading.Event()).step()
    (run,) = client.runs()
    client.by_id(run.run_id).cancel()
    write(installation, history)
    lines = call("backfill", "nightly", *DAYS, "--dry-run").stdout.splitlines()
    assert [line.partition("T")[0] for line in lines] == [f"2026-01-0{day}" for day in (1, 2, 3, 4)]
    assert [line for line in lines if "left out" in line] == [
        "2026-01-02T00:00:00+01:00  left out: cancelled"
    ]
    again = (*DAYS, "--dry-run", "--again", "failed", "--newest-first", "--json")
    told = json.loads(call("backfill", "nightly", *again).stdout)
    assert [due["is_left_out"] for due in told["due"]] == [False] * 4
    assert told["due"][0]["logical_date"] == "2026-01-04T00:00:00+01:00"
    assert len(client.backfills()) == 1


def write(installation, history):
    """As the recorder does."""
    engine = installation.engine
    entries = installation.connection.xrange("pydag:history")
    runs = {f["run"]: engine.reading.run_head(f["run"]) for _, f in entries if "run" in f}
    dags = {run: engine.reading.submitted_dag(run) for run in runs}
    history.write(batch_of(entries, runs, dags))


def test_ended_backfills_that_redis_has_lost_are_listed_from_the_history(
    client, installation, history
):
    begun = [client.backfill("nightly", "2026-01-01", f"2026-01-0{day}") for day in (2, 3)]
    for each in begun:
        client.cancel_backfill(each.backfill_id)
    write(installation, history)
    seen = client.backfills()
    listed = json.loads(call("backfills", "--json").stdout)["backfills"]
    installation.connection.flushall()
    installation.connection.set("pydag:epoch", "e")
    assert client.backfills() == []
    assert json.loads(call("backfills", "--json").stdout)["backfills"] == listed
    assert history.ended_backfills() == seen
    assert history.ended_backfills("other") == []
    assert history.ended_backfills("nightly", limit=1) == seen[:1]
    installation.connection.set("pydag:epoch", "another")  # whose history it is not
    assert json.loads(call("backfills", "--json").stdout)["backfills"] == []


def test_why_a_backfill_has_paused_is_told(client, installation, history):
    client.backfill("nightly", "2026-01-01", "2026-01-04")
    client.unpublish("nightly")
    Backfills(installation.engine, history, threading.Event()).step()
    assert "is paused: DAG nightly is published no longer" in call("backfills").stderr
    with pytest.raises(EngineError, match="no DAG nightly is published"):
        client.unpause_backfill("nightly")
    client.publish(Dag.parse(nightly(timezone="Europe/Berlin")))
    client.unpause_backfill("nightly")
    client.pause_backfill("nightly")
    assert "published no longer" not in call("backfills").stderr


def test_redis_has_a_limited_number_of_backfills(client, connection):
    # The oldest ten are looked at, and forgotten: they have ended long ago.
    known = {f"b{number}": number for number in range(limits.BACKFILLS + 10)}
    connection.zadd("pydag:backfills", known)
    with pytest.raises(EngineError):
        client.backfill("nightly", "2026-01-01", "2026-01-04")
    assert client.backfill("nightly", "2026-01-01", "2026-01-04").state == "running"


def test_a_name_that_several_have_is_no_name(client):
    for _ in range(7):
        client.backfill("nightly", "2026-01-01", "2026-01-04")
    with pytest.raises(EngineError, match=r"several backfills begin with nightly: .*, …; give"):
        client.cancel_backfill("nightly")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("nigthly", *DAYS), 'no DAG nigthly is published (did you mean "nightly"?)'),
        (("nightly", "--from", "x", "--to", "2026-01-01"), "from must be a day or a time of"),
        (("nightly", "--from", "2026-02-01", "--to", "2026-01-01"), "is after to 2026-01-01"),
        (("nightly", "--from", "1990-01-01", "--to", "2026-01-01"), "more than 10,000 times"),
        (("nightly", *DAYS, "--max-active", "0"), "--max-active"),
        (("nightly", *DAYS, "--weight", "nan"), "weight"),
        (("nightly", *DAYS, "--again", "none"), "--again"),
    ],
)
def test_what_can_be_no_backfill_is_refused_in_one_paragraph(client, arguments, why):
    result = call("backfill", *arguments)
    assert result.exit_code == 2
    assert why in result.stderr
    assert "Traceback" not in result.stderr
    assert client.backfills() == []


def test_what_a_program_gives_wrongly_is_refused(client):
    for wrong in ({"max_active": 0}, {"weight": float("inf")}, {"again": "some"}):
        with pytest.raises(PydagError, match="backfill: "):
            client.backfill("nightly", "2026-01-01", "2026-01-04", **wrong)
