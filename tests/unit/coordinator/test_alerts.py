"""What webhooks are told of a run in each format, and when a run is late."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from typing import Any

import fakeredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydag_dist.coordinator.alerts.messages import message_of, written
from pydag_dist.engine import Engine
from pydag_dist.engine.snapshot import Act, RunSnapshot, TaskSnapshot
from tests.support.engine_bench import with_own_clock

ERROR = "<!channel> <users/all> no such table: a & b\nsecond line"
MONDAY = 1769990400.0  # 2026-02-02 00:00 UTC


def run(
    state: str = "failed", ended_at: float | None = MONDAY + 60, failed: int = 7
) -> RunSnapshot:
    tasks = {
        f"t{number}": TaskSnapshot("failed", 2, None, None, None, None, None, error=ERROR)
        for number in range(failed)
    }
    return RunSnapshot(
        run_id="nightly-1",
        dag_id="nightly",
        state=state,
        submitted_at=MONDAY,
        started_at=MONDAY,
        ended_at=ended_at,
        expected_at=MONDAY + 30,
        error=None,
        enqueued={},
        tasks=tasks,
    )


def told(form: Any, what: Any = "ended", page: str = "", **of: Any) -> bytes:
    return written(message_of(run(**of), what), form, page, "pydag@h.org", ["a@h.org", "b@h.org"])


def test_slack_gets_a_text_in_which_nobody_is_mentioned() -> None:
    lines = json.loads(told("slack", page="https://pydag.h.org/runs/nightly-1"))["text"].split("\n")
    assert lines[:2] == ["*nightly failed*", "<https://pydag.h.org/runs/nightly-1|run nightly-1>"]
    assert lines[4] == ("• t0, try 2: &lt;!channel&gt; &lt;users/all&gt; no such table: a &amp; b")
    assert lines[-1] == "• 2 more have failed"


def test_google_chat_gets_a_text_in_which_nobody_is_mentioned() -> None:
    body = json.loads(told("google-chat"))
    assert body.keys() == {"text"}
    assert "*nightly failed*\nrun nightly-1\n" in body["text"]
    assert "<users/" not in body["text"]


def test_an_e_mail_is_the_same_one_when_it_is_sent_again() -> None:
    first, again = (message_from_bytes(told("email"), policy=policy.default) for _ in range(2))
    late = message_from_bytes(told("email", "late"), policy=policy.default)
    assert (first["From"], first["To"]) == ("pydag@h.org", "a@h.org, b@h.org")
    assert first["Subject"] == "nightly failed"
    assert first["Message-ID"] == again["Message-ID"] != late["Message-ID"]
    assert "no such table: a & b" in first.get_content()
    assert "second line" not in first.get_content()
    assert told("email").isascii()


def test_a_task_that_was_marked_failed_by_hand_is_told_with_who_did_it() -> None:
    marks = [
        Act(MONDAY, "mark", by, f"t{number}", state)
        for by, number, state in [("ann", 0, "failed"), ("bob", 1, "success"), ("eve", 0, "failed")]
    ]
    marked = replace(run(failed=2), acts=marks)
    for task_id, task in marked.tasks.items():
        marked.tasks[task_id] = replace(task, error=None)
    message = message_of(marked, "ended")
    assert [one["error"] for one in message["failed_tasks"]] == [
        "it was marked failed by hand, by eve",
        None,
    ]
    text = json.loads(written(message, "slack", "", "", []))["text"].splitlines()
    assert text[-2:] == [
        "• t0, try 2: it was marked failed by hand, by eve",
        "• t1, try 2: no error was told",
    ]


@pytest.mark.parametrize(
    ("state", "ended_at", "now"),
    [("running", None, "it is running"), ("success", MONDAY + 60, "it has ended as success")],
)
def test_a_late_run_is_told_with_how_it_is_now(
    state: str, ended_at: float | None, now: str
) -> None:
    text = json.loads(told("slack", "late", state=state, ended_at=ended_at))["text"]
    assert text.startswith(
        f"*nightly is late: its end was expected at 2026-02-02 00:00:30 UTC, {now}*"
    )
    assert "no such table" not in text


@pytest.fixture(scope="module")
def engine() -> Engine:
    client: Any = fakeredis.FakeRedis(decode_responses=True)
    client.info = lambda *_: {"run_id": "fake"}  # fakeredis has no INFO
    return Engine(client, "p")


@given(
    date=st.datetimes(datetime(1970, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
    within=st.sampled_from([0.5, 60, 7200]),
)
def test_a_run_is_expected_so_long_after_its_logical_date(
    engine: Engine, date: datetime, within: float
) -> None:
    run_id = f"r{date:%Y%m%d%H%M%S}-{within}"
    engine.steering.submit(
        run_id, "{}", "dag", logical_date=date.isoformat(), expected_within=within
    )
    expected = engine.reading.run_head(run_id)["expected_at"]
    wanted = date.replace(microsecond=0) + timedelta(seconds=within)
    assert int(expected) == (wanted - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def test_without_a_logical_date_it_counts_from_the_submission(engine: Engine) -> None:
    engine.steering.submit("now", "{}", "dag", expected_within=60)
    engine.steering.submit("never", "{}", "dag")
    head = engine.reading.run_head("now")
    assert int(head["expected_at"]) == int(head["submitted_at"]) + 60_000_000
    assert "expected_at" not in engine.reading.run_head("never")


def test_a_run_that_ended_in_time_is_not_late_but_one_that_was_resumed_is() -> None:
    client: Any = fakeredis.FakeRedis(decode_responses=True)
    engine = Engine(client, "p")
    with_own_clock(engine)
    client.set("p:now", 1_800_000_000_000_000)
    for run_id in ("ended", "resumed"):
        engine.steering.submit(run_id, "{}", "dag", expected_within=60)
        engine.steering.cancel(run_id)
    engine.steering.resume("resumed")
    assert engine.webhooks.take() is None
    client.incrby("p:now", 61_000_000)
    assert engine.webhooks.take() == ("resumed", "late", 0)
    assert client.zrange("p:late", 0, -1) == ["resumed"]
    engine.webhooks.done("resumed", "late")
    assert engine.webhooks.take() is None
