"""A chain and a fan-out of no-op tasks beside Airflow's scheduler, executor and database.

Airflow runs as `airflow standalone` starts it, with PostgreSQL and as many slots as pydag's worker
has. Times are those that each system notes of its tasks.
"""

from __future__ import annotations

import os
import subprocess
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import psycopg

from benchmarks.processes import wait_until
from benchmarks.systems import SLOTS, TIMEOUT, Pydag, chained, fan_out
from tests.support import free_port
from tests.support.postgres_server import PostgresServer

CHAIN, FAN_OUT = 20, 100
DAGS = f"""
from airflow.sdk import DAG
from airflow.providers.standard.operators.python import PythonOperator

def noop():
    pass

with DAG("chain", schedule=None):
    tasks = [PythonOperator(task_id=f"t{{n}}", python_callable=noop) for n in range({CHAIN})]
    for before, after in zip(tasks, tasks[1:]):
        before >> after

with DAG("fan-out", schedule=None):
    for n in range({FAN_OUT}):
        PythonOperator(task_id=f"t{{n}}", python_callable=noop)
"""
# Of a run: whether it has ended, and when it and its tasks began and ended.
RUN = "SELECT state, extract(epoch FROM end_date) FROM dag_run WHERE run_id = %s"
TASKS = """
    SELECT extract(epoch FROM start_date), extract(epoch FROM end_date)
    FROM task_instance WHERE run_id = %s ORDER BY start_date
"""


@dataclass(frozen=True)
class Ran:
    """A run: seconds that each of its tasks began and ended at, and the CPU seconds of all."""

    tasks: list[tuple[float, float]]
    cpu: float

    def between(self) -> float:
        """Milliseconds from the end of a task of a chain to the start of the next."""
        pairs = zip(self.tasks, self.tasks[1:], strict=False)
        return 1e3 * median(after[0] - before[1] for before, after in pairs)

    def each(self) -> float:
        """Milliseconds from the first start to the last end, for each task."""
        return 1e3 * (max(end for _, end in self.tasks) - self.tasks[0][0]) / len(self.tasks)

    def cpu_per_task(self) -> float:
        """Milliseconds of all processes, from the command until the run has ended."""
        return 1e3 * self.cpu / len(self.tasks)


class Airflow:
    """A scheduler, a processor of DAG files, an API server, a triggerer and PostgreSQL."""

    def __init__(self, python: str, directory: Path, server: PostgresServer) -> None:
        self._command = [python, "-W", "ignore", "-m", "airflow"]
        self._database = psycopg.connect(server.url(), autocommit=True)
        (directory / "dags").mkdir()
        (directory / "dags" / "noops.py").write_text(DAGS)
        port = free_port()
        self._address = f"http://127.0.0.1:{port}"
        settings = {
            "CORE__DAGS_FOLDER": str(directory / "dags"),
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": str(SLOTS),
            "CORE__EXECUTION_API_SERVER_URL": f"{self._address}/execution/",
            "API__HOST": "127.0.0.1",
            "API__PORT": str(port),
            "API__BASE_URL": self._address,
            "WORKERS__EXECUTION_API_TIMEOUT": "60",  # a task fails after 5 s on a busy machine
            "DATABASE__SQL_ALCHEMY_CONN": server.url().replace(
                "postgresql", "postgresql+psycopg2", 1
            ),
        }
        path = f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"  # it calls `airflow`
        self._environment = {**os.environ, "AIRFLOW_HOME": str(directory), "PATH": path}
        self._environment |= {f"AIRFLOW__{name}": value for name, value in settings.items()}
        self._log = directory / "standalone.log"
        self._roots: list[psutil.Process] = []

    @classmethod
    @contextmanager
    def started(cls, python: str, directory: Path) -> Iterator[Airflow]:
        with ExitStack() as stack:
            server = stack.enter_context(PostgresServer())
            system = cls(python, directory, server)
            log = stack.enter_context(system._log.open("wb"))
            process = subprocess.Popen(
                [*system._command, "standalone"],
                env=system._environment, stdout=log, stderr=log,
            )  # fmt: skip
            stack.callback(_end, psutil.Process(process.pid))
            system._roots = [psutil.Process(process.pid), psutil.Process(server.pid)]
            wait_until(lambda: system._is_ready(process), "Airflow has read its DAGs", 180)
            system.run("chain")  # warms it up
            yield system

    def run(self, dag: str) -> Ran:
        """One run of a DAG; the command that triggers it is not counted."""
        run = f"{dag}-{os.urandom(4).hex()}"
        before = self._cpu()
        trigger = [*self._command, "dags", "trigger", dag, "--run-id", run]
        subprocess.run(trigger, env=self._environment, check=True, capture_output=True)
        wait_until(lambda: self._ask(RUN, run)[0][1] is not None, f"Airflow ends {run}", TIMEOUT)
        used = self._cpu() - before
        assert self._ask(RUN, run)[0][0] == "success", self._told()
        return Ran([(float(a), float(b)) for a, b in self._ask(TASKS, run)], used)

    def _is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"Airflow has ended: {self._told()}")
        try:  # a task fails whose API server does not answer yet
            urllib.request.urlopen(f"{self._address}/api/v2/monitor/health", timeout=5).close()
            return self._ask("SELECT count(*) FROM serialized_dag")[0][0] == DAGS.count("with DAG")
        except (OSError, psycopg.errors.UndefinedTable):
            return False

    def _told(self) -> str:
        return self._log.read_text(errors="replace")[-2_000:]

    def _ask(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        return self._database.execute(query, values).fetchall()

    def _cpu(self) -> float:
        return sum(map(_cpu_of_family, self._roots))


# What is printed of each DAG, with its unit.
FIGURES: dict[str, list[tuple[str, Callable[[Ran], float]]]] = {
    "chain": [("ms between two tasks", Ran.between), ("ms of CPU a task", Ran.cpu_per_task)],
    "fan-out": [("ms a task", Ran.each), ("ms of CPU a task", Ran.cpu_per_task)],
}


def measure_airflow(python: str, rounds: int, directory: Path) -> None:
    """Print both systems' figures, and their ratio; each round starts them in turn."""
    asked = "import importlib.metadata as m; print(m.version('apache-airflow'))"
    version = subprocess.check_output([python, "-c", asked], text=True).strip()
    ran: dict[tuple[str, str], list[Ran]] = defaultdict(list)
    for number in range(rounds):
        place = directory / f"airflow-{number}"
        (place / "pydag").mkdir(parents=True)
        with Pydag.started(place / "pydag") as pydag:
            for name, dag in (("chain", chained(CHAIN)), ("fan-out", fan_out(FAN_OUT))):
                meter = pydag.meter()
                tasks = pydag.finish(pydag.submit(dag)).tasks.values()
                times = sorted((task.started_at, task.ended_at) for task in tasks)
                ran["pydag", name].append(Ran(times, sum(meter.used().values())))
        with Airflow.started(python, place) as airflow:
            for name in FIGURES:
                ran["Airflow", name].append(airflow.run(name))
    print(f"\nAirflow {version} and pydag: medians of {rounds} rounds; the ratio of each round's")
    for name, figures in FIGURES.items():
        for what, figure in figures:
            ours, theirs = ([figure(one) for one in ran[by, name]] for by in ("pydag", "Airflow"))
            told = f"{median(theirs):9.2f} and {median(ours):8.2f} {what}"
            ratios = sorted(a / b for a, b in zip(theirs, ours, strict=True))
            print(f"{name:9}{told:50}{median(ratios):9.4g} ({ratios[0]:.4g} to {ratios[-1]:.4g})")


def _cpu_of_family(root: psutil.Process) -> float:
    """CPU seconds of a process, those below it, and those of them that have ended."""
    family = [root, *root.children(recursive=True)]
    return sum(sum(one.cpu_times()[:4]) for one in family if one.is_running())


def _end(root: psutil.Process) -> None:
    for process in [*root.children(recursive=True), root]:
        if process.is_running():
            process.kill()
