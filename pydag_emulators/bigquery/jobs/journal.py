"""The journal: exactly one JSON line for every job that really ran.

Tests that a job runs exactly once read it. A line is written right after the job's commit. If a
crash comes between the two, the line is written at the next start, from `pydag.job_ends`.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from pydag_emulators.bigquery.jobs.job import Job


class Journal:
    """The file `journal.jsonl`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known = {_key(entry) for entry in self._repair()}
        self._file = path.open("a", encoding="utf-8")

    def write(self, job: Job) -> None:
        """Add the line of a job that has ended, unless it is there."""
        entry = _entry(job)
        with self._lock:
            if _key(entry) in self._known:
                return
            self._known.add(_key(entry))
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()

    def entries(self) -> list[dict[str, Any]]:
        """All lines, oldest first."""
        with self._lock:
            return _read(self._path)[0]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def _repair(self) -> list[dict[str, Any]]:
        """Cut off a line that a crash left unfinished."""
        entries, good = _read(self._path)
        if self._path.exists() and self._path.stat().st_size > good:
            with self._path.open("r+b") as file:
                file.truncate(good)
        return entries


def _read(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The complete lines, and how many bytes they are."""
    if not path.exists():
        return [], 0
    data = path.read_bytes()
    good = data.rfind(b"\n") + 1
    return [json.loads(line) for line in data[:good].splitlines()], good


def _key(entry: dict[str, Any]) -> tuple[str, str, str]:
    return entry["project"], entry["location"], entry["id"]


def _entry(job: Job) -> dict[str, Any]:
    """Times are seconds since 1970; `rows` are those returned, changed or loaded."""
    query = job.outcome.statistics.get("query", {})
    return {
        "id": job.key.job_id,
        "project": job.key.project,
        "location": job.key.location,
        "kind": job.kind,
        "statement_type": query.get("statementType"),
        "parent": job.parent,
        "started": (job.started or job.created) / 1000,
        "ended": (job.ended or 0) / 1000,
        "state": "failed" if job.error else "done",
        "error": job.error,
        "rows": job.outcome.rows,
    }
