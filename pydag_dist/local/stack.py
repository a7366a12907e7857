"""Everything embedded: the parts of an installation as child processes of one parent."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import redis

from pydag_dist.engine import connect
from pydag_dist.local.celery_commands import flower_arguments, worker_arguments
from pydag_dist.local.forked import PythonPart, prepare
from pydag_dist.local.home import Home
from pydag_dist.local.keyfile import write_key_file
from pydag_dist.local.ports import HOST, Ports, past_proxies
from pydag_dist.local.process import Child
from pydag_dist.local.redis_server import redis_command, valkey_binary
from pydag_dist.settings import link_file

PROJECT = "local-project"
# What the example's scripts are trusted from, and the connection that they name.
BUCKET = "project-pydag"
CONNECTION = "GCP"
WORKERS = 2
CONCURRENCY = 2
START_SECONDS = 60.0
_FIND_JAVA = (sys.executable, "-P", "-m", "pydag_emulators.dataproc.java")

Check = Callable[[], None]


class Stack:
    """The embedded installation of one home, which the caller has locked.

    `start` returns when every part is healthy; `check` raises when one has died; `stop` ends all,
    those first that use the others. Parts are children of the calling process and die with it.
    Without `pages` there are no web interface and no Flower. If it `forks`, parts are forks of the
    calling process where they can be; that must not start threads before `start` has returned.
    """

    def __init__(
        self, home: Home, ports: Ports, *, pages: bool = True, forks: bool = False
    ) -> None:
        self.home = home
        self._pages = pages
        self._forks = forks
        self._ports = ports.chosen()
        self._children: list[Child] = []
        # Without a Java there is everything but Dataproc.
        self.java_problem = _java_problem(home)
        self._key_file = home.path / "service-account.json"
        self._config = home.path / "pydag.toml"
        self._redis_config, password = home.redis_config()
        self.redis_url = f"redis://:{password}@{HOST}:{self._ports.redis}/0"
        self.gcs_url = f"http://{HOST}:{self._ports.gcs}"
        self.bigquery_url = f"http://{HOST}:{self._ports.bigquery}"
        self.dataproc_address = f"{HOST}:{self._ports.dataproc}"
        self.flower_url = f"http://{HOST}:{self._ports.flower}"
        self.web_url = f"http://{HOST}:{self._ports.web}"

    @property
    def web_link(self) -> str:
        """The address that lets a browser in, once: see `pydag web --link`."""
        return link_file(self.home.path, self._ports.web).read_text("utf-8").strip()

    @property
    def addresses(self) -> dict[str, str]:
        """Where the parts listen, by name; without the password of Redis."""
        return {
            "Redis": f"{HOST}:{self._ports.redis}",
            "Cloud Storage": self.gcs_url,
            "BigQuery": self.bigquery_url,
            "Dataproc": self.dataproc_address,
            "Flower": self.flower_url,
            "web": self.web_url,
        }

    @property
    def exports(self) -> dict[str, str]:
        """The variables that point pydag and Google's clients here."""
        return {
            "PYDAG_REDIS_URL": self.redis_url,
            "STORAGE_EMULATOR_HOST": self.gcs_url,
            "BIGQUERY_EMULATOR_HOST": self.bigquery_url,
            "DATAPROC_EMULATOR_HOST": self.dataproc_address,
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "GOOGLE_APPLICATION_CREDENTIALS": str(self._key_file),
            "PYDAG_CONFIG": str(self._config),  # `pydag estimate` works like a worker
            **past_proxies(),
        }

    def start(self, check: Check) -> None:
        """Start every part and wait for each; `check` is called meanwhile and may raise."""
        self._prepare()
        self._start_services(check)
        self._start_pydag(check)
        self.home.write_state(self._state())

    def seed(self, folder: Path, rows: int, check: Check) -> None:
        """Let a process that ends, with what it has imported, upload the example of a folder."""
        urls = self.gcs_url, self.bigquery_url
        child = self._child(
            "example", _part("pydag_dist.local.seed", *urls, str(folder), str(rows))
        )
        child.finish(check)
        self._children.remove(child)

    def check(self) -> None:
        """`LocalServiceError` if a part has ended by itself."""
        for child in self._children:
            child.check()

    def stop(self) -> None:
        """End every part: those of pydag, then the services, Redis last."""
        # The parts of pydag may take a few seconds: all of them at the same time.
        for child in self._children:
            if child.name.startswith(("web", "worker", "coordinator", "Flower")):
                child.terminate()
        while self._children:
            self._children.pop().stop()

    def _prepare(self) -> None:
        write_key_file(self._key_file, PROJECT, f"{self.bigquery_url}/token")
        self._config.write_text(
            f"""\
# Written by `pydag up`: the settings of the embedded workers. PYDAG_WORKER_* variables beat them.
[worker]
project = "{PROJECT}"
stores = ["gcs:{BUCKET}"]

[worker.connections.{CONNECTION}]
project = "{PROJECT}"
key_file = {str(self._key_file)!r}

[worker.spark]
temporaryGcsBucket = "{BUCKET}"
"""
        )

    def _start_services(self, check: Check) -> None:
        directory = self.home.directory
        ports = self._ports
        redis_server = redis_command(
            valkey_binary(), directory("redis"), ports.redis or 0, config=self._redis_config
        )
        server = self._child("Redis", redis_server)
        self._forks = self._forks and prepare(check)  # while Redis starts
        buckets = directory("gcs")
        emulators = [
            self._child("Cloud Storage", _emulator("gcs", ports.gcs, buckets)),
            self._child(
                "BigQuery",
                _emulator("bigquery", ports.bigquery, directory("bigquery"), gcs_root=buckets),
            ),
        ]
        if not self.java_problem:
            command = _emulator(
                "dataproc",
                ports.dataproc,
                directory("dataproc"),
                gcs_root=buckets,
                gcs_url=self.gcs_url,
                bigquery_url=self.bigquery_url,
            )
            # It ends its jobs first.
            emulators.append(self._child("Dataproc", command, grace=20))
        server.wait_until(lambda: _pings(self.redis_url), START_SECONDS, check)
        for child in emulators:
            child.wait_until(_says(child, b"listening on "), START_SECONDS, check)

    def _start_pydag(self, check: Check) -> None:
        coordinator = self._child("coordinator", _part("pydag_dist.__main__", "coordinator"))
        workers = [
            self._child(
                f"worker-{number}",
                _part("workers.__main__", *worker_arguments(f"worker-{number}", CONCURRENCY)),
            )
            for number in range(1, WORKERS + 1)
        ]
        shown = self._start_pages() if self._pages else []
        coordinator.wait_until(_says(coordinator, b" is ready"), START_SECONDS, check)
        for worker in workers:
            worker.wait_until(_says(worker, b" ready."), START_SECONDS, check)
        for child, health in shown:
            child.wait_until(partial(_answers, health), START_SECONDS, check)

    def _start_pages(self) -> list[tuple[Child, str]]:
        """The web interface and Flower, and where each says that it is healthy."""
        flower = self._child(
            "Flower", _part("pydag_dist.flower", *flower_arguments(HOST, self._ports.flower))
        )
        files = ["--files", folder] if (folder := os.environ.get("PYDAG_DAGS")) else []
        web = self._child(
            "web", _part("pydag_dist.__main__", "web", "--port", str(self._ports.web), *files)
        )
        return [(flower, f"{self.flower_url}/healthcheck"), (web, f"{self.web_url}/health")]

    def _child(self, name: str, command: Sequence[str] | PythonPart, grace: float = 10) -> Child:
        if isinstance(command, PythonPart) and not self._forks:
            command = command.command
        log = self.home.directory("logs") / f"{name.lower().replace(' ', '-')}.log"
        child = Child(name, command, log, self._environment(), grace=grace)
        child.start()
        self._children.append(child)
        return child

    def _environment(self) -> dict[str, str]:
        """What every part gets: the caller's environment, pointed at the embedded services."""
        outside = {n: v for n, v in os.environ.items() if not n.startswith("PYDAG_WEB_")}
        return {
            **outside,
            **self.exports,
            "PYDAG_HOME": str(self.home.path),
            "PYTHONUNBUFFERED": "1",
        }

    def _state(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "started_at": time.time(),
            "addresses": self.addresses,
            "environment": self.exports,
            "processes": {child.name: child.pid for child in self._children},
        }


def _java_problem(home: Home) -> str:
    """Why Spark can't run here; empty if it can."""
    command = [*_FIND_JAVA, str(home.directory("dataproc"))]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stderr.strip() if found.returncode else ""


def _emulator(name: str, port: int | None, data: Path, **options: object) -> PythonPart:
    """What starts a stand-in for a service of Google."""
    arguments: list[str] = []
    for option, value in {"host": HOST, "port": port, "data": data, **options}.items():
        arguments += [f"--{option.replace('_', '-')}", str(value)]
    return _part(f"pydag_emulators.{name}.__main__", *arguments)


def _part(module: str, *arguments: str) -> PythonPart:
    return PythonPart(module, arguments)


def _says(child: Child, text: bytes) -> Callable[[], bool]:
    return lambda: text in child.log.read_bytes()


def _pings(url: str) -> bool:
    with contextlib.suppress(redis.ConnectionError), connect(url) as client:
        return bool(client.ping())
    return False


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own http address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
