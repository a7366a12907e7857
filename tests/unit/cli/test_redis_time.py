"""What commands say of times on a host whose clock is hours off: Redis's clock is what counts."""

from __future__ import annotations

import json
import re
import sys
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from pydag_dist import Client, Dag
from pydag_dist.cli.options import moment
from tests.unit.cli.test_commands import pydag_cli

HOUR = 3600.0


@pytest.fixture(params=[-3 * HOUR, 3 * HOUR], ids=["behind", "ahead"])
def off(connection, monkeypatch, request):
    """Seconds that Redis's clock is off the one of this host."""
    theirs = SimpleNamespace(**{**vars(time), "time": lambda: time.time() + request.param})
    for name, module in list(sys.modules.items()):
        if name.startswith("fakeredis") and getattr(module, "time", None) is time:
            monkeypatch.setattr(module, "time", theirs)
    assert abs(connection.time()[0] - time.time() - request.param) < 60
    return request.param


@pytest.fixture
def asked(monkeypatch):
    """How often the command has asked what time it is."""
    calls, ask = [], Client.now
    monkeypatch.setattr(Client, "now", lambda client: calls.append(1) or ask(client))
    return calls


@pytest.fixture
def going(off, installation):
    with Dag("d") as dag:
        dag.task("a", "python.call", params={"callable": "m:f"})
    made = Client().submit(dag, run_id="d-1")
    installation.plan(made.id)
    return installation.claim()


@pytest.mark.usefixtures("going")
def test_what_goes_on_takes_as_long_as_by_redis(asked, tmp_path):
    picture = tmp_path / "a.svg"
    assert pydag_cli("timeline", "d-1", "--svg", str(picture)).exit_code == 0
    assert len(asked) == 1
    texts = [pydag_cli(*line).stdout for line in (["status", "d-1"], ["runs"], ["timeline", "d-1"])]
    for text in (*texts, picture.read_text()):
        assert re.search(r"\d m?s\b", text), text
        assert not re.search(r"\b[23]:\d\d:\d\d|\b0 ms", text), text
    assert 0 < json.loads(pydag_cli("status", "d-1", "--json").stdout)["took"] < 60
    assert 0 < json.loads(pydag_cli("runs", "--json").stdout)["runs"][0]["took"] < 60


@pytest.mark.usefixtures("going")
def test_how_long_ago_is_by_redis():
    assert "d-1" in pydag_cli("runs", "--since", "1h").stdout
    assert "d-1" in pydag_cli("runs", "--since", "1h", "--until", "0s").stdout
    assert "no run" in pydag_cli("runs", "--until", "1h").stderr


def test_of_what_has_ended_nobody_asks_the_time(going, installation, asked):
    installation.end(going)
    for line in (["status", "d-1"], ["status", "d-1", "--json"], ["runs"], ["timeline", "d-1"]):
        assert pydag_cli(*line).exit_code == 0
    assert asked == []


def test_today_is_that_of_redis():
    at = datetime.fromtimestamp(moment("today", lambda: 10.5 * 86400), UTC).astimezone()
    assert (at.day, at.hour) == (datetime.fromtimestamp(10.5 * 86400, UTC).astimezone().day, 0)
