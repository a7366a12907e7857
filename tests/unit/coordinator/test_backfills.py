"""What coordinators do with backfills, by a clock that the test sets; on fakeredis."""

from __future__ import annotations

import shutil
import threading
from datetime import timedelta

import pytest

from pydag_dist.coordinator.backfills.loop import EVERY, Backfills
from pydag_dist.coordinator.backfills.restore import restore_backfills
from pydag_dist.coordinator.recording.new_database import copy_backfills
from pydag_dist.coordinator.recording.restore import restore, restore_dags
from pydag_dist.engine import publications
from pydag_dist.engine.backfills import changes
from pydag_dist.engine.published import scheduled_run_id
from pydag_dist.errors import EngineError
from pydag_dist.history import History
from tests.unit.coordinator.test_scheduler import BEGIN, MINUTE, Installation, asked, write

HOUR = 60 * MINUTE


class Filled(Installation):
    """A DAG that is due each minute, an hour after the begin, and a coordinator."""

    def __init__(self, history):
        super().__init__()
        self.history = history
        self.backfilling = self.engine.backfilling
        self.loop = Backfills(self.engine, history, threading.Event())
        self.at(BEGIN + HOUR)
        self.publish()

    def backfill(self, first, last, *, name="fill-1", dag="nightly", **options):
        """From and to that minute since the begin."""
        ends = [(BEGIN + minute * MINUTE).isoformat() for minute in (first, last)]
        wanted = {"newest_first": False, "again": "none", "weight": 0.5, "max_active": 1}
        return changes.begin(
            self.backfilling,
            name,
            lambda: changes.span(self.publishing, dag, *ends),
            by="ana@host",
            **(wanted | options),
        )

    def seen(self, name="fill-1"):
        return self.backfilling.backfill(name)

    def counts(self, name="fill-1"):
        seen = self.seen(name)
        return seen.state, seen.made, seen.left_out, seen.active

    def step(self):
        return self.loop.step()

    def minutes(self):
        """The due times of all runs of backfills, in the order in which these were made."""
        found = []
        for _, fields in self.client.xrange("p:history"):
            if fields["kind"] == "run" and fields["state"] == "queued":
                head = self.client.hgetall(f"p:run:{fields['run']}")
                if head["run_type"] == "backfill":
                    at = fields["run"].rpartition("-")[0].rpartition("t")[2]
                    found.append(int(at[:2]) * 60 + int(at[2:4]) - 12 * 60)
        return found

    def end(self, run_id, state="cancelled"):
        """As cancelled, or as failed: it could not be planned."""
        if state == "failed":
            assert self.engine.planning.plan_refuse(run_id, "no")
        else:
            super().end(run_id)

    def end_all(self, state="cancelled"):
        for run_id in self.backfilling.active("fill-1"):
            self.end(run_id, state)

    def lose(self):
        now = self.client.get("p:now")
        self.client.flushall()
        self.client.set("p:now", now)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    file = tmp_path_factory.mktemp("history") / "history.sqlite"
    with History(f"sqlite:///{file}") as history:
        history.open()  # which takes a while
    return file


@pytest.fixture
def here(tmp_path, database):
    file = shutil.copy(database, tmp_path)
    with History(f"sqlite:///{file}") as history:
        yield Filled(history)


def test_a_look_at_nothing_is_one_command(here):
    assert asked(here.client, here.loop.step) == ["ZRANGE"]


def test_each_due_time_gets_one_run_so_many_at_a_time_the_oldest_first(here):
    found = here.backfill(2, 6, max_active=2)
    assert len(found.due) == 5
    here.step()
    assert here.minutes() == [2, 3]
    assert here.counts() == ("running", 2, 0, 2)
    assert here.step() == EVERY
    assert here.backfilling.open(BEGIN + HOUR, 9) == []  # it waits for its runs, and is no work
    here.end(here.backfilling.active("fill-1")[0])
    here.step()
    assert here.minutes() == [2, 3, 4]
    while here.seen().is_open:
        here.end_all()
        here.step()
    assert here.minutes() == [2, 3, 4, 5, 6]
    assert here.counts() == ("done", 5, 0, 0)
    assert here.seen().cancelled == 5
    assert here.client.ttl("p:backfill:fill-1") == 60
    assert not here.client.exists("p:backfill:fill-1:active")


def test_a_run_of_a_backfill_says_so_and_weighs_less(here):
    here.publish(weight=4.0)
    here.backfill(2, 2, weight=0.25)
    here.step()
    (run,) = here.backfilling.active("fill-1")
    head = here.engine.reading.run_head(run)
    assert (head["run_type"], head["backfill"], head["version"]) == ("backfill", "fill-1", "2")
    assert float(head["weight"]) == 1.0
    assert head["logical_date"] == "2026-01-31T12:02:00+00:00"
    assert here.publishing.dag("nightly").last_run is None


def test_the_newest_first(here):
    here.backfill(2, 5, newest_first=True, max_active=9)
    here.step()
    assert here.minutes() == [5, 4, 3, 2]


def test_what_the_schedule_runs_itself_and_what_is_to_come_is_left_to_it(here):
    here.at(BEGIN + 2 * HOUR)
    found = here.backfill(58, 200)
    assert [found.due[0], found.due[-1]] == [BEGIN + 58 * MINUTE, BEGIN + HOUR]
    assert found.left_to_schedule == BEGIN + HOUR + MINUTE
    with pytest.raises(EngineError, match=r"those from 2026-01-31T13:01:00\+00:00 on are still to"):
        here.backfill(61, 90)
    publications.pause(here.publishing, "nightly", "ana@host")
    found = here.backfill(58, 200, name="fill-2")  # what a pause misses
    assert (found.due[-1], found.left_to_schedule) == (BEGIN + 2 * HOUR, BEGIN + 121 * MINUTE)
    here.publish(catchup=True)  # the same times: due since 13:01
    assert here.backfill(58, 200, name="fill-3").due[-1] == BEGIN + HOUR


@pytest.mark.parametrize(
    ("first", "last", "fields", "why"),
    [
        ("2026-01-31", "x", {}, "^to must be a day or a time"),
        ("2026-01-02", "2026-01-01", {}, "from 2026-01-02 is after to 2026-01-01"),
        ("2025-01-01", "2026-01-01", {}, "is due more than 10,000 times from then on, which is"),
        ("2026-01-01", "2026-01-01", {"start_date": "2026-01-30"}, "is not due from 2026-01-01 to"),
        ("2026-01-01", "2026-01-01", {"schedule_interval": ""}, "has no schedule_interval: it has"),
        ("2027-01-01", "2027-01-01", {}, "are still to come, or its schedule runs them itself"),
    ],
)
def test_a_backfill_without_due_times_is_refused_and_one_with_too_many(
    here, first, last, fields, why
):
    here.publish(**fields)
    with pytest.raises(EngineError, match=why):
        changes.span(here.publishing, "nightly", first, last)


@pytest.mark.parametrize(
    ("first", "last", "wanted"),
    [
        ("2025-03-29", "2025-03-31", ["29T01:30:00", "30T01:00:00", "31T00:30:00"]),
        ("2025-10-25", "2025-10-27", ["25T00:30:00", "26T00:30:00", "27T01:30:00"]),
    ],
)
def test_a_day_whose_clock_is_changed_has_one_run(here, first, last, wanted):
    here.publish("night", schedule_interval="30 2 * * *", timezone="Europe/Berlin")
    options = {"newest_first": False, "again": "none", "weight": 0.5, "max_active": 9}
    span = lambda: changes.span(here.publishing, "night", first, last)  # noqa: E731
    changes.begin(here.backfilling, "fill-1", span, by="ana@host", **options)
    here.step()
    dates = [here.engine.reading.run_head(run)["logical_date"] for run in here.runs()]
    assert sorted(dates) == [f"{first[:8]}{date}+00:00" for date in wanted]


@pytest.mark.parametrize(
    ("again", "ends", "wanted"),
    [
        ("none", [], True),
        ("none", ["failed"], False),
        ("none", ["success"], False),
        ("failed", [], True),
        ("failed", ["failed", "cancelled"], True),
        ("failed", ["failed", "success"], False),
        ("failed", ["failed", "running"], False),
        ("all", ["success"], True),
        ("all", ["success", "queued"], False),
    ],
)
def test_which_due_times_are_left_out(again, ends, wanted):
    states = {f"r{number}": state for number, state in enumerate(ends)}
    assert changes.is_wanted(again, "mine", states) is wanted
    assert changes.is_wanted(again, "mine", states | {"mine": "success"})


def test_due_times_that_have_a_run_are_left_out(here):
    here.publish(catchup=True, start_date=(BEGIN + 2 * MINUTE).isoformat(), max_active_runs=3)
    for _ in range(3):
        here.scheduler.step()  # 2, 3 and 4
    write(here, here.history)
    publications.unpublish(here.publishing, "nightly", "ana@host")
    here.publish()
    here.client.hdel("p:run:" + scheduled_run_id("nightly", BEGIN + 3 * MINUTE), "state")
    here.backfill(1, 6, max_active=9)
    here.step()
    assert here.minutes() == [1, 5, 6]
    assert here.counts() == ("running", 3, 3, 3)
    here.end_all()
    assert here.counts() == ("done", 3, 3, 0)


def test_what_failed_runs_again_in_another_backfill_if_that_is_wanted(here):
    here.backfill(1, 3, max_active=9)
    here.step()
    here.end_all("failed")
    write(here, here.history)
    here.backfill(1, 4, name="fill-2", max_active=9)
    here.step()
    assert here.counts("fill-2") == ("running", 1, 3, 1)
    write(here, here.history)
    here.backfill(1, 4, name="fill-3", again="failed", max_active=9)
    here.step()
    assert here.counts("fill-3") == ("running", 3, 1, 3)  # that of the 4th goes on


@pytest.mark.parametrize(
    ("again", "ends", "expected"),
    [
        ("none", "failed", [1, 2, 3, 4]),
        ("failed", "failed", [1, 2, 3, 1, 2, 3, 4]),
        ("failed", None, [1, 2, 3, 4]),
        ("all", "cancelled", [1, 2, 3, 1, 2, 3, 4]),
    ],
)
def test_two_backfills_at_once_run_a_date_once_though_the_history_is_late(
    here, again, ends, expected
):
    here.backfill(1, 3, max_active=9)
    here.step()
    if ends:
        here.end_all(ends)
    here.backfill(1, 4, name="fill-2", again=again, max_active=9)
    here.publish("other")
    here.backfill(1, 1, name="fill-3", dag="other")  # of another DAG
    here.step()
    assert sorted(here.minutes()) == sorted([*expected, 1])


def test_of_a_paused_backfill_no_run_is_made_and_those_that_go_on_do_so(here):
    here.backfill(1, 3)
    here.step()
    assert changes.pause(here.backfilling, "fill-1", "ana@host")
    assert not changes.pause(here.backfilling, "fill-1", "ana@host")
    here.end_all()
    here.step()
    assert here.counts() == ("paused", 1, 0, 0)
    assert changes.unpause(here.backfilling, here.publishing, "fill-1", "ana@host")
    assert not changes.unpause(here.backfilling, here.publishing, "fill-1", "ana@host")
    here.step()
    assert here.counts() == ("running", 2, 0, 1)


def test_the_pause_of_its_dag_does_not_hold_a_backfill_back(here):
    publications.pause(here.publishing, "nightly", "ana@host")
    here.backfill(1, 3)
    here.step()
    assert here.minutes() == [1]


def test_a_backfill_pauses_when_its_dag_is_published_no_longer(here):
    here.backfill(1, 3)
    here.step()
    publications.unpublish(here.publishing, "nightly", "ana@host")
    here.end_all()
    here.step()
    assert here.counts() == ("paused", 1, 0, 0)
    assert here.seen().why.startswith("DAG nightly is published no longer: publish it")
    with pytest.raises(EngineError, match="no DAG nightly is published"):
        changes.unpause(here.backfilling, here.publishing, "fill-1", "ana@host")
    here.publish()
    changes.unpause(here.backfilling, here.publishing, "fill-1", "ana@host")
    here.step()
    assert (here.counts(), here.seen().why) == (("running", 2, 0, 1), "")


def test_runs_are_of_the_newest_version(here):
    here.backfill(1, 3)
    here.step()
    here.publish(owner="ana")
    here.end_all()
    here.step()
    (run,) = here.backfilling.active("fill-1")
    assert here.engine.reading.run_head(run)["version"] == "2"


def test_a_new_schedule_pauses_a_backfill_which_then_goes_on_by_it(here):
    here.backfill(1, 9)
    here.step()
    here.publish(schedule_interval=240)
    here.end_all()
    here.step()
    assert here.counts() == ("paused", 1, 0, 0)
    assert here.seen().why.startswith("version 2 of DAG nightly is due at other times: unpause")
    changes.unpause(here.backfilling, here.publishing, "fill-1", "ana@host")
    assert here.seen().total == 3
    while here.seen().is_open:
        here.step()
        here.end_all()
    assert here.minutes() == [1, 4, 8]


def test_a_schedule_without_due_times_left_ends_the_backfill(here):
    here.backfill(1, 3)
    here.step()
    here.publish(start_date="2026-01-31T12:30")
    here.end_all()
    here.step()
    changes.unpause(here.backfilling, here.publishing, "fill-1", "ana@host")
    assert here.counts() == ("done", 1, 0, 0)


def test_a_cancelled_backfill_makes_no_more_runs_and_its_active_ones_are_cancelled(here):
    here.backfill(1, 9, max_active=2)
    here.step()
    runs = here.backfilling.active("fill-1")
    assert here.backfilling.cancel("fill-1", "ana@host") == "cancelling"  # and its client is gone
    here.step()
    assert here.counts() == ("cancelled", 2, 0, 0)
    assert {here.engine.reading.run_state(run) for run in runs} == {"cancelled"}
    here.step()
    assert len(here.minutes()) == 2
    with pytest.raises(EngineError, match="backfill fill-1 is cancelled: it can't"):
        changes.unpause(here.backfilling, here.publishing, "fill-1", "ana@host")


def test_a_client_that_cancels_waits_for_no_coordinator(here):
    here.backfill(1, 9, max_active=2)
    here.step()
    assert changes.cancel(here.backfilling, here.engine.steering, "fill-1", "b@host") == "cancelled"
    here.backfill(1, 9, name="fill-2", again="all")
    assert changes.cancel(here.backfilling, here.engine.steering, "fill-2", "b@host") == "cancelled"


def test_an_active_run_that_is_gone_holds_nothing_up_for_more_than_a_minute(here):
    here.backfill(1, 2)
    for minute in (61, 63, 65):
        here.step()
        for run_id in here.backfilling.active("fill-1"):
            here.client.delete(f"p:run:{run_id}")
        here.at(BEGIN + minute * MINUTE)
    here.step()
    assert here.counts() == ("done", 2, 0, 0)


def test_a_run_that_is_resumed_counts_again_as_it_ends(here):
    here.backfill(1, 2)
    here.step()
    (run,) = here.backfilling.active("fill-1")
    here.end(run, "failed")
    assert (here.seen().failed, here.seen().active) == (1, 0)
    here.engine.steering.resume(run)
    assert (here.seen().failed, here.seen().active) == (0, 1)
    here.end(run)
    assert (here.seen().failed, here.seen().cancelled) == (0, 1)
    here.step()
    here.end_all()
    assert here.counts() == ("done", 2, 0, 0)
    here.engine.steering.resume(run)  # later: it belongs to it, and holds nothing back
    assert (here.seen().cancelled, here.seen().active) == (1, 0)
    here.end(run)
    assert here.seen().cancelled == 2


def test_two_coordinators_decide_on_a_due_time_once(here):
    here.backfill(1, 9, max_active=9)
    seen = here.seen()
    advance = (here.backfilling, here.publishing, seen, lambda _, due: [True] * len(due))
    assert [changes.advance(*advance) for _ in range(2)] == ["made", "again"]
    assert here.minutes() == [1]


def test_a_schedule_that_can_not_be_read_pauses_its_backfill_only(here):
    here.publish("other")
    here.backfill(1, 3)
    here.backfill(1, 3, name="fill-2", dag="other")
    bad = '{"schedule_interval": 60, "timezone": "Mars/Base"}'
    here.client.hset("p:dag:nightly", "schedule", bad)
    here.client.hset("p:backfill:fill-1", "schedule", bad)
    here.step()
    assert here.counts() == ("paused", 0, 0, 0)
    assert "it can't go on: " in here.seen().why
    assert here.counts("fill-2") == ("running", 1, 0, 1)


def test_when_it_is_expected_to_end_follows_from_its_runs(here):
    here.backfill(1, 9, max_active=2)
    here.step()
    now = here.publishing.now()
    assert here.seen().expected_end(now) is None
    here.at(now + timedelta(seconds=10))
    here.end_all()
    here.step()
    now = here.publishing.now()
    # Of 9 due times 4 have a run: 5 and 2 that go on are 4 times 10 s.
    expected = here.seen().expected_end(now)
    assert round((expected - now).total_seconds(), 3) == 40
    changes.pause(here.backfilling, "fill-1", "ana@host")
    assert here.seen().expected_end(now) is None


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_redis_that_was_lost_gets_its_backfills_back_from_the_history(here, newest_first):
    here.publish(catchup=True, start_date=(BEGIN + 4 * MINUTE).isoformat())
    here.scheduler.step()  # the 4th has a run
    publications.pause(here.publishing, "nightly", "ana@host")
    here.publish()
    here.end(scheduled_run_id("nightly", BEGIN + 4 * MINUTE))
    here.backfill(1, 8, max_active=2, newest_first=newest_first)
    for _ in range(2):
        here.step()
        here.at(here.publishing.now() + MINUTE)
        here.end_all()
    here.step()
    here.backfill(1, 8, name="ended")
    changes.cancel(here.backfilling, here.engine.steering, "ended", "ana@host")
    before = here.seen()
    assert (before.made, before.left_out, before.active) == (6, (not newest_first or 1), 2)
    write(here, here.history)
    here.lose()

    for run_id in here.history.unfinished():
        assert restore(here.engine.planning, here.history, run_id)
    assert restore_dags(here.publishing, here.history) == ["nightly"]
    assert restore_backfills(here.backfilling, here.history) == ["fill-1"]
    assert restore_backfills(here.backfilling, here.history) == []
    assert here.step() == EVERY  # not before all is there
    here.client.set("p:epoch", "another")
    after = here.seen()
    for name in (
        "state",
        "total",
        "made",
        "left_out",
        "next",
        "active",
        "cancelled",
        "created_at",
        "spent",
    ):
        assert getattr(after, name) == getattr(before, name), name
    while here.seen().is_open:
        here.step()
        here.end_all()
    seen = here.seen()
    assert (seen.state, seen.made, seen.left_out, seen.cancelled) == ("done", 7, 1, 7)


def test_a_new_database_gets_the_backfills_that_go_on(here):
    here.backfill(1, 3)
    changes.pause(here.backfilling, "fill-1", "ana@host")
    copy_backfills(here.backfilling, here.history)
    here.lose()
    assert restore_backfills(here.backfilling, here.history) == ["fill-1"]
    assert here.counts() == ("paused", 0, 0, 0)


def test_an_ended_backfill_of_a_new_database_does_not_come_back(here):
    for name in ("fill-1", "fill-2"):
        here.backfill(1, 3, name=name)
        changes.pause(here.backfilling, name, "ana@host")
    copy_backfills(here.backfilling, here.history)
    here.client.delete("p:history")
    changes.cancel(here.backfilling, here.engine.steering, "fill-1", "ana@host")
    write(here, here.history)
    here.lose()
    assert restore_backfills(here.backfilling, here.history) == ["fill-2"]


def test_a_run_that_only_says_that_it_is_of_a_backfill_ends(here):
    head = {"dag_id": "nightly", "params": "{}", "run_type": "backfill"}
    head |= {"processors": 0, "weight": 1, "timeout": 0, "retention": 60}
    flat = [part for pair in head.items() for part in pair]
    assert here.engine.store.call("submit", "forged", "{}", *flat) == 1
    here.end("forged")


def test_a_backfill_that_can_not_be_given_back_keeps_no_other_from_it(here, caplog):
    here.backfill(1, 3)
    here.backfill(1, 3, name="bad")
    write(here, here.history)
    with here.history._db.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE pydag_backfill_events SET detail = '{}' WHERE backfill = 'bad'"
        )
    here.lose()
    assert restore_backfills(here.backfilling, here.history) == ["fill-1"]
    assert "backfill bad: Redis can't take it back" in caplog.text


def test_a_run_that_redis_has_lost_is_made_again_though_the_history_knows_it(here):
    here.backfill(1, 2)
    before = here.client.hgetall("p:backfill:fill-1")
    here.step()
    (run,) = here.backfilling.active("fill-1")
    write(here, here.history)
    here.client.delete(f"p:run:{run}", "p:backfill:fill-1:active")  # Redis was set back
    here.client.hset("p:backfill:fill-1", mapping=before)
    here.client.zadd("p:backfills:open", {"fill-1": 0})
    here.step()
    assert here.backfilling.active("fill-1") == [run]
