"""Runs in the form in which both answers and live streams tell them."""

from __future__ import annotations

import json
import time
from typing import Any

from pydag_dist.engine import RunSnapshot, RunSummary
from pydag_dist.errors import UnknownRun
from pydag_dist.web.site import Site


def run_item(run: RunSummary, now: float) -> dict[str, Any]:
    """A run in a list."""
    return {**run.__dict__, "took": run.took(now)}


def run_view(here: Site, run_id: str) -> dict[str, Any]:
    """A run: see `models.Run`."""
    place = "redis"
    try:
        found: RunSnapshot = here.engine.reading.snapshot(run_id)
        head = here.engine.reading.run_head(run_id)
    except UnknownRun:
        history = here.history
        past, row = (history.snapshot(run_id), history.head(run_id)) if history else (None, None)
        if past is None or row is None:
            raise
        place, found = "history", past
        head = {**json.loads(row.head), "dag_hash": row.dag_hash}
    told = {k: v for k, v in found.__dict__.items() if k != "tasks"}
    return {
        **told,
        "took": found.took(time.time()),
        "place": place,
        "total": len(found.tasks),
        "counts": found.counts,
        "bytes_billed": found.bytes_billed,
        "params": json.loads(head.get("params") or "{}"),
        "tags": json.loads(head.get("tags") or "[]"),
        "dag_hash": head.get("dag_hash", ""),
    }
