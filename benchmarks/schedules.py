"""What many published DAGs cost while nothing is due, and how late runs are at once."""

from __future__ import annotations

import sqlite3
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from benchmarks.processes import CpuMeter, Program, wait_until
from benchmarks.systems import NOOP
from pydag_dist import Client, Dag
from pydag_dist.local.redis_server import valkey_binary
from tests.support.redis_server import RedisServer

AT_ONCE = 1_000
SECONDS = 30  # that nothing is due
WORKER = ("-c", "2", "-Q", "python", "--import", "benchmarks.noop")


def measure_schedules(dags: int, directory: Path) -> None:
    """Print what a coordinator and Redis cost without and with DAGs, then how late runs are."""
    history = directory / "home" / "history.sqlite"
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer(valkey_binary(), directory / "redis"))
        environment = {"PYDAG_REDIS_URL": server.url, "PYDAG_HOME": str(directory / "home")}
        parts = {}
        for name, *arguments in (("coordinator",), ("worker", *WORKER)):
            part = Program(
                directory / f"{name}.log", "pydag_dist", name, *arguments, environment=environment
            )
            parts[name] = stack.enter_context(part)
            part.wait_for("is ready" if name == "coordinator" else " ready.")
        parents = {"coordinator": parts["coordinator"].pid, "redis": server.pid}
        client = Client(server.url)
        _print_idle("no DAG", parents, parts["worker"].pid)
        began = time.perf_counter()
        midnight = datetime.now(UTC) + timedelta(hours=12)
        far = f"{midnight.minute} {midnight.hour} * * *"
        client.publish(*(_checks(f"far{number}", far) for number in range(dags - AT_ONCE)))
        took = time.perf_counter() - began
        print(f"publishing took {1e3 * took / (dags - AT_ONCE):.1f} ms a DAG", flush=True)
        _print_idle(f"{dags - AT_ONCE:,} DAGs", parents, parts["worker"].pid)
        due = (datetime.now(UTC) + timedelta(seconds=75)).replace(second=0, microsecond=0)
        client.publish(
            *(_checks(f"due{number}", f"{due.minute} * * * *") for number in range(AT_ONCE))
        )
        assert time.time() < due.timestamp()
        wait_until(lambda: _ended(history) == AT_ONCE, "all runs have ended")
        submitted, started = _late(history, due.timestamp())
    print(f"\n{AT_ONCE:,} of {dags:,} DAGs are due at once, two slots:")
    print(f"{'late':20} | median s | worst s")
    for what, late in (("the run is made", submitted), ("its task has begun", started)):
        print(f"{what:20} | {median(late):.2f} | {max(late):.2f}")


def _checks(dag_id: str, cron: str) -> Dag:
    with Dag(dag_id, schedule_interval=cron) as dag:
        dag.task("only", "python.call", params=NOOP)
    return dag


def _print_idle(what: str, parents: dict[str, int], worker: int) -> None:
    time.sleep(5)  # until what was begun is done
    meter = CpuMeter(parents, worker)
    time.sleep(SECONDS)
    used = meter.used()
    costs = ", ".join(f"{kind} {1e3 * used[kind] / SECONDS:.1f}" for kind in parents)
    print(f"{what}, nothing is due: ms of CPU a second: {costs}", flush=True)


def _ended(history: Path) -> int:
    return int(_rows(history, "SELECT COUNT(*) FROM pydag_runs WHERE ended_at IS NOT NULL")[0][0])


def _late(history: Path, due: float) -> tuple[list[float], list[float]]:
    """Seconds from the due time until each run was there, and until its task began."""
    rows = _rows(
        history,
        "SELECT r.submitted_at, t.started_at FROM pydag_runs r JOIN pydag_tries t USING (run_id)"
        " WHERE r.state = 'success'",
    )
    assert len(rows) == AT_ONCE
    return [row[0] - due for row in rows], [row[1] - due for row in rows]


def _rows(history: Path, query: str) -> list[tuple[float, ...]]:
    with closing(sqlite3.connect(history)) as connection:
        return connection.execute(query).fetchall()
