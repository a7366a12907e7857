"""What people did to a run by hand is kept with it, and in the history."""

from __future__ import annotations

import pytest

from pydag_dist import Client, Dag
from pydag_dist.client.submitter import acting_for
from pydag_dist.dag import limits
from pydag_dist.engine.snapshot import acts_of
from pydag_dist.history import History, batch_of, runs_in


@pytest.fixture
def run(installation):
    with Dag("d") as dag:
        dag.task("a", "python.call", params={"callable": "m:f"})
    run = Client().submit(dag)
    installation.plan(run.id)
    return run


def told(acts):
    return [(act.act, act.by, act.task, act.state) for act in acts]


DONE = [
    ("cancel", "ana", None, None),
    ("mark", "bob@host", "a", "success"),
    ("resume", "ana", "a", None),
    ("cancel", "bob@host", None, None),
]


def test_who_did_what_is_shown_with_the_run_and_kept_in_the_history(run, installation, tmp_path):
    with acting_for("ana"):
        run.cancel()
        run.cancel()  # it is that already
    with acting_for("bob@host"):
        run.mark("a", "success")
    with acting_for("ana"):
        run.resume("a")
    with acting_for("bob@host"):
        run.cancel()
    assert told(run.snapshot().acts) == DONE
    assert run.snapshot().to_dict()["acts"][1] == {
        "at": run.snapshot().acts[1].at,
        "act": "mark",
        "by": "bob@host",
        "task": "a",
        "state": "success",
    }
    reading, store = installation.engine.reading, installation.engine.store
    entries = store.redis.xrange(store.key("history"))
    heads = {name: reading.run_head(name) for name in runs_in(entries)}
    dags = {name: reading.submitted_dag(name) for name in heads}
    history = History(f"sqlite:///{tmp_path}/h.sqlite")
    history.open()
    for _ in range(2):  # a writer that died does the same again
        history.write(batch_of(entries, heads, dags))
    assert history.snapshot(run.id).acts == run.snapshot().acts
    history.close()


def test_a_run_keeps_the_newest_only(run):
    for _ in range(limits.ACTS):
        run.cancel()
        run.resume()
    acts = run.snapshot().acts
    assert len(acts) == limits.ACTS
    assert acts[-1].act == "resume"


def test_what_nobody_did_is_no_act(run, installation):
    installation.engine.steering.cancel(run.id)
    assert run.snapshot().acts == []
    assert acts_of({"acts": "x cancel ana  |12|5 cancel ana  |"})[0].at == 5e-6
