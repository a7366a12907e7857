"""What a backfill of a year of daily runs costs a live DAG: how long its tasks wait."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

from benchmarks.processes import Program, wait_until
from pydag_dist import Client, Dag
from pydag_dist.local.redis_server import valkey_binary
from tests.support.redis_server import RedisServer

TASKS = 5  # of each run, one after the other
SECONDS = 0.05  # that each takes
ACTIVE = 4  # runs of the backfill at a time
ALONE = 30  # seconds that the live DAG is watched without a backfill
DAYS = 365


def measure_backfill(slots: int, directory: Path) -> None:
    """Print how long the tasks of a DAG that is due each second wait, without and beside it."""
    history = directory / "home" / "history.sqlite"
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer(valkey_binary(), directory / "redis"))
        environment = {"PYDAG_REDIS_URL": server.url, "PYDAG_HOME": str(directory / "home")}
        for name, *arguments in (
            ("coordinator",),
            ("worker", "-c", str(slots), "-Q", "python", "--import", "time"),
        ):
            log = directory / f"{name}.log"
            part = Program(log, "pydag_dist", name, *arguments, environment=environment)
            stack.enter_context(part).wait_for("is ready" if name == "coordinator" else " ready.")
        client = Client(server.url)
        client.publish(sleeps("live", 1), sleeps("daily", "@daily"))
        time.sleep(5)  # until all processes of the pool are warm
        began = time.time()
        time.sleep(ALONE)
        begun = time.time()
        year = client.backfill("daily", "2025-01-01", "2025-12-31", max_active=ACTIVE)
        wait_until(lambda: client.backfills()[0].state == "done", "the backfill is done")
        ended = time.time()
        client.pause("live")
        (done,) = client.backfills()
        wait_until(lambda: client.dags()[1].last_state is not None, "the last run has ended")
        time.sleep(2)  # until the history is written
        alone, beside = waits(history, began, begun), waits(history, begun, ended)
        states, twice = runs_of(history, year.backfill_id)
    print(f"\n{DAYS} runs of {TASKS} tasks of {SECONDS} s, {ACTIVE} at a time, {slots} slots:")
    print(f"{ended - begun:.0f} s; {done.success} runs succeeded, due times with two runs: {twice}")
    assert states == DAYS
    print(f"\n{'a live task waits':20} | tasks | median ms | 95 % ms | worst ms")
    for name, found in (("without a backfill", alone), ("beside it", beside)):
        nearly = quantiles(found, n=20)[-1]
        times = " | ".join(f"{1e3 * value:.0f}" for value in (median(found), nearly, max(found)))
        print(f"{name:20} | {len(found)} | {times}")


def sleeps(dag_id: str, interval: str | int) -> Dag:
    """A DAG of tasks one after the other."""
    with Dag(dag_id, schedule_interval=interval, max_active_runs=3) as dag:
        before = None
        for number in range(TASKS):
            params = {"callable": "time:sleep", "args": [SECONDS]}
            task = dag.task(f"t{number}", "python.call", params=params)
            if before is not None:
                before >> task
            before = task
    return dag


def waits(history: Path, since: float, until: float) -> list[float]:
    """The seconds from ready to started of the live DAG's tasks that got ready in that time."""
    query = (
        "SELECT t.started_at - t.ready_at FROM pydag_tries t JOIN pydag_runs r USING (run_id)"
        " WHERE r.dag_id = 'live' AND t.ready_at BETWEEN ? AND ?"
    )
    with closing(sqlite3.connect(history)) as connection:
        rows: Sequence[tuple[float]] = connection.execute(query, (since, until)).fetchall()
    return [row[0] for row in rows]


def runs_of(history: Path, backfill: str) -> tuple[int, int]:
    """How many due times of 2025 have a run, and how many have two."""
    query = "SELECT logical_date, COUNT(*) FROM pydag_runs WHERE backfill = ? GROUP BY logical_date"
    with closing(sqlite3.connect(history)) as connection:
        found = dict(connection.execute(query, (backfill,)).fetchall())
    year = [date for date in found if datetime.fromisoformat(date).astimezone(UTC).year == 2025]
    return len(year), sum(count > 1 for count in found.values())
