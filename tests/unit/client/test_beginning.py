"""A run that begins at a task: what runs, what counts as done, and whose results that has."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pydag_dist import Client
from pydag_dist.cli import pydag
from pydag_dist.client.resuming import taken_over
from pydag_dist.coordinator.planner import plan
from pydag_dist.coordinator.recording.restore import _FIELDS
from pydag_dist.engine import LostTask
from pydag_dist.errors import EngineError, PydagError, SubmittedOtherwise
from pydag_dist.history.batch import batch_of, runs_in
from pydag_dist.why import why_task
from tests.unit.client.test_resume_with import Ends, calls, dag

NAMES_A = calls("step", args=["{{ tasks.a.result.rows }}"])
DAG = dag(("a", ""), ("b", "a"), ("c", "b", NAMES_A), ("d", "c"), ("beside", "a"))
RESULT = {"rows": 7, "bytes_billed": 10}


class Begins(Ends):
    """A run that begins at a task."""

    def __init__(self, installation, of, from_task, **about):
        self.installation, self.engine = installation, installation.engine
        self.run = Client("redis://broker.example:6379/0").submit(of, from_task=from_task, **about)


@pytest.fixture
def whole(installation):
    """A run of the DAG in which all has succeeded."""
    made = Ends(installation, DAG)
    made.installation.engine.working.renew(installation.worker, 1000, [installation.queue])
    assert plan(made.engine, made.run.id, DAG)
    while made.engine.reading.run_state(made.run.id) == "running":
        held = installation.claim()
        installation.end(held, "success", result=json.dumps(RESULT))
    return made


def test_only_that_task_and_what_is_downstream_of_it_runs(installation, whole):
    run = Begins(installation, DAG, "c", logical_date="2026-01-31")
    assert run.go() == {"c": 1, "d": 1}
    tasks = run.run.tasks
    assert {name: task.state for name, task in tasks.items()} == dict.fromkeys(DAG.tasks, "success")
    assert tasks["a"].result == {"rows": 7, "bytes_billed": 0}  # the other run was billed
    assert tasks["b"].result is None  # nobody names it
    begun = (
        f"counts as succeeded, since its run begins at c; its result is that of run {whole.run.id}"
    )
    assert why_task(run.engine.reading, run.run.id, "a", DAG) == f"a {begun}"
    assert why_task(run.engine.reading, run.run.id, "b", DAG) == f"b {begun.partition(';')[0]}"
    assert run.run.snapshot().logical_date.startswith("2026-01-31")


def test_the_history_knows_what_was_taken_over(installation, whole):
    run = Begins(installation, DAG, "c")
    run.go()
    entries = [
        e for e in run.engine.store.redis.xrange("pydag:history") if e[1]["run"] == run.run.id
    ]
    heads = {name: run.engine.reading.run_head(name) for name in runs_in(entries)}
    rows = batch_of(entries, heads, dict.fromkeys(heads, DAG.to_json())).tries
    told = {row["task_id"]: (row["state"], row["reason"], row["result"]) for row in rows}
    assert set(told) == set(DAG.tasks)
    assert told["a"] == ("success", "taken", '{"rows": 7, "bytes_billed": 0}')
    assert told["beside"][:2] == ("success", "taken")
    assert [row["started_at"] for row in rows if row["task_id"] == "a"] == [None]


def test_what_failed_runs_again_and_nothing_else(installation, whole):
    run = Begins(installation, DAG, "c")
    assert run.go("c") == {"c": 1}
    run.run.resume()
    assert run.go() == {"c": 2, "d": 1}
    run.run.resume("b")
    assert run.go() == {"b": 1, "c": 3, "d": 2}


def test_the_newest_result_is_taken_and_what_is_missing_is_named(installation, whole):
    newer = Ends(installation, DAG)
    newer.go("a")  # its a has made nothing
    assert Begins(installation, DAG, "d").go() == {"d": 1}  # nothing is named
    assert Begins(installation, DAG, "c").run.tasks["a"].result["rows"] == 7
    other = dag(("a", ""), ("c", "a", NAMES_A), dag_id="other")
    with pytest.raises(PydagError, match=r"none of the last 20 runs of other has: a \(for c\)"):
        Begins(installation, other, "c")
    with pytest.raises(PydagError, match='no task "x" to begin at'):
        Begins(installation, DAG, "x")


def test_lists_of_other_runs_are_expanded_over(installation):
    of = dag(("a", ""), ("b", "a", {"expand": {"over": "tasks.a.result"}}), ("c", "b"))
    first = Ends(installation, of)
    first.engine.working.renew(installation.worker, 1000, [installation.queue])
    assert plan(first.engine, first.run.id, of)
    held = installation.claim()
    assert first.engine.working.release(held, "success", "[1, 2]", expand={"b": 2}) == "ok"
    first.run.cancel()
    installation.connection.delete("pydag:q:python")
    run = Begins(installation, of, "b")
    assert run.go() == {"b.0": 1, "b.1": 1, "c": 1}
    over = dag(("a", ""), ("b", "a", {"expand": {"over": [1]}}), ("c", "b", {
        "params": {"callable": "m:f", "args": ["{{ tasks.b.result }}"]}}))  # fmt: skip
    with pytest.raises(PydagError, match="b: becomes one task for each item"):
        Begins(installation, over, "c")


def test_a_setup_runs_for_what_is_between_it_and_its_teardown(installation):
    of = dag(("up", ""), ("work", "up"), ("down", "work", {"teardown_of": "up"}), ("no", "up"))
    assert set(Begins(installation, of, "work").go()) == {"up", "work", "down"}


def test_the_same_is_submitted_once(installation, whole):
    client = Client("redis://broker.example:6379/0")
    first = client.submit(DAG, run_id="r", from_task="c")
    assert (first.is_new, client.submit(DAG, run_id="r", from_task="c").is_new) == (True, False)
    with pytest.raises(SubmittedOtherwise, match="another from_task"):
        client.submit(DAG, run_id="r")


def test_what_was_cancelled_before_it_was_planned_begins_there_later(installation, whole):
    run = Begins(installation, DAG, "c")
    assert run.run.cancel() == "cancelled"
    run.run.resume()
    assert run.go() == {"c": 1, "d": 1}


def test_nothing_runs_of_which_nobody_knows_whether_it_should(installation, whole):
    run = Begins(installation, DAG, "c")
    run.engine.store.redis.delete(f"pydag:run:{run.run.id}:kept")
    with pytest.raises(EngineError, match="submit it again"):
        plan(run.engine, run.run.id, DAG)


def test_what_a_client_has_begun_to_take_over_is_forgotten_in_time(installation, whole, connection):
    client = Client("redis://broker.example:6379/0")
    taken = taken_over(DAG, "c", lambda: [whole.run.snapshot()])
    assert installation.engine.planning.restore("r", taken)  # and it dies
    for part in ("kept", "out"):  # by the server's clock, which may be set right by hours meanwhile
        assert 80_000 < connection.ttl(f"pydag:run:r:{part}") <= 86_400
    client.submit(DAG, run_id="r", from_task="c")
    assert connection.ttl("pydag:run:r:kept") == connection.ttl("pydag:run:r:out") == -1


@pytest.mark.parametrize(
    ("from_task", "ran"), [("", {"a", "b", "beside", "c", "d"}), ("b", {"b", "c", "d"})]
)
def test_what_another_client_had_begun_to_take_over_counts_for_nothing(
    installation, whole, from_task, ran
):
    taken = taken_over(DAG, "d", lambda: [whole.run.snapshot()])
    assert installation.engine.planning.restore("r", taken)  # and it dies
    assert set(Begins(installation, DAG, from_task, run_id="r").go()) == ran


def test_what_redis_gets_back_of_a_run_stays_when_its_client_submits_it_again(installation, whole):
    """A coordinator gives it back while the client, which waits for the run, submits it anew."""
    planning, ended = installation.engine.planning, ("a", "b")
    assert planning.restore("r", [LostTask(name, "success", 1) for name in ended])
    run = Begins(installation, DAG, "", run_id="r")
    head = run.engine.reading.run_head("r")
    kept = {name: value for name, value in head.items() if name in _FIELDS}
    assert planning.restore_run("r", DAG.to_json(), kept, planned=True)
    assert set(run.go()) == {"beside", "c", "d"}


def test_nor_does_it_for_a_run_of_a_published_dag(installation, whole):
    taken = taken_over(DAG, "d", lambda: [whole.run.snapshot()])
    assert installation.engine.planning.restore("r", taken)
    client = Client("redis://broker.example:6379/0")
    client.published.publish(DAG)
    client.start(DAG.dag_id, run_id="r")
    assert plan(installation.engine, "r", DAG)
    states = {task.state for task in installation.engine.reading.snapshot("r").tasks.values()}
    assert "success" not in states


def test_in_a_terminal(installation, whole, tmp_path):
    file = tmp_path / "dag.json"
    file.write_text(DAG.to_json())
    done = CliRunner().invoke(pydag, ["submit", str(file), "--from", "c"])
    assert done.exit_code == 0, done.output
    assert installation.engine.reading.run_head(done.stdout.strip())["from"] == "c"
    done = CliRunner().invoke(pydag, ["submit", str(file), "--from", "nope"])
    assert 'has no task "nope" to begin at' in done.stderr
