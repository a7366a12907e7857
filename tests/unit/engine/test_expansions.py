"""When a task is expanded, what becomes of it if it can't be, and its result, by every way."""

from __future__ import annotations

import fakeredis
import pytest

from pydag_dist.engine import Held
from pydag_dist.engine.protocol import RECORD_FIELDS, pack_record
from tests.support.engine_bench import Bench, task

OVER = {"over": "tasks.list.result"}


@pytest.fixture
def bench():
    bench = Bench(fakeredis.FakeRedis(decode_responses=True))
    bench.slots(100)
    return bench


def take_all(bench):
    found = {}
    while bench.client.llen("p:q:python"):
        held = bench.take()
        found[held.task] = held
    return found


def states(bench):
    return {name: found.state for name, found in bench.engine.reading.snapshot("r").tasks.items()}


def result(bench, name):
    """The result, which is the same wherever it is read."""
    shown = bench.engine.reading.snapshot("r").tasks[name].result
    reader = Held("r", "reader", 1, "token")
    record = dict.fromkeys(RECORD_FIELDS, "") | {"state": "running", "token": reader.token}
    bench.client.hset("p:run:r:tasks", reader.task, pack_record(record))
    assert bench.engine.working.results(reader, [name]) == {name: shown}
    bench.client.hdel("p:run:r:tasks", reader.task)
    return shown


@pytest.mark.parametrize(
    ("outcome", "state"),
    [("failed", "upstream_failed"), ("skipped", "skipped"), ("revoked", "upstream_failed")],
)
@pytest.mark.parametrize("rule", ["all_done", "always", "one_done", "none_skipped"])
def test_without_a_list_there_is_no_expansion_whatever_the_rule(bench, outcome, state, rule):
    each = task("each", "list", "other", expand=OVER, trigger_rule=rule)
    bench.start(task("list"), task("other"), each)
    held = take_all(bench)
    bench.end(held["other"])
    assert states(bench)["each"] == "none"  # though its rule may be met
    bench.end(held["list"], outcome)
    by_rule = rule == "none_skipped" and outcome == "skipped"
    assert states(bench)["each"] == ("skipped" if by_rule else state)
    assert result(bench, "each") is None


@pytest.mark.parametrize("rule", ["always", "one_success", "one_done"])
def test_it_waits_for_its_list_and_for_no_other(bench, rule):
    each = task("each", "list", "other", expand=OVER, trigger_rule=rule)
    bench.start(task("list"), task("other"), each)
    held = take_all(bench)
    bench.end(held["list"], result="[1, 2]", expand={"each": 2})
    assert states(bench)["each"] == "expanding"


def test_the_result_is_null_if_there_never_were_children(bench):
    tasks = [task(n) for n in ("list", "bad")]
    after = [task("below", "list", "bad", expand=OVER), task("empty", "list", expand=OVER)]
    bench.start(*tasks, *after, task("literal", expand={"over": []}))
    held = take_all(bench)
    bench.end(held["list"], result="[1, 2]", expand={"below": 2, "empty": 0})
    bench.end(held["bad"], "failed")
    assert {n: states(bench)[n] for n in ("below", "empty", "literal")} == {
        "below": "upstream_failed",
        "empty": "skipped",
        "literal": "skipped",
    }
    assert [result(bench, name) for name in ("below", "empty", "literal")] == [None] * 3


def test_the_result_is_a_list_with_null_for_what_did_not_succeed(bench):
    bench.start(task("each", expand={"over": ["a", "b", "c"]}))
    held = take_all(bench)
    bench.end(held["each.0"], result='"A"')
    bench.end(held["each.1"], "skipped", error="no b")
    assert result(bench, "each") == ["A", None, None]
    bench.end(held["each.2"], "failed", error="no c")
    assert states(bench)["each"] == "failed"
    assert result(bench, "each") == ["A", None, None]
    tasks = bench.engine.reading.snapshot("r").tasks
    assert (tasks["each.1"].error, tasks["each"].children) == ("no b", 3)


def test_a_run_that_is_cancelled_before_leaves_no_result(bench):
    bench.start(task("list"), task("each", "list", expand=OVER))
    held = take_all(bench)
    bench.engine.steering.cancel("r")
    bench.end(held["list"], result="[1]", expand={"each": 1})
    assert states(bench)["each"] == "cancelled"
    assert result(bench, "each") is None


def test_a_failure_that_is_final_leaves_retries_unused_and_says_so(bench):
    bench.start(task("a", retries=3), task("b"), task("c", retries=1, retry_delay=0.001))
    held = take_all(bench)
    for name in "abc":
        bench.end(held[name], "failed" if name == "c" else "final", error="no such table")
    tasks = bench.engine.reading.snapshot("r").tasks
    assert [(tasks[n].state, tasks[n].try_number, tasks[n].error) for n in "abc"] == [
        ("failed", 1, "not repeated: no such table"),
        ("failed", 1, "no such table"),  # it had no retries
        ("up_for_retry", 1, "no such table"),
    ]


@pytest.mark.parametrize("rule", ["all_success", "none_failed", "one_success", "one_failed"])
@pytest.mark.parametrize("other", ["success", "failed"])
def test_a_branch_skips_what_it_does_not_follow_whoever_ends_first(bench, rule, other):
    for run, branch_first in (("r", True), ("s", False)):
        below = task("below", "branch", "other", trigger_rule=rule)
        bench.start(task("branch", operator="branch"), task("other"), below, run=run)
        held = take_all(bench)
        steps = [
            lambda held=held: bench.end(held["branch"], skips=["below"]),
            lambda held=held: bench.end(held["other"], other),
        ]
        for step in steps if branch_first else reversed(steps):
            step()
        assert bench.engine.reading.snapshot(run).tasks["below"].state == "skipped"


def test_what_a_branch_follows_goes_by_its_rule_once_the_branch_has_ended(bench):
    rules = ("all_success", "one_failed", "always")
    below = [task(rule, "branch", "bad", trigger_rule=rule) for rule in rules]
    bench.start(task("branch", operator="branch"), task("bad"), *below)
    held = take_all(bench)
    assert "always" in held
    bench.end(held["bad"], "failed")
    assert [states(bench)[rule] for rule in rules[:2]] == ["none", "none"]
    bench.end(held["branch"], skips=[])
    assert [states(bench)[rule] for rule in rules[:2]] == ["upstream_failed", "queued"]
