"""Tasks that somebody marks: while their run goes on, and after its end; on an in-memory Redis."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pydag_dist.cli import pydag
from pydag_dist.client.submitter import user_at_host
from pydag_dist.errors import EngineError, PydagError
from tests.unit.client.test_resume_with import LIST, Ends, dag

CHAIN = dag(("a", ""), ("b", "a"), ("c", "b"))


class Marked(Ends):
    """The first round is driven by hand."""

    def __init__(self, installation, first):
        super().__init__(installation, first)
        installation.plan(self.run.id)

    def states(self):
        return {name: task.state for name, task in self.run.tasks.items()}

    def why(self, task):
        return self.run.why(task)


@pytest.fixture
def start(installation):
    def make(first):
        return Marked(installation, first)

    return make


def test_a_task_that_waits_ends_at_once_and_its_downstream_is_decided(start, installation):
    run = start(dag(("a", ""), ("b", "a"), ("c", "b"), ("d", "b", {"trigger_rule": "all_failed"})))
    run.run.mark("b", "success", {"rows": 3})
    assert run.states() == {"a": "queued", "b": "success", "c": "queued", "d": "skipped"}
    assert run.run.tasks["b"].result == {"rows": 3}
    assert run.why("b").startswith(f"b was marked success by {user_at_host()} at ")
    run.run.mark("a", "skipped")
    run.run.mark("c", "failed")
    assert run.states() == {"a": "skipped", "b": "success", "c": "failed", "d": "skipped"}
    assert run.run.state == "failed"


def test_a_task_that_runs_is_stopped_first_and_its_outcome_does_not_count(start, installation):
    run = start(CHAIN)
    held = installation.claim()
    run.run.mark("a", "success")
    assert run.states()["a"] == "cancelling"
    assert "because it was marked success" in run.why("a")
    [answer] = run.engine.working.renew(installation.worker, 1, [installation.queue], [held])
    assert answer == "cancel"
    assert run.engine.working.release(held, "failed", error="it says") == "ok"
    assert run.states() == {"a": "success", "b": "queued", "c": "none"}
    assert run.run.tasks["a"].error is None
    assert run.engine.working.release(held, "success", result="1") == "ended"
    assert run.run.tasks["a"].result is None


def test_a_mark_replaces_the_next_try(start, installation):
    run = start(dag(("a", "", {"retries": 3}), ("b", "a")))
    installation.end(installation.claim(), "failed", error="no such table")
    assert run.states()["a"] == "up_for_retry"
    run.run.mark("a", "success")
    assert run.states() == {"a": "success", "b": "queued"}
    assert not run.engine.store.redis.zrange(run.engine.store.key("timers"), 0, -1)
    assert run.run.tasks["a"].error is None


def test_a_resume_goes_on_from_a_mark(start, installation):
    run = start(dag(("a", ""), ("b", "a"), ("alarm", "a", {"trigger_rule": "all_done"})))
    installation.end(installation.claim(), "failed")
    installation.end(installation.claim())
    assert run.states() == {"a": "failed", "b": "upstream_failed", "alarm": "success"}
    run.run.mark("a", "success")
    assert dict(run.run.resumption().again) == {
        "b": "downstream of a",
        "alarm": "downstream of a",
    }
    run.run.resume()
    assert run.go() == {"b": 1, "alarm": 2}
    assert run.run.state == "success"


def test_a_success_that_was_none_runs_again(start, installation):
    run = start(CHAIN)
    while run.run.state == "running":
        installation.end(installation.claim())
    run.run.mark("b", "failed")
    run.run.resume()
    assert run.go() == {"b": 2, "c": 2}


def test_of_an_expanded_task_children_are_marked(start, installation, connection):
    run = start(dag(("a", ""), ("each", "a", LIST), ("end", "each")))
    with pytest.raises(PydagError, match="task each becomes one task for each item"):
        run.run.mark("a", "success")
    run.run.mark("a", "success", [1, 2])
    with pytest.raises(EngineError, match=r"mark those of them that want it, such as TASK\.0"):
        run.run.mark("each", "success")
    run.run.mark("each.1", "failed")
    for held in [installation.claim() for _ in range(3)]:
        if held.task == "each.0":
            installation.end(held)
    assert run.run.state == "failed"
    with pytest.raises(EngineError, match="it has become many tasks"):
        run.run.mark("each", "success")
    # A run that Redis had lost may have some of its children only.
    records = run.engine.store.run_key(run.run.id, "tasks")
    kept = connection.hget(records, "each.0")
    connection.hdel(records, "each.0")
    with pytest.raises(EngineError, match="it has become many tasks"):
        run.run.mark("each", "success")
    connection.hset(records, "each.0", kept)
    run.run.mark("each.1", "success", 7)
    run.run.resume()
    assert run.go() == {"end": 1}
    assert (run.run.state, run.run.tasks["each"].result) == ("success", [None, 7])


def test_what_makes_no_sense_is_refused_in_a_sentence(start, installation):
    run = start(CHAIN)
    installation.end(installation.claim())
    for task, state, result, message in (
        ("a", "failed", None, r"a of run .* can't be marked: it has ended as success, and what is"),
        ("x", "failed", None, "can't be marked: the run has no such task"),
        ("b", "cancelled", None, "marked success, skipped or failed, not cancelled"),
        ("b", "skipped", 1, "only a task that is marked success has a result"),
        ("b", "success", {"a": {1}}, "result.a"),
        ("b", "success", "x" * 70_000, "70,002 bytes as JSON, and may have 65,536"),
    ):
        with pytest.raises(PydagError, match=message):
            run.run.mark(task, state, result)
    assert run.states() == {"a": "success", "b": "queued", "c": "none"}


def test_marks_are_in_the_history(start, connection):
    run = start(CHAIN)
    run.run.mark("b", "success", 1)
    [event] = [
        e
        for _, e in connection.xrange("pydag:history")
        if (e["kind"], e.get("task")) == ("task", "b")
    ]
    assert (event["state"], event["reason"], event["worker"], event["result"]) == (
        "success",
        "marked",
        user_at_host(),
        "1",
    )


def test_keys_that_expire_still_do_after_a_mark(start, connection):
    run = start(CHAIN)
    run.run.cancel()
    assert run.engine.planning.let_expire(run.run.id)
    run.run.mark("a", "success", 1)
    assert connection.ttl(run.engine.store.run_key(run.run.id, "out")) > 0


def test_the_command(start):
    run = start(CHAIN)
    done = CliRunner().invoke(pydag, ["mark", run.run.id, "a", "success", "--result", "[1]"])
    assert (done.exit_code, done.output) == (0, "")
    assert json.dumps(run.run.tasks["a"].result) == "[1]"
    wrong = CliRunner().invoke(pydag, ["mark", run.run.id, "b", "success", "--result", "{"])
    assert wrong.exit_code == 2
    assert wrong.output.startswith("Error: --result: is not JSON")
