"""Runs in the form in which both answers and live streams tell them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from pydantic_core import to_json

from pydag_dist.engine import ENDED_RUN_STATES, RunSummary, TaskSnapshot
from pydag_dist.engine.head import RunHead, head_fields
from pydag_dist.engine.protocol import ENQUEUED, SOURCES
from pydag_dist.engine.roles.watching import RunTotals
from pydag_dist.engine.snapshot import acts_of
from pydag_dist.errors import UnknownRun
from pydag_dist.web.site import Site


def run_item(here: Site, run: RunSummary, now: float, until: float = 0.0) -> dict[str, Any]:
    """A run in a list. What an ended one was billed is counted once, before `until` only.

    That is a time of `time.monotonic`: so a list of big runs has all its costs a bit later.
    """
    key, billed = f"{run.run_id} {run.rounds} {run.ended_at}", None
    if run.ended_at is not None:
        kept = here.billed.get(key)
        if kept is None and time.monotonic() < until:
            kept = here.billed.put(key, len(key), (run_view(here, run.run_id)["bytes_billed"],))
        billed = kept[0] if kept else None
    return {**run.__dict__, "took": run.took(now), "bytes_billed": billed}


def task_item(task: TaskSnapshot) -> dict[str, Any]:
    """A task with what it made: see `models.runs`."""
    return {**vars(task), "bytes_billed": task.bytes_billed, "cached_from": task.cached_from}


def run_view(here: Site, run_id: str) -> dict[str, Any]:
    """A run: see `models.runs`."""
    try:
        found = _totals_of(here, run_id)
    except UnknownRun:
        history = here.history
        past, row = (history.snapshot(run_id), history.head(run_id)) if history else (None, None)
        if past is None or row is None:
            raise
        told = {k: v for k, v in past.__dict__.items() if k not in {"tasks", "acts"}}
        head = {**json.loads(row.head), "dag_hash": row.dag_hash}
        return {
            **told,
            "took": past.took(time.time()),
            "place": "history",
            "acts": [vars(act) for act in past.acts],
            **_totals(head, past.counts, past.bytes_billed),
        }
    fields = head_fields(run_id, found.head)
    return {
        **fields,
        "error": found.head.get("error"),
        "reason": found.head.get("reason"),
        "acts": [vars(act) for act in acts_of(found.head)],
        "enqueued": {name: int(found.head.get(f"{ENQUEUED}{name}", 0)) for name in SOURCES},
        "took": RunHead(**fields).took(time.time()),
        "place": "redis",
        **_totals(found.head, found.counts, found.bytes_billed),
    }


def _totals_of(here: Site, run_id: str) -> RunTotals:
    """What Redis has of it; the results of an ended run are read once, since pages ask often."""
    head = here.engine.reading.run_head(run_id)
    if head["state"] not in ENDED_RUN_STATES:
        return here.engine.watching.totals(run_id)
    packed = to_json(head)
    key = f"{run_id} {sha256(packed).hexdigest()}"  # whatever is done to it is in its head
    found = here.ended.get(key)
    if found is None:
        found = here.engine.watching.totals(run_id)
        if found.head == head:
            here.ended.put(key, len(packed), found)
    return found


def _totals(
    head: Mapping[str, str], counts: Mapping[str, int], bytes_billed: int | None
) -> dict[str, Any]:
    return {
        "total": sum(counts.values()),
        "counts": counts,
        "bytes_billed": bytes_billed,
        "params": json.loads(head.get("params") or "{}"),
        "tags": json.loads(head.get("tags") or "[]"),
        "dag_hash": head.get("dag_hash", ""),
    }
