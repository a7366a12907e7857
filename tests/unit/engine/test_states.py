"""States and their transitions: the table, what checks it, and the page that is drawn from it."""

from __future__ import annotations

from typing import Any, get_args

import fakeredis
import pytest

from pydag_dist.engine import ENDED_RUN_STATES, ENDED_TASK_STATES
from pydag_dist.engine.protocol import RunState, TaskState, pack_record, unpack_record
from tests.support.engine_bench import Bench, task
from tests.support.states import ANY, PAGE, page, transitions

STATES = {"task": set(get_args(TaskState)), "run": set(get_args(RunState))}
FIRST = {"task": {"none"}, "run": {"queued"}}
ENDED = {"task": ENDED_TASK_STATES, "run": ENDED_RUN_STATES}


def test_the_page_is_drawn_from_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text), "run `python -m tests.support.states`"


@pytest.mark.parametrize("of", ["task", "run"])
def test_the_table_has_all_states_and_no_others(of: str) -> None:
    found = transitions(of)
    before, after = {t.before for t in found} - {ANY}, {t.after for t in found}
    assert before | after == STATES[of]
    assert after >= STATES[of] - FIRST[of]
    # What has ended stays so; but a run can be resumed.
    assert before == STATES[of] - (ENDED[of] if of == "task" else set())


@pytest.fixture
def bench() -> Bench:
    client: Any = fakeredis.FakeRedis(decode_responses=True)
    client.info = lambda *_: {"run_id": "fake"}  # fakeredis has no INFO
    bench = Bench(client)
    bench.slots(2)
    return bench


def test_a_transition_that_the_table_lacks_is_an_error_that_names_it(bench: Bench) -> None:
    bench.start(task("a"))
    key = "p:run:r:tasks"
    record = unpack_record(bench.client.hget(key, "a"))
    assert record["state"] == "queued"
    # `ready` as its record was damaged: what a top-up finds is a task that has ended.
    bench.client.hset(key, "a", pack_record(record | {"state": "success"}))
    bench.client.zadd("p:queued", {"r/a": 1})
    bench.client.hset(key, "b", pack_record(record | {"state": "skipped"}))
    bench.client.zadd("p:run:r:ready", {"python/000000/b": 0})
    bench.slots(4)
    bench.engine.store.call("work", "r")
    head = bench.client.hgetall("p:run:r")
    assert head["state"] == "failed"
    assert head["reason"] == "broken"
    assert "task b of run r must not go from skipped to queued" in head["error"]
    assert unpack_record(bench.client.hget(key, "b"))["state"] == "skipped"
