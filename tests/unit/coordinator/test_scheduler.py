"""What a coordinator does with published DAGs, by a clock that the test sets; on fakeredis."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta

import fakeredis
import pytest

from pydag_dist.coordinator.recording.new_database import copy_dags
from pydag_dist.coordinator.recording.restore import restore, restore_dags
from pydag_dist.coordinator.scheduler import LONGEST, SOONEST, Scheduler
from pydag_dist.dag import Dag
from pydag_dist.engine import Engine, publications
from pydag_dist.engine.published import from_micro, scheduled_run_id, to_micro
from pydag_dist.history import History, batch_of
from tests.support.engine_bench import task, with_own_clock

BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Installation:
    """A Redis in memory with a clock of its own, and one coordinator's scheduler."""

    def __init__(self):
        self.client = fakeredis.FakeRedis(decode_responses=True)
        self.engine = Engine(self.client, "p", "coordinator")
        with_own_clock(self.engine)
        self.publishing = self.engine.publishing
        self.publishing.now = lambda: from_micro(self.client.get("p:now"))
        self.client.set("p:epoch", "e")
        self.at(BEGIN)
        self.scheduler = Scheduler(self.engine, threading.Event())

    def at(self, moment):
        self.client.set("p:now", to_micro(moment))

    def publish(self, name="nightly", **fields):
        fields = {"schedule_interval": 60} | fields
        dag = Dag.parse({"dag_id": name, "tasks": [task("a")], **fields})
        return publications.publish(self.publishing, dag, retention=60, by="ana@host")

    def runs(self):
        return sorted(self.client.zrange("p:runs", 0, -1))

    def end(self, run_id):
        assert self.engine.steering.cancel(run_id) == "cancelled"


def asked(client, step):
    """The commands of Redis that a step asks."""
    commands, execute = [], client.execute_command
    client.execute_command = lambda *args, **options: (
        commands.append(args[0]) or execute(*args, **options)
    )
    step()
    return commands


@pytest.fixture
def here():
    return Installation()


def test_a_look_at_nothing_is_one_command(here):
    assert asked(here.client, here.scheduler.step) == ["ZRANGE"]


def run_ids(name, *minutes):
    return [scheduled_run_id(name, BEGIN + minute * MINUTE) for minute in minutes]


def test_what_is_due_is_started_and_the_next_look_is_when_it_is_due_again(here):
    here.publish()
    assert here.scheduler.step() == LONGEST
    assert here.runs() == []
    here.at(BEGIN + MINUTE - timedelta(milliseconds=100))
    assert 0.1 <= here.scheduler.step() < LONGEST
    here.at(BEGIN + MINUTE)
    here.scheduler.step()
    assert here.runs() == run_ids("nightly", 1)
    head = here.engine.reading.run_head(here.runs()[0])
    assert head["logical_date"] == "2026-01-31T12:01:00+00:00"
    assert (head["run_type"], head["version"]) == ("scheduled", "1")
    assert here.scheduler.step() == LONGEST


def test_nothing_starts_before_the_history_has_given_back_what_redis_lost(here):
    here.publish()
    here.at(BEGIN + MINUTE)
    here.client.delete("p:epoch")
    assert here.scheduler.step() == LONGEST
    assert here.runs() == []


def test_of_missed_dates_the_newest_runs_and_the_others_are_said(here, caplog):
    here.publish()
    here.at(BEGIN + 5.5 * MINUTE)
    here.scheduler.step()
    assert here.runs() == run_ids("nightly", 5)
    assert "nightly: missed 4 of its due times, from 2026-01-31T12:01:00+00:00 to" in caplog.text
    seen = here.publishing.dag("nightly")
    assert (seen.missed, seen.missed_last) == (4, BEGIN + 4 * MINUTE)
    assert seen.due == BEGIN + 6 * MINUTE


def test_with_catchup_all_run_oldest_first(here):
    here.publish(catchup=True, max_active_runs=2)
    here.at(BEGIN + 4 * MINUTE)
    for _ in range(4):
        here.scheduler.step()
    assert here.runs() == run_ids("nightly", 1, 2)
    here.end(here.runs()[0])
    here.scheduler.step()
    assert here.runs() == run_ids("nightly", 1, 2, 3)
    assert here.publishing.dag("nightly").missed == 0


def test_catchup_begins_at_the_start_date(here):
    start = (BEGIN - 3 * MINUTE).isoformat()
    here.publish(catchup=True, max_active_runs=9, start_date=start)
    for _ in range(6):
        here.scheduler.step()
    assert here.runs() == run_ids("nightly", -3, -2, -1, 0)


def test_a_run_holds_the_next_one_back_which_starts_when_it_ends(here):
    here.publish()
    here.at(BEGIN + MINUTE)
    here.scheduler.step()
    here.at(BEGIN + 2 * MINUTE)
    here.scheduler.step()
    assert here.publishing.dag("nightly").held
    assert here.scheduler.step() == LONGEST  # and is no work meanwhile
    here.end(here.runs()[0])
    here.scheduler.step()
    assert here.runs() == run_ids("nightly", 1, 2)


def test_a_run_that_is_gone_holds_back_for_a_minute_at_most(here):
    here.publish()
    here.at(BEGIN + MINUTE)
    here.scheduler.step()
    here.client.delete(f"p:run:{here.runs()[0]}")
    here.at(BEGIN + 2 * MINUTE)
    here.scheduler.step()
    assert scheduled_run_id("nightly", BEGIN + 2 * MINUTE) in here.runs()


def test_a_clock_that_goes_back_starts_nothing_twice(here):
    here.publish()
    here.at(BEGIN + 10 * MINUTE)
    here.scheduler.step()
    here.end(here.runs()[0])
    here.client.delete(f"p:run:{here.runs()[0]}")  # its retention is over
    here.at(BEGIN + MINUTE)
    here.publish(owner="ana")  # a new version, of the same schedule
    here.publish(schedule_interval=30)
    for minute in (8, 10):
        here.at(BEGIN + minute * MINUTE)
        here.scheduler.step()
    assert here.runs() == run_ids("nightly", 10)
    here.at(BEGIN + 10.5 * MINUTE)
    here.scheduler.step()
    assert here.runs()[-1:] == run_ids("nightly", 10.5)
    assert not here.client.exists(f"p:run:{run_ids('nightly', 10)[0]}")


def test_a_coordinator_that_is_stopped_while_it_looks_fires_nothing_again(here):
    here.publish(catchup=True, max_active_runs=9)
    here.at(BEGIN + MINUTE)
    (seen,) = here.publishing.dags(["nightly"])
    here.at(BEGIN + 3 * MINUTE)  # others went on meanwhile
    for _ in range(4):
        here.scheduler.step()
    assert here.runs() == run_ids("nightly", 1, 2, 3)
    answer, _, _ = publications.fire(here.publishing, seen, BEGIN + MINUTE)
    assert answer == "again"
    assert here.runs() == run_ids("nightly", 1, 2, 3)
    assert here.publishing.dag("nightly").missed == 0


def test_a_pause_is_missed_unless_the_dag_catches_up(here):
    here.publish("misses")
    here.publish("catches", catchup=True, max_active_runs=9)
    for name in ("misses", "catches"):
        assert publications.pause(here.publishing, name, "ana@host")
    here.at(BEGIN + 2.5 * MINUTE)
    here.scheduler.step()
    assert here.runs() == []
    for name in ("misses", "catches"):
        assert publications.unpause(here.publishing, name, "ana@host")
    for _ in range(4):
        here.scheduler.step()
    assert here.runs() == run_ids("catches", 1, 2)
    assert here.publishing.dag("misses").missed == 2


def test_a_schedule_that_can_not_be_read_keeps_no_other_from_starting(here, caplog):
    here.publish("bad")
    here.publish("good")
    here.client.hset("p:dag:bad", "schedule", '{"schedule_interval": 60, "timezone": "Mars/Base"}')
    here.at(BEGIN + MINUTE)
    caplog.set_level(logging.ERROR)
    for _ in range(3):
        here.scheduler.step()
    assert here.runs() == run_ids("good", 1)
    assert caplog.text.count("bad: its schedule can't be worked with") == 1


def test_a_schedule_that_can_not_be_read_slows_no_other_down(here):
    here.publish("bad")
    here.publish("good", catchup=True, max_active_runs=9)
    here.client.hset("p:dag:bad", "schedule", '{"schedule_interval": 60, "timezone": "Mars/Base"}')
    here.at(BEGIN + 2 * MINUTE)
    assert here.scheduler.step() == SOONEST
    here.client.zrem("p:schedules", "bad")
    assert here.scheduler.step() == SOONEST
    assert here.runs() == run_ids("good", 1, 2)


def test_a_stop_does_not_wait_for_all_that_is_due(here):
    for number in range(5):
        here.publish(f"dag{number}")
    here.at(BEGIN + MINUTE)
    here.scheduler._stopping.set()
    here.scheduler.step()
    assert here.runs() == []


def write(here, history):
    """As the recorder does."""
    entries = here.client.xrange("p:history")
    runs = {f["run"]: here.engine.reading.run_head(f["run"]) for _, f in entries if "run" in f}
    dags = {run: here.engine.reading.submitted_dag(run) for run in runs}
    history.write(batch_of(entries, runs, dags))


@pytest.fixture
def history(tmp_path):
    with History(f"sqlite:///{tmp_path}/history.sqlite") as history:
        history.open()
        yield history


def published(here):
    return {dag.dag_id: dag for dag in here.publishing.dags()}


def test_a_redis_that_was_lost_gets_its_dags_back_from_the_history(here, history):
    here.publish()
    here.publish(owner="ana")
    here.publish("paused")
    here.publish("gone")
    publications.pause(here.publishing, "paused", "ana@host")
    publications.unpublish(here.publishing, "gone", "ana@host")
    here.at(BEGIN + 3 * MINUTE)
    here.scheduler.step()
    here.end(here.runs()[0])
    write(here, history)
    before, runs = published(here), here.runs()

    now = here.client.get("p:now")
    here.client.flushall()
    here.client.set("p:now", now)
    assert sorted(restore_dags(here.publishing, history)) == ["gone", "nightly", "paused"]
    assert restore_dags(here.publishing, history) == []
    here.client.set("p:epoch", "another")

    after = published(here)
    assert after.keys() == {"nightly", "paused"}
    for name, dag in after.items():
        for field in ("version", "hash", "due", "settled", "paused_at", "missed", "schedule"):
            assert getattr(dag, field) == getattr(before[name], field), field
    assert after["nightly"].last_run == runs[0]
    here.scheduler.step()
    assert here.runs() == []  # that date has its run
    here.at(BEGIN + 4 * MINUTE)
    here.scheduler.step()
    assert here.runs() == run_ids("nightly", 4)
    assert here.publish("gone").version == 2


def test_a_dag_that_can_not_be_given_back_keeps_no_other_from_it(here, history, caplog):
    for name in ("bad", "good"):
        here.publish(name)
    here.client.hset("p:dag:bad", "schedule", "{}")
    here.at(BEGIN + MINUTE)
    here.scheduler.step()
    write(here, history)
    with history._db.begin() as connection:
        connection.exec_driver_sql("UPDATE pydag_dag_events SET detail = '{}' WHERE dag_id = 'bad'")
    here.client.flushall()
    here.at(BEGIN + MINUTE)
    assert restore_dags(here.publishing, history) == ["good"]
    assert "DAG bad: Redis can't take it back" in caplog.text


def test_a_run_that_was_lost_holds_the_next_one_back_again(here, history):
    here.publish()
    here.at(BEGIN + MINUTE)
    here.scheduler.step()
    (run,) = here.runs()
    write(here, history)
    here.client.flushall()
    here.at(BEGIN + 2 * MINUTE)
    assert restore(here.engine.planning, history, run)
    assert restore_dags(here.publishing, history) == ["nightly"]
    here.client.set("p:epoch", "another")
    here.scheduler.step()
    assert here.publishing.dag("nightly").held
    assert here.runs() == [run]
    assert here.engine.reading.run_head(run)["version"] == "1"


def test_what_was_published_before_the_history_came_back_keeps_what_it_is(here, history):
    here.publish()
    here.publish(owner="ana")
    write(here, history)
    now = here.client.get("p:now")
    here.client.flushall()
    here.client.set("p:now", now)
    here.publish(owner="eve")
    here.publish(owner="ben")
    assert restore_dags(here.publishing, history) == ["nightly"]
    assert here.publishing.dag("nightly").version == 4
    assert Dag.parse(here.publishing.text("nightly")).owner == "ben"


def test_a_new_database_gets_the_dags_that_are_published(here, history):
    here.publish()
    here.publish(owner="ana")
    publications.pause(here.publishing, "nightly", "ana@host")
    before = published(here)["nightly"]
    copy_dags(here.publishing, history)
    now = here.client.get("p:now")
    here.client.flushall()
    here.client.set("p:now", now)
    assert restore_dags(here.publishing, history) == ["nightly"]
    after = published(here)["nightly"]
    assert (after.version, after.due, after.paused_at) == (2, before.due, before.paused_at)
