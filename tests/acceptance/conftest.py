"""Acceptance tests do what a user does: type commands, press Ctrl-C, look at Flower."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser

from tests.support import free_port, is_alive, wait_until, warm
from tests.support.browser import chromium
from tests.support.documents import all_blocks
from tests.support.process import Process

PROJECT = Path(__file__).parents[2]
EXAMPLE = PROJECT / "examples" / "pipeline" / "pipeline.json"
# What a terminal of the user has; nothing of this process's installation.
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("PYDAG_")}
START_SECONDS = 120.0
PARTS = {
    "Redis",
    "Cloud Storage",
    "BigQuery",
    "Dataproc",
    "coordinator",
    "worker-1",
    "worker-2",
    "Flower",
    "web",
}
UP = ("--import", "etl")  # as README says


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever starts processes of the product takes seconds; the judge of chaos starts none."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.path.name != "test_judge.py":
            item.add_marker("slow")


class Up:
    """A `pydag up` in one terminal; `run` is a second terminal.

    Its ports are its own: of two that start at a time, both might choose the usual ones.
    """

    def __init__(self, home: Path, *options: str, **env: str) -> None:
        self.home = home
        self.output = home.with_name(f"{home.name}.out")
        self.env = {**PLAIN, "PYDAG_HOME": str(home)}
        services = ("redis", "gcs", "bigquery", "dataproc", "flower", "web")
        ports = [f"--{name}-port={free_port()}" for name in services]
        command = [sys.executable, "-P", "-m", "pydag_dist", "up", *ports, *options]
        self.output.unlink(missing_ok=True)
        self.process = Process(command, self.output, cwd=home.parent, env=self.env | env).start()

    def wait_healthy(self) -> None:
        self.process.wait_until(
            lambda: "Ctrl-C stops everything" in self.process.text(), "it is healthy", START_SECONDS
        )

    @property
    def state(self) -> dict:
        return json.loads((self.home / "up.json").read_text())

    def exports(self) -> dict[str, str]:
        """What `eval "$(pydag env)"` sets."""
        text = self.run("env").stdout
        parts = [shlex.split(line)[1] for line in text.splitlines()]
        return dict(part.split("=", 1) for part in parts)

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """A pydag command in the second terminal."""
        return subprocess.run(
            [warm.program(), *arguments],
            cwd=self.home.parent,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def processes(self) -> list[int]:
        """The ids of this `pydag up` and everything that it started, directly or not."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        return [self.process.pid, *(process.pid for process in family)]

    def stop(self, how: signal.Signals) -> None:
        """Tell it to stop: it ends well, says so and leaves no state."""
        assert self.process.end(how) == 0
        assert not (self.home / "up.json").exists()
        assert "Stopped." in self.output.read_text()


@contextlib.contextmanager
def running_up(home: Path, *options: str, **env: str) -> Iterator[Up]:
    """A healthy `pydag up` in the home's parent directory, which is gone at the end."""
    up = Up(home, *options, **env)
    try:
        up.wait_healthy()
        yield up
    finally:
        if up.process.poll() is None:
            pids = up.processes()
            up.stop(signal.SIGTERM)
            wait_until(lambda: not any(map(is_alive, pids)), f"all of {pids} are gone")


def install_operators(directory: Path) -> None:
    """What pip makes of the documents' package of operators."""
    [block] = all_blocks("toml pyproject.toml")
    points = tomllib.loads(block.text)["project"]["entry-points"]["pydag.operators"]
    lines = [f"{name} = {place}\n" for name, place in points.items()]
    information = directory / "acme_pydag-1.dist-info"
    information.mkdir(parents=True)
    (information / "entry_points.txt").write_text("".join(["[pydag.operators]\n", *lines]))
    modules = {place.partition(":")[0] for place in points.values()}
    for block in all_blocks("python FILE"):
        if block.file.removesuffix(".py") in modules:
            (directory / block.file).write_text(block.text)


@pytest.fixture(scope="package")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One `pydag up` for tests that only use it, in a directory with the documents' files."""
    directory = tmp_path_factory.mktemp("up")
    for block in all_blocks("python FILE") + all_blocks("json FILE"):
        (directory / block.file).write_text(block.text)
    installed = directory / "installed"
    install_operators(installed)
    for name in ("examples", "Makefile", ".ci", "pyproject.toml", "constraints.txt"):
        (directory / name).symlink_to(PROJECT / name)
    (directory / ".venv").symlink_to(sys.prefix)
    (directory / "edited").mkdir()
    env = {"PYTHONPATH": str(installed)}
    with running_up(directory / "home", *UP, "--dags", "edited", **env) as running:
        yield running


@pytest.fixture(scope="package")
def terminal(up: Up) -> dict[str, str]:
    """The environment of a second terminal after `eval "$(pydag env)"`."""
    return up.exports()


@pytest.fixture(scope="package")
def example_run(up: Up, terminal: dict[str, str]) -> dict:
    """The final status of the example pipeline, submitted from the second terminal."""
    result = up.run("submit", "examples/pipeline/pipeline.json", "--wait", "--json", **terminal)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for all tests; each has pages of its own."""
    with chromium() as browser:
        yield browser
