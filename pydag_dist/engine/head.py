"""What a run is, without its tasks: its head, and a run in a list of runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


def seconds(microseconds: str | None) -> float | None:
    """Epoch seconds of the engine's microseconds; None for an empty or missing time."""
    return int(microseconds) / 1e6 if microseconds else None


def microseconds(seconds: float | None) -> str:
    """Epoch seconds as the engine keeps them: microseconds, empty for none."""
    return "" if seconds is None else str(round(seconds * 1e6))


@dataclass(frozen=True, kw_only=True)
class RunHead:
    """What a run is, without its tasks.

    `round_at` is when it was planned last, after it was submitted or resumed; the rounds before
    that one took `spent` seconds. `rounds` is 1, and one more each time that it was resumed.
    `logical_date` is ISO 8601 in UTC, None if the run was given none. Of a run of a published
    DAG `version` is which version, and `run_type` is scheduled, backfill, manual or triggered. Of a
    backfill's run `backfill` is the one that it belongs to; a triggered one was started by
    `parent_task` of `parent_run`, which waits for it. `expected_at` is by when it should end, as
    its DAG's `expected_within` says.
    """

    run_id: str
    dag_id: str
    state: str
    submitted_at: float | None
    started_at: float | None
    ended_at: float | None
    round_at: float | None = None
    spent: float = 0
    rounds: int = 1
    submitted_by: str | None = None
    logical_date: str | None = None
    run_type: str | None = None
    version: int | None = None
    backfill: str | None = None
    parent_run: str | None = None
    parent_task: str | None = None
    expected_at: float | None = None

    def is_late(self, now: float) -> bool:
        """Whether it ended later than expected, or should have ended before `now`."""
        return self.expected_at is not None and (self.ended_at or now) > self.expected_at

    def took(self, now: float) -> float | None:
        """Seconds that the run was at work until `now`: not those between its end and a resume.

        None before it was planned.
        """
        since = self.round_at
        if since is None and self.rounds == 1:
            since = self.started_at
        if since is None:
            return self.spent or None
        return self.spent + max(0.0, (self.ended_at or now) - since)


@dataclass(frozen=True, kw_only=True)
class RunSummary(RunHead):
    """A run in a list of runs; `counts` has the keys total, ended, active and failed."""

    counts: dict[str, int]


def work_of(head: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a `RunHead` about who submitted it, for when, and its rounds."""
    return {
        "submitted_by": head.get("submitted_by") or None,
        "rounds": int(head.get("rounds", 1)),
        "round_at": seconds(head.get("round_at")),
        "spent": int(head.get("spent", 0)) / 1e6,
        "logical_date": head.get("logical_date") or None,
        "run_type": head.get("run_type") or None,
        "version": int(head["version"]) if head.get("version") else None,
        "backfill": head.get("backfill") or None,
        "parent_run": head.get("parent_run") or None,
        "parent_task": head.get("parent_task") or None,
        "expected_at": seconds(head.get("expected_at")),
    }


def head_fields(run_id: str, head: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a `RunHead` from a run's hash."""
    times = ("submitted_at", "started_at", "ended_at")
    return {
        "run_id": run_id,
        "dag_id": head["dag_id"],
        "state": head["state"],
        **{time: seconds(head.get(time)) for time in times},
        **work_of(head),
    }


def parse_summary(run_id: str, head: Mapping[str, str], active: int) -> RunSummary:
    """A run's summary from its hash and the size of its active set."""
    total, left = int(head.get("total", 0)), int(head.get("left", 0))
    counts = {
        "total": total,
        "ended": total - left,
        "active": active,
        "failed": int(head.get("failures", 0)),
    }
    return RunSummary(**head_fields(run_id, head), counts=counts)
