"""Fills a new database with the runs that Redis has."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Final

from pydag_dist.engine import ENDED_TASK_STATES, Reading
from pydag_dist.engine.backfills.backfilling import Backfilling
from pydag_dist.engine.protocol import OUT, split_out, unpack_record
from pydag_dist.engine.published import to_micro
from pydag_dist.engine.roles.publishing import Publishing
from pydag_dist.engine.store import flat
from pydag_dist.errors import UnknownRun
from pydag_dist.history import Entry, History, batch_of

# Older than any event of the stream: what happens from now on overwrites it.
_EVENT: Final = "0-1"
_WRITTEN: Final = ENDED_TASK_STATES | {"up_for_retry", "expanding"}


def copy_runs(reading: Reading, history: History) -> None:
    """Write every run that Redis has, as if the history had been there from the beginning."""
    store = reading.store
    for run_id in store.redis.zrange(store.key("runs"), 0, -1):
        with contextlib.suppress(UnknownRun):  # it is past its retention
            head, dag = reading.run_head(run_id), reading.submitted_dag(run_id)
            records = store.redis.hgetall(store.run_key(run_id, "tasks"))
            kept = store.redis.hgetall(store.run_key(run_id, "kept"))  # if it was just resumed
            out = store.redis.hgetall(store.run_key(run_id, "out"))
            entries = [_run(run_id, head), *_tasks(run_id, records or kept, out)]
            history.write(batch_of(entries, {run_id: head}, {run_id: dag}))


def copy_dags(publishing: Publishing, history: History) -> None:
    """Write every published DAG, with the versions that Redis still has."""
    for dag in publishing.dags():
        head = {"dag_id": dag.dag_id, "source": dag.source, "due": to_micro(dag.due)}
        head |= {"schedule": json.dumps(dag.schedule) if dag.schedule else ""}
        head |= {"settled": to_micro(dag.settled), "max_active": str(dag.max_active)}
        head["run_fields"] = json.dumps(flat(publishing.run_fields(dag.dag_id)))
        entries: list[Entry] = [
            (
                f"0-{version.number}",
                {"kind": "published", "at": to_micro(version.at), "by": version.by, **head}
                | {"version": str(version.number), "dag": version.text},
            )
            for version in reversed(publishing.versions(dag.dag_id))
        ]
        if dag.paused_at:
            event = {"kind": "paused", "at": to_micro(dag.paused_at), "by": dag.paused_by}
            entries.append((f"0-{dag.version + 1}", {**event, "dag_id": dag.dag_id}))
        history.write(batch_of(entries, {}, {}))


def copy_backfills(backfilling: Backfilling, history: History) -> None:
    """Write every backfill that has not ended."""
    for seen in backfilling.backfills():
        if seen.is_open:
            told = {"kind": "backfill", "backfill": seen.backfill_id, "dag_id": seen.dag_id}
            told |= {"change": seen.state, "at": to_micro(seen.changed_at), "by": seen.changed_by}
            told["fields"] = json.dumps(flat(backfilling.fields(seen.backfill_id)))
            history.write(batch_of([(_EVENT, told)], {}, {}))


def _run(run_id: str, head: Mapping[str, str]) -> Entry:
    fields = {name: head.get(name, "") for name in ("state", "reason", "error")}
    return _EVENT, {"kind": "run", "run": run_id, "at": head.get("ended_at", ""), **fields}


def _tasks(run_id: str, records: Mapping[str, str], out: Mapping[str, str]) -> Iterator[Entry]:
    # The history has them in the row of the task whose list they are of; for the run as a whole
    # it does not matter which row that is, so the first one gets all of them.
    expansions = " ".join(f"{task} {number}" for task, number in split_out(out, "number").items())
    for task, packed in records.items():
        record = unpack_record(packed)
        written = record["state"] in _WRITTEN
        if not written and record["try"] == "1":
            continue
        fields = {"kind": "task", "run": run_id, "task": task, "state": "none", "at": ""}
        if written:
            fields |= record  # whose `skips` is a number of tasks
            fields |= {name: out.get(OUT[name] + task, "") for name in ("result", "error", "skips")}
            fields["expansions"], expansions = expansions, ""
        yield _EVENT, {**fields, "try": record["try"]}
