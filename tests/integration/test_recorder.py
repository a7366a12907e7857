"""The writer of the history at its worst moments, step by step, on a real server."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY, Mock

import pytest
import redis
import sqlalchemy as sa

from pydag_dist.coordinator import Coordinator
from pydag_dist.coordinator.plan import plan_of
from pydag_dist.coordinator.planner import plan
from pydag_dist.coordinator.prior_run import prior_run
from pydag_dist.coordinator.recording import recorder as module
from pydag_dist.coordinator.recording.recorder import Recorder
from pydag_dist.dag import Dag
from pydag_dist.engine import Engine
from pydag_dist.engine.protocol import unpack_record
from pydag_dist.errors import HistoryError
from pydag_dist.history import History, batch_of
from pydag_dist.settings import Settings
from pydag_dist.why import why_task
from tests.support.cluster import call, dag
from tests.support.installation import TEMPLATE, Installation


class Parts:
    """A Redis, a database, and as many coordinators' writers as are made."""

    def __init__(self, url: str, directory: Path) -> None:
        self.redis: Any = redis.Redis.from_url(url, decode_responses=True)
        self.installation = Installation(self.redis)
        self.engine: Engine = self.installation.engine
        self.url = f"sqlite:///{directory}/history.sqlite"
        self.history = History(self.url)
        self.made: list[History] = [self.history]

    def recorder(
        self, url: str | None = None, prefix: str = "pydag", lease: float = 15
    ) -> Recorder:
        history = History(url or self.url)
        self.made.append(history)
        recorder = Recorder(Engine(self.redis, prefix), history, lease)
        recorder.open()
        return recorder

    def submit(self, run_id: str, *tasks: dict[str, Any], **fields: Any) -> None:
        graph = dag(list(tasks) or [call("t", "note")], **fields)
        self.engine.steering.submit(run_id, graph.to_json(), graph.dag_id, {"k": run_id})

    def plan(self, run_id: str) -> None:
        graph = Dag.parse(self.engine.reading.submitted_dag(run_id))
        self.engine.working.renew(self.installation.worker, 1000, ["python"])
        assert plan(self.engine, run_id, graph)

    def lose(self) -> None:
        self.redis.flushall()
        self.engine.planning.set_template(TEMPLATE)

    def close(self) -> None:
        for history in self.made:
            history.close()
        self.redis.close()

    def left(self) -> int:
        return int(self.redis.xlen("pydag:history"))


@pytest.fixture
def parts(redis_url: str, tmp_path: Path) -> Iterator[Parts]:
    parts = Parts(redis_url, tmp_path)
    yield parts
    parts.close()


def write_all(recorder: Recorder) -> None:
    while recorder.step():
        pass


def test_a_writer_that_dies_before_it_trims_loses_nothing(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = parts.recorder()
    write_all(first)
    parts.submit("r")
    parts.installation.work_off("r")

    def die(*_: Any, **__: Any) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(first._engine.planning, "let_expire", die)
    with pytest.raises(redis.ConnectionError):
        first.step()
    assert parts.redis.ttl("pydag:run:r") == -1
    assert parts.left() > 0
    parts.redis.delete("pydag:history:writer")
    write_all(parts.recorder())
    assert parts.left() == 0
    assert parts.redis.ttl("pydag:run:r") > 0
    assert parts.history.snapshot("r") == parts.engine.reading.snapshot("r")


def test_history_shows_skips_and_expansions_as_redis_does_and_gives_them_back(
    parts: Parts,
) -> None:
    recorder = parts.recorder()
    over = {"expand": {"over": "tasks.list.result"}}
    tasks = [
        call("list", "note"),
        call("bad", "note"),
        call("over", "note", after=["list"]) | over,
        call("never", "note", after=["list", "bad"]) | over,
        call("empty", "note") | {"expand": {"over": []}},
        call("each", "note") | {"expand": {"over": ["a", "b"]}},
        call("open", "note"),
    ]
    parts.submit("r", *tasks)
    parts.plan("r")
    end, take = parts.installation.end, parts.installation.claim
    held = {one.task: one for one in (take() for _ in range(5))}
    expand = {"over": 2, "never": 2}
    assert parts.engine.working.release(held["list"], "success", "[1, 2]", expand=expand) == "ok"
    held |= {one.task: one for one in (take() for _ in range(2))}
    end(held["bad"], "final", error="unknown day")
    end(held["over.0"], "skipped", error="no files")
    end(held["over.1"], "success", "3")
    end(held["each.0"], "skipped", error="no a")
    end(held["each.1"], "success", '"B"')
    before = parts.engine.reading.snapshot("r")
    shown = {name: (task.state, task.result, task.error) for name, task in before.tasks.items()}
    assert shown == {
        "list": ("success", [1, 2], None),
        "bad": ("failed", None, "unknown day"),
        "over": ("success", [None, 3], None),
        "over.0": ("skipped", None, "no files"),
        "over.1": ("success", 3, None),
        "never": ("upstream_failed", None, None),
        "empty": ("skipped", None, None),
        "each": ("success", [None, "B"], None),
        "each.0": ("skipped", None, "no a"),
        "each.1": ("success", "B", None),
        "open": ("running", None, None),
    }
    write_all(recorder)
    known = parts.history.snapshot("r")
    assert known is not None
    ended = {name: task for name, task in before.tasks.items() if name != "open"}
    assert {name: task for name, task in known.tasks.items() if name != "open"} == ended
    parts.lose()
    write_all(recorder)
    parts.plan("r")
    after = parts.engine.reading.snapshot("r").tasks
    assert {name: task for name, task in after.items() if name != "open"} == ended
    end(take())
    assert parts.engine.reading.run_state("r") == "failed"


def test_two_writers_at_once_do_no_harm(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each loses its lease now and then without noticing, and both read the same batches."""
    monkeypatch.setattr(module, "BATCH", 3)
    chance = random.Random(1)
    # Neither looks at its lease again, however long the test takes.
    both = [parts.recorder(lease=3_600) for _ in range(2)]
    for recorder in both:
        write_all(recorder)
        parts.redis.delete("pydag:history:writer")
    assert all(recorder._writes for recorder in both)
    runs = [f"r{i}" for i in range(30)]
    read = type(parts.redis).xrange

    def read_and_let_the_other_write(client: Any, *arguments: Any, **options: Any) -> Any:
        entries = read(client, *arguments, **options)
        if chance.random() < 0.3:
            monkeypatch.setattr(type(parts.redis), "xrange", read)
            chance.choice(both).step()
            monkeypatch.setattr(type(parts.redis), "xrange", read_and_let_the_other_write)
        return entries

    monkeypatch.setattr(type(parts.redis), "xrange", read_and_let_the_other_write)
    for run_id in runs:
        parts.submit(run_id, call("a", "note"), call("b", "note", after=["a"]))
        parts.installation.work_off(run_id)
        for _ in range(chance.randint(0, 4)):
            chance.choice(both).step()
    assert all(recorder._writes for recorder in both)
    write_all(both[0])
    assert parts.left() == 0
    for run_id in runs:
        assert parts.history.snapshot(run_id) == parts.engine.reading.snapshot(run_id)
        assert parts.redis.ttl(f"pydag:run:{run_id}") > 0


def test_only_who_has_the_lease_writes(parts: Parts) -> None:
    first, second = parts.recorder(), parts.recorder()
    write_all(first)
    parts.submit("r")
    write_all(second)
    assert parts.left() == 1
    write_all(first)
    assert parts.left() == 0


def test_a_server_whose_clock_is_behind_still_has_the_newer_events(parts: Parts) -> None:
    recorder = parts.recorder()
    parts.submit("r")
    parts.plan("r")
    write_all(recorder)
    late = ("7258118400000-7", {"kind": "run", "run": "r", "state": "running", "at": "1"})
    head = parts.engine.reading.run_head("r")
    parts.history.write(
        batch_of([late], {"r": head}, {"r": parts.engine.reading.submitted_dag("r")})
    )
    parts.lose()
    write_all(recorder)
    parts.plan("r")
    parts.installation.end(parts.installation.claim(), "failed")
    write_all(recorder)
    snapshot = parts.history.snapshot("r")
    assert snapshot is not None
    assert snapshot == parts.engine.reading.snapshot("r")
    assert snapshot.state == "failed"


def test_a_full_redis_is_emptied(parts: Parts) -> None:
    """By a writer that has the lease, and by a new one, which can't get it."""
    first = parts.recorder()
    write_all(first)
    for run_id, recorder in (("r", first), ("s", parts.recorder())):
        parts.submit(run_id)
        parts.installation.work_off(run_id)
        try:
            parts.redis.config_set("maxmemory", "1")
            with pytest.raises(redis.OutOfMemoryError):
                parts.redis.set("pydag:x", "1")
            recorder._renew_at = 0
            write_all(recorder)
        finally:
            parts.redis.config_set("maxmemory", "0")
        assert parts.left() == 0
        assert parts.redis.ttl(f"pydag:run:{run_id}") > 0
        parts.redis.delete("pydag:history:writer", "pydag:database")


def test_a_full_database_is_told_of_once(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = parts.recorder()
    write_all(recorder)
    parts.submit("r")
    full = sa.exc.OperationalError("INSERT", {}, Exception("No space left on device"))
    monkeypatch.setattr(recorder._history, "write", Mock(side_effect=full))
    with caplog.at_level(logging.INFO):
        recorder.run(Mock(wait=Mock(side_effect=[False, False, False, True])))
    assert len(caplog.messages) == 1
    assert caplog.messages[0].endswith("No space left on device")
    assert parts.left() == 1


def test_an_event_that_nobody_understands_stops_no_other(parts: Parts) -> None:
    recorder = parts.recorder()
    for fields in (
        {"kind": "task", "run": "r"},
        {"kind": "task", "run": "r", "task": "t", "try": "x"},
    ):
        parts.redis.xadd("pydag:history", {"state": "success", "at": "1", **fields})
    parts.redis.xadd("pydag:history", {"kind": "new"})
    parts.submit("r")
    write_all(recorder)
    assert parts.left() == 0
    assert parts.history.unfinished() == ["r"]


def test_a_damaged_run_keeps_no_other_from_being_written_and_the_log_says_which_was_set_aside(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = parts.recorder()
    for run_id in ("gone", "broken", "good"):
        parts.submit(run_id)
        parts.plan(run_id)
    held = {h.run: h for h in (parts.installation.claim() for _ in range(3))}
    parts.redis.delete("pydag:run:gone")
    parts.redis.set("pydag:run:gone", "no hash")
    parts.redis.hset("pydag:run:broken:tasks", "t", "no record")
    assert parts.engine.working.release(held["broken"], "success") == "broken"
    parts.installation.end(held["good"])
    write_all(recorder)
    assert parts.left() == 0
    states = {run.run_id: run.state for run in parts.history.runs()}
    assert states == {"broken": "failed", "good": "success"}
    (told,) = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert told.startswith("broken: set aside, all others go on: the engine could not go on")


def test_a_run_that_is_lost_twice_before_it_is_planned_stays_as_it_was(parts: Parts) -> None:
    recorder = parts.recorder()
    parts.submit("r", call("a", "note") | {"priority": 1}, call("b", "note"), call("c", "note"))
    parts.plan("r")
    parts.installation.end(parts.installation.claim(), "failed", error="no")
    write_all(recorder)
    before = parts.engine.reading.snapshot("r")
    for _ in range(2):
        parts.lose()
        write_all(recorder)
        assert parts.engine.reading.run_state("r") == "queued"
    parts.plan("r")
    after = parts.engine.reading.snapshot("r")
    assert before.tasks["a"].state == "failed"
    assert after.tasks["a"] == before.tasks["a"]
    assert after.tasks["b"].try_number == 1
    parts.installation.end(parts.installation.claim())
    parts.installation.end(parts.installation.claim())
    assert parts.engine.reading.snapshot("r").counts == {"failed": 1, "success": 2}
    assert parts.engine.reading.run_state("r") == "failed"


def test_a_lost_run_still_says_why_its_tasks_ended_as_they_did(parts: Parts) -> None:
    recorder = parts.recorder()
    branch = call("branch", "choose") | {"operator": "branch", "priority": 1}
    left, right = (call(name, "note", after=["branch"]) for name in ("left", "right"))
    parts.submit("r", branch, left, right, call("below", "note", after=["left"]))
    parts.plan("r")
    assert (
        parts.engine.working.release(parts.installation.claim(), "success", skips=["right"]) == "ok"
    )
    parts.installation.end(parts.installation.claim(), "failed", error="told to")
    write_all(recorder)
    tasks = ("branch", "left", "right", "below")
    before = [why_task(parts.engine.reading, "r", task) for task in tasks]
    assert "the branch branch did not choose it" in before[2]
    assert "told to" in before[3]
    parts.lose()
    write_all(recorder)
    parts.submit("r", branch, left, right, call("below", "note", after=["left"]))
    recorder.give_back("r")
    parts.plan("r")
    assert [why_task(parts.engine.reading, "r", task) for task in tasks] == before


def test_a_poisoned_task_of_a_lost_run_is_resumed_with_the_same_try(parts: Parts) -> None:
    """Else it would get a second remote job, while nobody knows how its first one is."""
    recorder = parts.recorder()
    below = call("below", "note", after=["poisoned"]) | {"trigger_rule": "all_done"}
    parts.submit("r", call("poisoned", "note"), below)
    parts.plan("r")
    for _ in range(3):
        last = parts.installation.claim()
        parts.installation.end(last, "dead")
    record = unpack_record(parts.redis.hget("pydag:run:r:tasks", "poisoned"))
    assert (record["state"], record["reason"], record["pushes"]) == ("failed", "poison", "3")
    write_all(recorder)
    parts.lose()
    write_all(recorder)
    parts.plan("r")
    restored = unpack_record(parts.redis.hget("pydag:run:r:tasks", "poisoned"))
    kept = ("state", "try", "reason", "pushes", "ended_at")
    assert [restored[name] for name in kept] == [record[name] for name in kept]
    parts.installation.end(parts.installation.claim())
    assert parts.engine.reading.run_state("r") == "failed"
    parts.engine.steering.resume("r")
    parts.plan("r")
    assert parts.installation.claim() == replace(last, token=ANY)


def test_a_run_that_is_lost_while_it_is_resumed_can_be_cancelled_and_resumed(parts: Parts) -> None:
    recorder = parts.recorder()
    parts.submit("r", call("a", "note"), call("b", "note", after=["a"]))
    parts.plan("r")
    parts.installation.end(parts.installation.claim(), "failed", error="told to")
    parts.engine.steering.resume("r")
    token = parts.engine.planning.plan_begin("r")
    rows = plan_of(
        Dag.parse(parts.engine.reading.submitted_dag("r")), prior_run(parts.engine, "r")
    ).rows
    assert parts.engine.planning.plan_chunk("r", token, rows[:1])  # and its planner dies
    write_all(recorder)
    parts.lose()
    write_all(recorder)
    assert parts.engine.steering.cancel("r") == "cancelled"
    found = parts.engine.reading.snapshot("r")
    assert {name: task.state for name, task in found.tasks.items()} == {
        "a": "cancelled",
        "b": "upstream_failed",
    }
    assert found.counts == {"cancelled": 1, "upstream_failed": 1}
    (summary,) = parts.engine.runs.listing().runs
    assert (summary.counts["total"], summary.counts["ended"]) == (2, 2)
    parts.engine.steering.resume("r")
    parts.plan("r")
    held = parts.installation.claim()
    assert (held.task, held.try_number) == ("a", 2)
    parts.installation.end(held)
    parts.installation.end(parts.installation.claim())
    assert parts.engine.reading.run_state("r") == "success"


def test_a_run_that_was_being_cancelled_is_cancelled(parts: Parts) -> None:
    recorder = parts.recorder()
    parts.submit("r", call("a", "note"), call("b", "note", after=["a"]))
    parts.plan("r")
    parts.installation.claim()
    assert parts.engine.steering.cancel("r") == "cancelling"
    write_all(recorder)
    parts.lose()
    write_all(recorder)
    parts.plan("r")
    assert parts.engine.reading.run_state("r") == "cancelled"


def test_an_ended_run_that_its_client_submits_again_has_ended(parts: Parts) -> None:
    recorder = parts.recorder()
    parts.submit("r", call("a", "note"), call("b", "note", after=["a"]))
    parts.installation.work_off("r")
    write_all(recorder)
    before = parts.engine.reading.snapshot("r")
    parts.lose()
    write_all(recorder)
    assert parts.engine.reading.run_state("r") is None
    parts.submit("r", call("a", "note"), call("b", "note", after=["a"]))
    recorder.give_back("r")
    parts.plan("r")
    after = parts.engine.reading.snapshot("r")
    assert (after.state, after.tasks) == ("success", before.tasks)


def test_so_has_one_that_is_planned_before_the_writer_knows_that_redis_is_back(
    parts: Parts,
) -> None:
    recorder = parts.recorder()
    parts.submit("r", call("a", "note"))
    parts.installation.work_off("r")
    write_all(recorder)
    parts.lose()
    recorder._wait_for(redis.ConnectionError("Redis is away"))
    parts.submit("r", call("a", "note"))
    recorder.give_back("r")
    parts.plan("r")
    assert parts.engine.reading.run_state("r") == "success"


def test_a_run_that_is_new_or_resumed_is_left_alone(parts: Parts) -> None:
    recorder = parts.recorder()
    parts.submit("new")
    parts.submit("resumed")
    parts.plan("resumed")
    parts.installation.end(parts.installation.claim(), "failed")
    write_all(recorder)
    parts.engine.steering.resume("resumed")
    for run_id in ("new", "resumed"):
        recorder.give_back(run_id)
        assert not parts.engine.planning.is_restored(run_id)


def test_runs_are_planned_by_what_tasks_took_in_earlier_ones(parts: Parts, redis_url: str) -> None:
    tasks = [call("short", "note"), call("long", "note")]
    parts.submit("before", *tasks)
    parts.plan("before")
    took = {"short": "1", "long": "9"}
    entries = [
        (f"{n}-0", {"kind": "task", "run": "before", "task": name, "try": "1", "state": "success"})
        for n, name in enumerate(took, 1)
    ]
    for _, fields in entries:
        fields |= {"at": "1", "started_at": "1000000", "ended_at": f"{took[fields['task']]}000000"}
    entries.append(("9-0", {"kind": "run", "run": "before", "state": "success", "at": "1"}))
    settings = Settings(redis_url=redis_url, database_url=parts.url)
    coordinator = Coordinator(settings)
    parts.made.append(coordinator._recorder._history)
    coordinator._recorder.open()
    text = parts.engine.reading.submitted_dag("before")
    heads = {"before": parts.engine.reading.run_head("before")}
    parts.history.write(batch_of(entries, heads, {"before": text}))
    parts.lose()
    parts.submit("r", *tasks)
    parts.engine.working.renew(parts.installation.worker, 1, ["python"])
    coordinator._submissions._create_group()
    coordinator._submissions.step()
    first = json.loads(parts.redis.rpop("pydag:q:python"))["headers"]["pydag"]["task"]
    assert first == "long"


def test_a_new_database_gets_the_runs_that_redis_has(parts: Parts, tmp_path: Path) -> None:
    write_all(parts.recorder())
    parts.submit("queued")
    listed = call("list", "note") | {"priority": 1}
    each = call("each", "note", after=["list"]) | {"expand": {"over": "tasks.list.result"}}
    tasks = (listed, each, call("last", "note", after=["each"]))
    for run_id in ("ended", "going"):
        parts.submit(run_id, *tasks)
        parts.plan(run_id)
        held = parts.installation.claim()
        answer = parts.engine.working.release(held, "success", '["x"]', expand={"each": 1})
        assert answer == "ok"
        parts.installation.end(parts.installation.claim(), result='"X"')
        if run_id == "ended":
            parts.installation.end(parts.installation.claim(), "failed", error="no")
    held = parts.installation.claim()
    before = {run_id: parts.engine.reading.snapshot(run_id) for run_id in ("ended", "going")}
    parts.redis.delete("pydag:database", "pydag:history:writer", "pydag:history")
    url = f"sqlite:///{tmp_path}/new.sqlite"
    recorder = parts.recorder(url)
    write_all(recorder)
    with History(url) as history:
        assert history.snapshot("ended") == before["ended"]
        past = history.past("ended")
        assert past is not None
        assert {each.skips for each in past.tries} == {None}
        assert history.unfinished() == ["queued", "going"]
        parts.lose()
        write_all(recorder)
        parts.plan("going")
        parts.plan("queued")
        after = parts.engine.reading.snapshot("going").tasks
        assert after["last"].state == "queued"
        for task in ("list", "each", "each.0"):
            assert after[task] == before["going"].tasks[task]
        for _ in range(2):
            parts.installation.end(parts.installation.claim(), "failed", error="later")
        write_all(recorder)
        for run_id in ("going", "queued"):
            assert history.snapshot(run_id) == parts.engine.reading.snapshot(run_id)


def test_a_database_whose_installation_is_gone_is_taken_over(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = parts.recorder()
    parts.submit("r")
    write_all(first)
    parts.lose()
    second = parts.recorder()  # started anew: it can't know whose the database is
    write_all(second)
    assert parts.engine.reading.run_state("r") is None
    monkeypatch.setattr(module.time, "monotonic", lambda now=module.time.monotonic: now() + 60)
    write_all(second)
    assert parts.engine.reading.run_state("r") == "queued"


def test_a_writer_that_slept_while_another_died_over_a_lost_redis_goes_on(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    asleep, other = parts.recorder(), parts.recorder()
    parts.submit("r")
    for recorder in (other, asleep):
        write_all(recorder)
        parts.redis.delete("pydag:history:writer")
    parts.lose()

    def die(_: str) -> None:
        raise redis.ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(other._history, "set_epoch", die)
        with pytest.raises(redis.ConnectionError):
            other.step()
    parts.redis.delete("pydag:history:writer")
    write_all(asleep)
    assert parts.history.epoch() == parts.redis.get("pydag:epoch")
    assert parts.engine.reading.run_state("r") == "queued"


def test_a_database_that_another_installation_takes_is_written_no_more(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEWALS", 1e9)
    first = parts.recorder()
    write_all(first)
    parts.history.set_epoch("another")
    with pytest.raises(HistoryError, match="another installation writes"):
        first.step()


@pytest.mark.parametrize("is_renamed", [False, True])
def test_a_file_that_is_deleted_or_renamed_is_left_for_a_new_one_and_the_log_says_so(
    parts: Parts,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    is_renamed: bool,
) -> None:
    recorder, second = parts.recorder(), parts.recorder()
    parts.submit("r")
    write_all(recorder)
    write_all(second)
    file = Path(parts.url.removeprefix("sqlite:///"))
    old = file.with_name("old.sqlite")

    def written(history: History, batch: Any) -> None:
        """Take the file away at the worst moment: after the commit, before the stream is cut."""
        monkeypatch.undo()
        history.write(batch)
        if is_renamed:
            file.rename(old)
        else:
            file.unlink()

    parts.installation.work_off("r")
    parts.submit("s")
    monkeypatch.setattr(History, "write", written)
    for writer in (recorder, second, recorder):
        write_all(writer)
    assert parts.left() == 0
    for run_id in ("r", "s"):
        assert parts.history.snapshot(run_id) == parts.engine.reading.snapshot(run_id)
    said = [
        record.message for record in caplog.records if "was deleted or replaced" in record.message
    ]
    assert len(said) == 2  # each coordinator once
    assert str(file) in said[0]


def test_a_reader_finds_the_file_that_took_the_place_of_another(
    parts: Parts, tmp_path: Path
) -> None:
    write_all(parts.recorder())
    epoch = parts.history.epoch()
    assert epoch
    other = History(f"sqlite:///{tmp_path}/other.sqlite")
    parts.made.append(other)
    other.open()
    other.set_epoch("other")
    other.close()
    (tmp_path / "other.sqlite").replace(tmp_path / "history.sqlite")
    for log in ("history.sqlite-wal", "history.sqlite-shm"):
        (tmp_path / log).unlink(missing_ok=True)
    assert parts.history.epoch() == "other"
