"""`pydag runs` on screens of all widths, what it leaves out, and times as people type them."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import click
import pytest

from pydag_dist.cli.display.backfills_table import backfills_screen
from pydag_dist.cli.display.dags_table import dags_screen
from pydag_dist.cli.display.runs_table import runs_screen
from pydag_dist.cli.options import Moment, moment
from pydag_dist.client.naming import shortest_name
from pydag_dist.engine import Engine, RunSummary
from pydag_dist.engine.backfills.backfill import Backfill
from pydag_dist.engine.published import PublishedDag
from tests.unit.cli.test_commands import pydag_cli
from tests.unit.cli.test_live import printed
from tests.unit.client.test_naming import NOON, client, submitted  # noqa: F401  fixtures

DAY = 86400


def summary(run_id, state="success", failed=0, by="ann@host"):
    return RunSummary(
        run_id=run_id,
        dag_id="d",
        state=state,
        submitted_at=NOON,
        started_at=NOON,
        ended_at=NOON + 3661,
        round_at=NOON,
        submitted_by=by,
        counts={"total": 500, "ended": 499, "active": 0, "failed": failed},
    )


def ids(dag_id, number):
    return [f"{dag_id}-20260131t0600{i:02}-{i:x}123456789abcdef" for i in range(number)]


@pytest.mark.parametrize("dag_id", ["d", "nightly_orders", "orders_of_all_countries", "x" * 80])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_runs_fit_the_screen_and_can_be_named_as_shown(dag_id, width):
    names = ids(dag_id, 12)
    unique = {name: shortest_name(name, [n for n in names if n != name], 8) for name in names}
    states = ["cancelling", "failed", "success"] * 4
    runs = [summary(name, state, 3) for name, state in zip(names, states, strict=True)]
    lines = printed(runs_screen(runs, unique, NOON, width), 10_000)
    # What can't be made to fit is not cut: then it would be no name.
    assert max(map(len, lines)) <= width or max(map(len, unique.values())) > width - 13
    for name, state, line in zip(names, states, lines[1:], strict=True):
        shown = line.split()[0].rstrip("…")
        assert [other for other in names if other.startswith(shown)] == [name]
        assert line.split()[1] == state


def test_columns_without_anything_in_them_are_left_out():
    lines = printed(runs_screen([summary("d-1", by=None)], {}, NOON, 80), 80)
    assert lines[0].split() == ["run", "state", "submitted", "took", "tasks"]
    assert lines[1].split()[0] == "d-1"
    assert lines[1].split()[-2:] == ["1:01:01", "499/500"]
    assert printed(runs_screen([], {}, NOON, 80), 80)[0].split() == ["run", "state"]


def test_backfills_with_long_ids_fit_the_screen():
    due = datetime(2026, 1, 31, 6, tzinfo=UTC)
    fields = dict.fromkeys(Backfill.__dataclass_fields__, 7) | {
        "backfill_id": "orders_of_all_countries-backfill-20260131t060000-01234",
        "dag_id": "orders_of_all_countries",
        "state": "running",
        "schedule": {},
        "next": due,
        "created_at": due,
        "total": 365,
        "ended_at": None,
    }
    some = [Backfill(**fields), Backfill(**{**fields, "state": "cancelled", "ended_at": due})]
    for width in (80, 100, 10_000):
        lines = printed(backfills_screen(some, due, width), 10_000)
        assert max(map(len, lines)) <= width
        assert all(line.split()[0] == fields["backfill_id"] for line in lines[1:])
        assert "14/365" in lines[1]
    assert len(re.split(r" {2,}", lines[0].strip())) == 8


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (200, ["dag", "version", "owner", "schedule", "next", "last run", "ended", "missed"]),
        (80, ["dag", "schedule", "next", "last run", "ended", "missed"]),
        (60, ["dag", "schedule", "next", "last run", "missed"]),
        (40, ["dag", "next", "missed"]),
        (10, ["dag", "next", "missed"]),
    ],
)
def test_a_list_of_dags_leaves_out_what_does_not_fit(width, columns):
    noon = datetime.fromtimestamp(NOON, UTC)
    due = PublishedDag("a", 1, None, published_at=noon, due=noon, missed=12)
    over = replace(due, dag_id="b", last_run="b-1", last_state="success", last_ended=noon)
    dags = [replace(due, paused_at=noon), over]
    lines = printed(dags_screen(dags, {"a": "ana", "b": ""}, width), 10_000)
    assert re.split(r" {2,}", lines[0].strip()) == columns
    assert [line.split()[0] for line in lines[1:]] == ["a", "b"]


def test_runs_are_filtered(connection, submitted):  # noqa: F811
    submitted("a", NOON, params={"country": "pe"}, tags=["nightly"])
    submitted("b", NOON + DAY, dag_id="e", tags=["nightly"])
    submitted("c")

    def found(*options):
        result = pydag_cli("runs", *options, "--json")
        assert result.exit_code == 0, result.stderr
        return [run["run_id"] for run in json.loads(result.stdout)["runs"]]

    assert found() == ["c", "b", "a"]
    assert found("--dag", "e") == ["b"]
    assert found("--tag", "nightly", "--since", "2026-02-01") == ["b"]
    assert found("--until", "2026-02-01", "--param", "country=pe") == ["a"]
    assert found("--since", "2h", "--state", "queued", "--state", "running") == ["c"]
    assert found("--state", "failed") == []
    assert found("--limit", "1") == ["c"]
    # As shown, with its ellipsis, it is a name.
    assert json.loads(pydag_cli("status", "a…", "--json").stdout)["run_id"] == "a"


@pytest.mark.parametrize(
    "option", ["--since=soon", "--until=31.1.2026", "--state=gone", "--limit=0", "--dag=a/b"]
)
@pytest.mark.usefixtures("connection")
def test_what_is_no_filter_is_told(option):
    result = pydag_cli("runs", option)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert "Traceback" not in result.output


def test_a_list_that_was_not_looked_at_to_its_end_says_so(connection, monkeypatch, submitted):  # noqa: F811
    for number in range(5):
        submitted(f"d-{number}", NOON + number)
    monkeypatch.setattr("pydag_dist.engine.listing.MAX_SCANNED", 2)
    monkeypatch.setattr("pydag_dist.engine.listing._PAGE", 2)
    result = pydag_cli("runs", "--dag", "e", "--limit", "1")
    assert result.exit_code == 0
    assert re.search(r"Warning: only runs submitted since 20\d\d-.* were looked at", result.stderr)


@pytest.mark.parametrize(
    ("text", "ago"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 7 * DAY), ("1.5 w", 10.5 * DAY)],
)
def test_how_long_ago(text, ago):
    before = time.time()
    at = moment(text, time.time)
    assert before - ago <= at <= time.time() - ago


def test_days_begin_at_midnight_here():
    today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    assert moment("today", time.time) == today.timestamp()
    yesterday = datetime.fromtimestamp(moment("yesterday", time.time)).astimezone()
    assert (yesterday.date(), yesterday.hour) == (today.date() - timedelta(days=1), 0)
    assert (
        moment("2026-01-31T12:00z", time.time)
        == moment("2026-01-31t13:00+01:00", time.time)
        == NOON
    )
    assert Moment().convert(5.0, None, None) == 5.0


@pytest.mark.parametrize(
    "text", ["", "now", "h", "-2h", "9999-12-31", "2026-13-01", "999999999999w", "\udc80"]
)
def test_what_is_no_time(text):
    with pytest.raises(click.BadParameter, match="is no time: give"):
        Moment(time.time).convert(text, None, None)


def test_damaged_runs_do_not_hide_the_others(connection, submitted):  # noqa: F811
    for run_id in ("a", "b", "c", "d"):
        submitted(run_id)
    connection.delete("pydag:run:b")
    connection.set("pydag:run:b", "no hash")
    connection.hset("pydag:run:c", "total", "many")
    connection.hset("pydag:run:a", "submitted_at", "9" * 30)
    assert [run.run_id for run in Engine(connection).runs.listing().runs] == ["d", "a"]
    assert pydag_cli("runs").exit_code == 0
    for run_id in ("b", "c"):
        result = pydag_cli("status", run_id)
        assert result.exit_code in (0, 2)
        assert result.exception is None or isinstance(result.exception, SystemExit)
    connection.set("pydag:run:d:tasks", "no hash")
    connection.hset("pydag:run:d", "state", "running")
    result = pydag_cli("status", "d")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "run d: its keys in Redis are damaged" in result.stderr


@pytest.mark.parametrize("command", ["status", "why", "logs", "cancel", "resume"])
@pytest.mark.parametrize("name", ["\udcff", "a\x1b[31m", "a" * 300, "d@\udcff", "@", "…"])
@pytest.mark.usefixtures("connection")
def test_no_name_is_a_traceback(command, name):
    result = pydag_cli(command, name)
    assert (result.exit_code, result.stderr[:7]) == (2, "Error: ")
    assert "\x1b" not in result.output


@pytest.mark.parametrize("task", ["\udcff", "a/b", "x" * 300])
def test_no_task_is_a_traceback(connection, submitted, task):  # noqa: F811
    submitted("r")
    for command in ("why", "logs"):
        result = pydag_cli(command, "r", task)
        assert (result.exit_code, result.stderr[:7]) == (2, "Error: ")
