"""Going on with a corrected DAG: what is kept, what runs and why; on an in-memory Redis."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pydag_dist import Client, Dag
from pydag_dist.cli import pydag
from pydag_dist.coordinator.planner import plan
from pydag_dist.errors import EngineError
from pydag_dist.history.batch import batch_of, runs_in

CALL = {"operator": "python.call", "params": {"callable": "etl:step"}}
LIST = {"expand": {"over": "tasks.a.result"}}


def dag(*tasks, dag_id="nightly", **fields):
    """A DAG of (task id, upstream tasks, other fields)."""
    return Dag.parse(
        {
            "dag_id": dag_id,
            **fields,
            "tasks": [
                {"task_id": name, **CALL, "dependencies": upstream.split(), **(more or [{}])[0]}
                for name, upstream, *more in tasks
            ],
        }
    )


def calls(name, **more):
    return {"params": {"callable": f"etl:{name}", **more}}


OLD = dag(("a", ""), ("b", "a"), ("c", "b"), ("beside", "a"), ("old", "a"))


class Ends:
    """A run of a DAG; each round goes to its end, and the tasks that run in it are seen."""

    def __init__(self, installation, first):
        self.installation = installation
        self.engine = installation.engine
        self.run = Client("redis://broker.example:6379/0").submit(first)

    def go(self, *failing):
        """What runs in this round: task -> try."""
        self.engine.working.renew(self.installation.worker, 1000, [self.installation.queue])
        assert plan(
            self.engine, self.run.id, Dag.parse(self.engine.reading.submitted_dag(self.run.id))
        )
        ran = {}
        while self.engine.reading.run_state(self.run.id) == "running":
            held = self.installation.claim()
            ran[held.task] = held.try_number
            bad = held.task in failing
            self.installation.end(held, "failed" if bad else "success", error="no" if bad else "")
        return ran


@pytest.fixture
def ends(installation):
    def make(first, *failing):
        made = Ends(installation, first)
        made.go(*failing)
        return made

    return make


def test_what_is_unchanged_with_all_upstream_of_it_is_kept(ends):
    run = ends(OLD, "c")
    new = dag(("a", ""), ("b", "a", calls("other")), ("c", "b"), ("beside", "a"), ("new", "beside"))

    found = run.run.resumption(dag=new)
    assert dict(found.again) == {"b": "changed: params", "c": "failed", "new": "new"}
    assert (found.kept, found.removed) == (2, ["old"])
    run.run.resume(dag=new)
    assert run.go() == {"b": 2, "c": 2, "new": 1}
    assert {name: task.state for name, task in run.run.tasks.items()} == dict.fromkeys(
        new.tasks, "success"
    )


@pytest.mark.parametrize(
    ("new", "changed"),
    [
        (
            dag(("a", ""), ("b", "a", {"operator": "branch"}), ("c", "b")),
            {"b": ["downstream tasks", "operator"]},
        ),
        (dag(("a", ""), ("b", ""), ("c", "b")), {"b": ["dependencies"]}),
        (
            dag(("a", ""), ("b", "a", {"trigger_rule": "always"}), ("c", "b")),
            {"b": ["trigger_rule"]},
        ),
        (dag(("a", ""), ("b", "a", LIST), ("c", "b")), {"a": ["expansion of b"], "b": ["expand"]}),
        (dag(("a", ""), ("b", "a", {"priority": 9, "retries": 3, "queue": "q"}), ("c", "b")), {}),
        (dag(("a", ""), ("b", "a"), ("c", "b"), description="new", processors=2), {}),
    ],
)
def test_a_definition_is_what_decides_what_a_task_does(ends, new, changed):
    run = ends(dag(("a", ""), ("b", "a"), ("c", "b")), "c")

    again = run.run.resumption(dag=new).again
    assert {name: why for name, why in again.items() if why.startswith("changed")} == {
        name: f"changed: {', '.join(fields)}" for name, fields in changed.items()
    }


def test_a_default_param_that_templates_name_is_part_of_the_definition(ends):
    uses = calls("step", args=["{{ params.day }}"])
    tasks = (("a", "", uses), ("b", ""), ("c", "a b"))
    run = ends(dag(*tasks, params={"day": 1, "other": 1}), "c")

    found = run.run.resumption(dag=dag(*tasks, params={"day": 2, "other": 2}))
    assert dict(found.again) == {"a": "changed: params.day", "c": "failed"}


def test_a_branch_with_another_task_to_choose_from_decides_anew(ends):
    branch = ("choose", "", {"operator": "branch"})
    run = ends(dag(branch, ("x", "choose")), "x")

    found = run.run.resumption(dag=dag(branch, ("x", "choose"), ("y", "choose")))
    assert found.again["choose"] == "changed: downstream tasks"


def test_a_task_that_comes_again_does_not_take_an_old_job_for_its_own(ends):
    run = ends(OLD, "c")
    without = dag(("a", ""), ("b", "a"), ("c", "b"), ("beside", "a"))
    run.run.resume(dag=without)
    assert run.go("c") == {"c": 2}
    run.run.resume(dag=OLD)
    assert run.go("c") == {"old": 2, "c": 3}
    listed = dag(("a", "", calls("other")), ("old", "a", LIST))
    run.run.resume(dag=listed)
    run.go()
    run.run.resume("a", dag=dag(("a", "", calls("third"))))
    assert run.go() == {"a": 3}
    assert run.engine.planning.outcomes(run.run.id)["t/old"] == "3"


def test_another_dag_and_nothing_to_do_are_refused_and_change_nothing(ends, connection):
    run = ends(OLD)
    before = connection.hgetall(run.engine.store.run_key(run.run.id))
    with pytest.raises(EngineError, match="is one of DAG nightly, and the file's dag_id is other"):
        run.run.resume(dag=dag(("a", ""), dag_id="other"))
    with pytest.raises(EngineError, match="nothing to do"):
        run.run.resume(dag=OLD)
    with pytest.raises(EngineError, match="has no task nobody"):
        run.run.resume("nobody", OLD)
    with pytest.raises(EngineError, match="resumed with another DAG meanwhile"):
        run.engine.steering.resume_with(
            run.run.id, "", "old hash", ["a"], "{}", **head(dag_id="nightly")
        )
    with pytest.raises(EngineError, match="is of another DAG"):
        run.engine.steering.resume_with(
            run.run.id, "", before["dag_hash"], ["a"], "{}", **head(dag_id="x")
        )
    assert connection.hgetall(run.engine.store.run_key(run.run.id)) == before


def head(**fields):
    return {"processors": 0, "weight": 1, "timeout": 0, "hooks": 0, **fields}


def test_a_round_that_never_began_leaves_what_was_changed(ends):
    run = ends(OLD, "c")
    new = dag(("a", "", calls("other")), ("b", "a"), ("c", "b"), ("beside", "a"), ("old", "a"))
    run.run.resume(dag=new)
    run.run.cancel()
    run.run.resume()
    assert set(run.go()) == set(OLD.tasks)
    with pytest.raises(EngineError, match="succeeded: name a task"):
        run.run.resume()


def test_history_knows_which_dag_each_round_used(ends, connection):
    run = ends(OLD, "c")
    new = dag(("a", "", calls("other")), ("b", "a"))
    run.run.resume("b", new)
    run.go()
    entries = connection.xrange("pydag:history")
    ids = runs_in(entries)
    heads = {name: run.engine.reading.run_head(name) for name in ids}
    batch = batch_of(entries, heads, {name: run.engine.reading.submitted_dag(name) for name in ids})
    texts = {row["hash"]: row["dag"] for row in batch.dags}
    assert [(texts[row["dag_hash"]], row["from_task"], row["changed"]) for row in batch.rounds] == [
        (OLD.to_json(), None, None),
        (new.to_json(), "b", "a"),
    ]
    waiting = next(row for row in batch.runs if row["event"] == batch.rounds[1]["event"])
    assert json.loads(waiting["head"])["changed"] == "a"
    assert "changed" not in json.loads(batch.runs[-1]["head"])


def test_a_resumed_runs_time_does_not_count_the_night_between(ends, connection):
    run = ends(OLD, "c")
    key = run.engine.store.run_key(run.run.id)
    now = float(run.run.snapshot().ended_at)
    connection.hset(key, mapping={"round_at": round((now - 30) * 1e6)})
    run.run.resume()
    run.go()
    snapshot = run.run.snapshot()
    assert 30 <= snapshot.spent < 31
    assert 30 <= snapshot.took(snapshot.ended_at) < 40


def test_the_command_says_what_will_run(ends, tmp_path):
    run = ends(OLD, "c")
    new = dag(("a", ""), ("b", "a", calls("other")), ("c", "b"), ("beside", "a"))
    file = tmp_path / "new.json"
    file.write_text(new.to_json())

    dry = CliRunner().invoke(pydag, ["resume", run.run.id, "--with", str(file), "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert [line.rstrip().split(maxsplit=1) for line in dry.stderr.splitlines()[:3]] == [
        ["runs", "again  why"],
        ["b", "changed: params"],
        ["c", "failed"],
    ]
    assert dry.stderr.splitlines()[3:] == ["2 of 4 tasks run, 2 are kept; gone: old"]
    assert run.run.state == "failed"
    done = CliRunner().invoke(pydag, ["resume", run.run.id, "--with", str(file)])
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", dry.stderr)
    assert run.go() == {"b": 2, "c": 2}


def test_a_task_that_was_left_out_and_comes_again_changed_runs_again(ends):
    run = ends(OLD, "c")
    run.run.resume(dag=dag(("a", ""), ("b", "a"), ("c", "b")))
    run.run.cancel()  # before it was planned, so that the records of all tasks are there again
    again = dag(("a", ""), ("b", "a"), ("c", "b"), ("old", "a", calls("other")))
    run.run.resume(dag=again)
    assert run.go() == {"old": 2, "c": 2}


def test_a_run_has_the_fields_of_its_new_dag(ends):
    run = ends(OLD, "c")
    new = dag(("a", ""), ("c", "a"), processors=3, weight=2, tags=["mended"], timeout=90)
    run.run.resume(dag=new)
    head = run.engine.reading.run_head(run.run.id)
    assert {name: head[name] for name in ("processors", "weight", "tags", "timeout")} == {
        "processors": "3",
        "weight": "2.0",
        "tags": '["mended"]',
        "timeout": "90.0",
    }
