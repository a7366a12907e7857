"""The events that docs/events.md promises are those that there are, with the same fields."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

from pydag_dist import Client
from pydag_dist.engine import Deferral
from pydag_dist.engine.published import Move
from tests.unit.client.test_resume_with import LIST, Ends, calls, dag

ROOT = Path(__file__).parents[3]
# Redis was lost: only the recorder writes it, which tests/integration/test_recorder.py holds to it.
FLOOR = ("history", "floor")


def documented():
    """(stream, kind) -> its fields, as the page's tables have them."""
    page = (ROOT / "docs/events.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE)
    return {(stream, kind): set(re.findall(r"`(\w+)`", fields)) for stream, kind, fields in rows}


def written(installation, run_ids):
    """(stream, kind) -> the fields of all entries that are there."""
    found = defaultdict(set)
    streams = {"history": installation.engine.store.key("history")} | {
        run_id: installation.engine.store.run_key(run_id, "events") for run_id in run_ids
    }
    for name, key in streams.items():
        for _, entry in installation.connection.xrange(key):
            stream = name if name == "history" else "run:ID:events"
            found[stream, entry["kind"]] |= entry.keys() - {"kind"}
    return dict(found)


def test_events_and_their_fields_are_those_of_the_page(installation):
    old = dag(("a", ""), ("b", "a", LIST), ("c", ""))
    run = Ends(installation, old)
    installation.plan(run.run.id)
    held = {task.task: task for task in (installation.claim(), installation.claim())}
    assert installation.engine.working.defer(held["a"], Deferral("g", 60, "{}")) == "ok"
    installation.end(held["c"], "failed", error="no")
    run.run.cancel()
    run.run.resume(from_task="c", dag=dag(("a", ""), ("c", "", calls("new"))))

    other = Client("redis://broker.example:6379/0").submit(old)
    installation.plan(other.id)
    for outcome, result in (("success", "[1]"), ("skipped", "")):
        installation.end(installation.claim(), outcome, result)

    publish_and_pause(installation.engine.publishing, old)
    begin_backfill(installation.engine)

    promised = documented()
    assert promised.pop(FLOOR) == set()
    assert written(installation, [run.run.id, other.id]) == promised


def publish_and_pause(publishing, dag):
    first, now = publishing.dag(dag.dag_id), publishing.now()
    head = {"dag_id": dag.dag_id, "retention": 60, "params": "{}"}
    head |= {"processors": 0, "weight": 1, "timeout": 0, "dag_hash": "x"}
    move = Move(now, 1, now - timedelta(1), now - timedelta(1))
    options = {"schedule": None, "max_active": 1, "source": "", "by": "ana"}
    assert publishing.publish(first, "{}", head, move, **options) == ("published", 1)
    options["source"] = "a.json"
    seen = publishing.dag(dag.dag_id)
    assert publishing.publish(seen, "{}", head, move, **options) == ("same", 1)
    assert publishing.pause(dag.dag_id, "ana") == "ok"
    assert publishing.unpause(publishing.dag(dag.dag_id), "ana", Move(now)) == "ok"
    assert publishing.unpublish(publishing.dag(dag.dag_id), "ana", Move(None)) == "ok"


def begin_backfill(engine):
    publishing = engine.publishing
    now = publishing.now()
    head = {"dag_id": "d", "retention": 60, "params": "{}"}
    head |= {"processors": 0, "weight": 1, "timeout": 0}
    options = {"schedule": {}, "max_active": 1, "source": "", "by": "ana"}
    publishing.publish(publishing.dag("d"), "{}", head, Move(None), **options)
    options = {"newest_first": False, "again": "none", "weight": 1, "max_active": 1, "by": "ana"}
    assert engine.backfilling.begin("b", publishing.dag("d"), [now], **options) == "made"


def test_every_kind_of_event_is_on_the_page():
    lua = "".join(file.read_text() for file in ROOT.glob("pydag_dist/engine/lua/**/*.lua"))
    kinds = set(re.findall(r"'kind', '(\w+)'", lua)) | {FLOOR[1]}
    assert kinds == {kind for _, kind in documented()}
