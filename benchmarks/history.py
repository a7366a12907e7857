"""How long questions to a big history take: `python -m benchmarks.history --runs 100000`.

Fills an empty database with ended runs of 20 tasks each, and asks for lists, stats and pruning.
Told is the CPU time of this process: SQLite works in it, so beside it is what its statements take.
PostgreSQL's own CPU time is not in it; how long all took is.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from pydag_dist.engine import RunFilter
from pydag_dist.history import History
from pydag_dist.history.tables import dags, runs, tries

TASKS = 20
DAGS = 50
DAY = 86_400
START = 1_767_225_600.0
PAGE = 20_000


def run_rows(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        at = START + 365 * DAY * number / count
        name = f"dag-{number % DAGS}"
        yield {
            "run_id": f"{name}-{number:09}",
            "dag_id": name,
            "dag_hash": f"hash-{number % DAGS}",
            "state": "failed" if number % 20 == 0 else "success",
            "submitted_at": at,
            "started_at": at + 1,
            "ended_at": at + 60 + number % 100,
            "head": json.dumps({"dag_id": name, "total": str(TASKS)}),
            "event": number * 100,
            "planned": 1,
        }


def try_rows(count: int) -> Iterator[dict[str, Any]]:
    for run in run_rows(count):
        for task in range(TASKS):
            at = run["started_at"] + task
            yield {
                "run_id": run["run_id"],
                "task_id": f"t{task}",
                "try_number": 1,
                "state": "success",
                "ready_at": at,
                "started_at": at,
                "ended_at": at + 0.5 + task % 7,
                "worker": "worker-1@host",
                "result": '{"rows": 1, "bytes_billed": 10485760}' if task % 4 == 0 else None,
                "bytes_billed": 10_485_760 if task % 4 == 0 else None,
                "event": run["event"] + task,
            }


def fill(history: History, count: int) -> None:
    texts = [
        {
            "hash": f"hash-{number}",
            "dag_id": f"dag-{number}",
            "dag": json.dumps(
                {
                    "dag_id": f"dag-{number}",
                    "owner": f"owner-{number % 5}",
                    "tags": ["nightly"],
                    "tasks": [{"task_id": f"t{task}"} for task in range(TASKS)],
                }
            ),
        }
        for number in range(DAGS)
    ]
    with history._db.begin() as connection:  # noqa: SLF001
        connection.execute(sa.insert(dags), texts)
        for table, rows in ((runs, run_rows(count)), (tries, try_rows(count))):
            page = []
            for row in rows:
                page.append(row)
                if len(page) == PAGE:
                    connection.execute(sa.insert(table), page)
                    page = []
            if page:
                connection.execute(sa.insert(table), page)


class Database:
    """CPU seconds that statements take in SQLite and its driver."""

    def __init__(self, engine: sa.Engine) -> None:
        self.seconds = 0.0
        sa.event.listen(engine, "before_cursor_execute", self._begin)
        sa.event.listen(engine, "after_cursor_execute", self._end)

    def _begin(self, *_: Any) -> None:
        self._began = time.thread_time()

    def _end(self, *_: Any) -> None:
        self.seconds += time.thread_time() - self._began


def measure(name: str, database: Database, ask: Callable[[], object]) -> None:
    database.seconds, began, at = 0.0, time.process_time(), time.perf_counter()
    ask()
    whole, took = time.process_time() - began, time.perf_counter() - at
    rest = whole - database.seconds
    print(f"{name:34}{whole:9.2f}{database.seconds:12.2f}{rest:9.2f}{took:9.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--url", default="", help="an empty database; default: a new SQLite file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        url = options.url or f"sqlite:///{Path(directory) / 'history.sqlite'}"
        with History(url) as history:
            history.open()
            began = time.perf_counter()
            fill(history, options.runs)
            print(f"{options.runs:,} runs of {TASKS} tasks, {time.perf_counter() - began:.0f} s")
            database = Database(history._db)  # noqa: SLF001
            end = START + 366 * DAY
            month = end - 31 * DAY
            print(f"{'seconds':34}{'CPU':>9}{'statements':>12}{'rest':>9}{'took':>9}")
            measure("the newest 50 runs", database, lambda: history.runs(50))
            failed = RunFilter(states=["failed"])
            measure("50 failed ones", database, lambda: history.listing(50, failed))
            by_dag = history.run_stats
            measure("stats, a month", database, lambda: by_dag("dag", "", month, end))
            measure("stats, a year", database, lambda: by_dag("dag", "", 0, end))
            measure("stats by owner, a year", database, lambda: by_dag("owner", "", 0, end))
            measure("stats by month, a year", database, lambda: by_dag("month", "", 0, end))
            tasks = history.task_stats
            measure("tasks of a DAG, a year", database, lambda: tasks("dag-1", 0, end))
            backup = Path(directory) / "backup.sqlite"
            measure("backup", database, lambda: history.back_up(backup))
            old = START + 30 * DAY
            measure("prune a month", database, lambda: history.prune(old, lambda _: None))


if __name__ == "__main__":
    main()
